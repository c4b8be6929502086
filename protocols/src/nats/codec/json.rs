//! The JSON of `INFO` and `CONNECT`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CodecError, Rule};

/// What a server says about itself: the JSON of `INFO`. Fields that are not known are ignored, those that are missing
/// are empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The server's identity, new with each of its starts.
    pub server_id: String,
    /// The name from its configuration.
    pub server_name: String,
    /// Its version, such as `2.9.10`.
    pub version: String,
    /// The version of the protocol: 1 tells the members of the cluster as they come and go.
    pub proto: i64,
    /// The host it listens on.
    pub host: String,
    /// The port it listens on.
    pub port: u16,
    /// Whether it takes headers.
    pub headers: bool,
    /// The longest message that it takes, in bytes of headers and payload.
    pub max_payload: i64,
    /// Whether it has JetStream.
    pub jetstream: bool,
    /// This connection's number on it.
    pub client_id: u64,
    /// The address that it sees the client at.
    pub client_ip: String,
    /// Whether it wants credentials.
    pub auth_required: bool,
    /// Whether the connection has to go on under TLS.
    pub tls_required: bool,
    /// Whether it can go on under TLS.
    pub tls_available: bool,
    /// Whether it wants a certificate of the client.
    pub tls_verify: bool,
    /// The other members of its cluster, as `host:port`.
    pub connect_urls: Vec<String>,
    /// What a client with a key has to sign.
    pub nonce: Option<String>,
    /// The name of its cluster.
    pub cluster: Option<String>,
    /// Its JetStream domain.
    pub domain: Option<String>,
    /// "Lame duck mode": it is about to shut down, and clients should go to another.
    #[serde(rename = "ldm")]
    pub lame_duck_mode: bool,
}

impl ServerInfo {
    /// Reads the JSON of an `INFO`.
    ///
    /// # Errors
    /// [`Rule::Json`], with the offset in the text.
    pub fn from_json(json: &[u8]) -> Result<Self, CodecError> {
        serde_json::from_slice(json).map_err(|error| refused(&error))
    }

    /// The JSON, on one line.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has only texts, numbers and lists")
    }
}

/// What a client says about itself: the JSON of `CONNECT`.
///
/// Its `Debug` form shows no secrets.
#[derive(Clone, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConnectInfo {
    /// Whether each operation is to be answered with `+OK`.
    pub verbose: bool,
    /// Whether subjects are to be checked strictly.
    pub pedantic: bool,
    /// Whether the client insists on TLS.
    pub tls_required: bool,
    /// A token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<String>,
    /// A user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<String>,
    /// A user's JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<String>,
    /// The public key of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<String>,
    /// The server's nonce, signed with that key, as URL-safe base64 without padding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<String>,
    /// A name for the connection, which the server shows in its monitoring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The language of the client.
    pub lang: String,
    /// The version of the client.
    pub version: String,
    /// The version of the protocol: 1 wants to be told the members of the cluster.
    pub protocol: i64,
    /// Whether messages come back to subscriptions of this same connection.
    pub echo: bool,
    /// Whether the client takes headers.
    pub headers: bool,
    /// Whether a request without anybody who could answer is to be answered by the server, with status 503.
    pub no_responders: bool,
}

impl ConnectInfo {
    /// What a client of this crate sends: not verbose, with headers and "no responders".
    pub fn new() -> Self {
        Self {
            lang: "rust".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: 1,
            echo: true,
            headers: true,
            no_responders: true,
            ..Self::default()
        }
    }

    /// Reads the JSON of a `CONNECT`.
    ///
    /// # Errors
    /// [`Rule::Json`], with the offset in the text.
    pub fn from_json(json: &[u8]) -> Result<Self, CodecError> {
        serde_json::from_slice(json).map_err(|error| refused(&error))
    }

    /// The JSON, on one line.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it has only texts, numbers and booleans")
    }
}

impl fmt::Debug for ConnectInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectInfo")
            .field("name", &self.name)
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .field("tls_required", &self.tls_required)
            .finish_non_exhaustive()
    }
}

/// JSON is one line here, so that the column is the offset.
fn refused(error: &serde_json::Error) -> CodecError {
    CodecError::new(error.column().saturating_sub(1), Rule::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says() {
        let json = br#"{"server_id":"X","version":"2.9.10","proto":1,"max_payload":1048576,
            "headers":true,"connect_urls":["a:1","b:2"],"nonce":"n","ldm":true,"new_field":{"a":[1]}}"#;
        let info = ServerInfo::from_json(json).unwrap();
        assert_eq!(info.connect_urls, ["a:1", "b:2"]);
        assert_eq!((info.max_payload, info.lame_duck_mode), (1_048_576, true));
        assert_eq!(ServerInfo::from_json(&info.to_json()), Ok(info));
        let error = ServerInfo::from_json(b"{\"proto\": x}").unwrap_err();
        assert_eq!((error.offset, error.rule), (10, Rule::Json));
        let deep = [&b"{\"new\":"[..], &[b'['; 100_000]].concat();
        assert_eq!(ServerInfo::from_json(&deep).unwrap_err().rule, Rule::Json);
    }

    #[test]
    fn what_a_client_says_and_does_not_show() {
        let mut connect = ConnectInfo::new();
        connect.user = Some("me".to_owned());
        connect.pass = Some("secret\r\nPUB x 0".to_owned());
        let json = connect.to_json();
        assert!(!json.contains(&b'\n'), "JSON escapes line ends");
        assert_eq!(ConnectInfo::from_json(&json).unwrap(), connect);
        assert!(!format!("{connect:?}").contains("secret"));
    }
}
