//! Where a coordinator listens.

use std::fmt;
use std::str::FromStr;

use wharf::UnixAddress;

use super::is_local;

/// Where a coordinator listens: `host:port` (under TLS if there is a certificate), `tls://host:port`, `tcp://host:port`
/// (without TLS), `unix:/path`, or on Linux `unix:@name` for a socket without a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On TCP.
    Tcp {
        /// `host:port`.
        address: Box<str>,
        /// Whether under TLS; `None`: if there is a certificate.
        tls: Option<bool>,
    },
    /// On a Unix socket, without TLS.
    Unix(UnixAddress),
}

/// A text that says nowhere to listen.
#[derive(Clone, Debug)]
pub struct InvalidListen(Box<str>);

impl Listen {
    /// Whether only this machine can connect. A name besides `localhost` is not looked up: it is taken for another's.
    pub fn is_local(&self) -> bool {
        let Self::Tcp { address, .. } = self else { return true };
        is_local(address)
    }

    /// Whether it is under TLS, where there is a certificate or not.
    pub fn is_tls(&self, has_certificate: bool) -> bool {
        matches!(self, Self::Tcp { tls, .. } if tls.unwrap_or(has_certificate))
    }
}

impl FromStr for Listen {
    type Err = InvalidListen;

    fn from_str(text: &str) -> Result<Self, InvalidListen> {
        if let Some(name) = text.strip_prefix("unix:") {
            // A port begins with none of these characters, so a host may be called `unix`.
            match name.as_bytes() {
                [b'@', _, ..] => {
                    return Ok(Self::Unix(UnixAddress::from_abstract_name(&name[1..])));
                }
                [b'/' | b'.', ..] => return Ok(Self::Unix(UnixAddress::from_path(name))),
                _ => {}
            }
        }
        let (tls, address) = match text.split_once("://") {
            None => (None, text),
            Some(("tls", address)) => (Some(true), address),
            Some(("tcp", address)) => (Some(false), address),
            Some((scheme, _)) => {
                return Err(InvalidListen(format!("nobody listens on {scheme}://").into()));
            }
        };
        if address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
            return Err(InvalidListen(format!("{address} has no port").into()));
        }
        Ok(Self::Tcp { address: address.into(), tls })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, tls: None } => formatter.write_str(address),
            Self::Tcp { address, tls: Some(true) } => write!(formatter, "tls://{address}"),
            Self::Tcp { address, tls: Some(false) } => write!(formatter, "tcp://{address}"),
            Self::Unix(address) => write!(formatter, "unix:{address}"),
        }
    }
}

impl fmt::Display for InvalidListen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InvalidListen {}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(text: &str) -> Listen {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_only_this_machine_reaches_is_local() {
        for local in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:0", "unix:/x", "unix:@x"]
        {
            assert!(listen(local).is_local(), "{local}");
        }
        for open in
            [":1", "0.0.0.0:1", "[::]:1", "192.0.2.1:1", "example.org:1", "tls://:1", "unix:7"]
        {
            assert!(!listen(open).is_local(), "{open}");
        }
    }

    #[test]
    fn a_scheme_says_whether_it_is_tls_and_otherwise_the_certificate_does() {
        for (text, without, with) in [
            ("h:1", false, true),
            ("tls://h:1", true, true),
            ("tcp://h:1", false, false),
            ("unix:./x", false, false),
        ] {
            assert_eq!((listen(text).is_tls(false), listen(text).is_tls(true)), (without, with));
            assert!(matches!(listen(text), Listen::Unix(_)) || listen(text).to_string() == text);
        }
        for wrong in ["", "localhost", "http://h:1", "unix:", "unix:@", "h:70000"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
    }
}
