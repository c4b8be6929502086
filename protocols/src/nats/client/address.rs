//! The addresses of servers, as users write them.

use super::credentials::Credentials;
use super::error::NatsError;

/// The port of a server whose address names none.
const PORT: &str = "4222";

/// `nats://user:password@host:port`, of which only the host is needed.
#[derive(Debug)]
pub(super) struct ServerAddress {
    /// `host:port`
    pub(super) address: String,
    pub(super) wants_tls: bool,
    pub(super) credentials: Option<Credentials>,
}

impl ServerAddress {
    pub(super) fn parse(text: &str) -> Result<Self, NatsError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
        let wants_tls = match scheme {
            "nats" => false,
            "tls" => true,
            other => return Err(NatsError::Invalid(format!("the scheme {other:?} of an address"))),
        };
        let rest = rest.trim_end_matches('/');
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, rest),
        };
        let credentials = user.map(|user| match user.split_once(':') {
            Some((user, password)) => {
                Credentials::UserPassword { user: user.to_owned(), password: password.to_owned() }
            }
            None => Credentials::Token(user.to_owned()),
        });
        if host.is_empty() {
            return Err(NatsError::Invalid("an address without a host".to_owned()));
        }
        let is_bare_v6 = host.matches(':').count() > 1 && !host.starts_with('[');
        let address = if is_bare_v6 {
            format!("[{host}]:{PORT}")
        } else if host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']')) {
            host.to_owned()
        } else {
            format!("{host}:{PORT}")
        };
        Ok(Self { address, wants_tls, credentials })
    }
}

/// The host of `host:port`, without brackets.
#[cfg(any(feature = "tls", test))]
pub(super) fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, address, wants_tls) in [
            ("example.org", "example.org:4222", false),
            ("nats://example.org:1/", "example.org:1", false),
            ("tls://[::1]", "[::1]:4222", true),
            ("[::1]:7", "[::1]:7", false),
            ("::1", "[::1]:4222", false),
            ("nats://me:a@b@h:1", "h:1", false),
        ] {
            let parsed = ServerAddress::parse(text).unwrap();
            assert_eq!((parsed.address.as_str(), parsed.wants_tls), (address, wants_tls), "{text}");
        }
        let parsed = ServerAddress::parse("nats://me:a@b@h").unwrap();
        let Some(Credentials::UserPassword { user, password }) = parsed.credentials else {
            panic!()
        };
        assert_eq!((user.as_str(), password.as_str()), ("me", "a@b"));
        assert!(matches!(
            ServerAddress::parse("t@h").unwrap().credentials,
            Some(Credentials::Token(token)) if token == "t"
        ));
        assert!(ServerAddress::parse("http://h").is_err());
        assert!(ServerAddress::parse("nats://").is_err());
        assert_eq!((host("a:1"), host("[::1]:1")), ("a", "::1"));
    }
}
