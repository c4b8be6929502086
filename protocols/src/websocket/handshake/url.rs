use std::fmt;
use std::str::FromStr;

use super::HandshakeError;

/// Where a WebSocket is: `ws://` or `wss://`, a host, and what there (RFC 6455, 3).
///
/// ```
/// use wharf_protocols::websocket::{HandshakeError, WebSocketUrl};
///
/// # fn main() -> Result<(), HandshakeError> {
/// let url: WebSocketUrl = "wss://example.org/chat?room=1".parse()?;
/// assert!(url.is_secure());
/// assert_eq!((url.host(), url.port(), url.target()), ("example.org", 443, "/chat?room=1"));
/// assert_eq!(url.address(), "example.org:443");
/// assert!("http://example.org/".parse::<WebSocketUrl>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketUrl {
    is_secure: bool,
    host: String,
    port: u16,
    target: String,
}

impl WebSocketUrl {
    /// Whether it is `wss`: over TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The host's name or address; one of IPv6 without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port: 80, or 443 over TLS, unless it is said.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path and the query, as the request has them.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The host and the port, to be connected to.
    pub fn address(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// Another place at the same host; `None` for a target that a URL cannot have.
    pub(in crate::websocket) fn with_target(&self, target: &str) -> Option<Self> {
        let is_target = target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        is_target.then(|| Self { target: target.to_owned(), ..self.clone() })
    }

    /// The value of `Host`: without the port that is usual.
    pub(super) fn host_field(&self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        if self.port == usual { self.bracketed_host() } else { self.address() }
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }
}

impl FromStr for WebSocketUrl {
    type Err = HandshakeError;

    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`HandshakeError::Url`]: another scheme, a user, a fragment, no host, a wrong port, or characters that a URL does
    /// not have.
    fn from_str(url: &str) -> Result<Self, HandshakeError> {
        let refuse = |rule| Err(HandshakeError::Url(rule));
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse("has a character that must be escaped");
        }
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            _ => return refuse("does not begin with ws:// or wss://"),
        };
        if rest.contains('#') {
            return refuse("has a fragment");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return refuse("has a user");
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let Some((host, port)) = rest.split_once(']') else {
                    return refuse("has an address without its closing bracket");
                };
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return refuse("has brackets around what is no address of IPv6");
                }
                (host, port)
            }
            None => {
                let (host, port) =
                    authority.split_at(authority.find(':').unwrap_or(authority.len()));
                if host.contains(['[', ']', '\\', '"', '<', '>', '^', '`', '{', '|', '}', '%']) {
                    return refuse("has a host that is no name");
                }
                (host, port)
            }
        };
        if host.is_empty() {
            return refuse("has no host");
        }
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                match digits.parse::<u16>() {
                    Ok(port) if port > 0 => Some(port),
                    _ => return refuse("has a port that is none"),
                }
            }
            _ => return refuse("has a port that is none"),
        };
        let target = match target.strip_prefix('?') {
            Some(query) => format!("/?{query}"),
            None if target.is_empty() => "/".to_owned(),
            None => target.to_owned(),
        };
        let port = port.unwrap_or(if is_secure { 443 } else { 80 });
        Ok(Self { is_secure, host: host.to_owned(), port, target })
    }
}

impl fmt::Display for WebSocketUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "wss" } else { "ws" };
        write!(formatter, "{scheme}://{}{}", self.host_field(), self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, address, target, shown) in [
            ("ws://a", "a:80", "/", "ws://a/"),
            ("WSS://a:444?x=1", "a:444", "/?x=1", "wss://a:444/?x=1"),
            ("ws://[::1]:9001/p/q?r", "[::1]:9001", "/p/q?r", "ws://[::1]:9001/p/q?r"),
            ("ws://[::1]", "[::1]:80", "/", "ws://[::1]/"),
            ("ws://a:/", "a:80", "/", "ws://a/"),
        ] {
            let parsed: WebSocketUrl = url.parse().unwrap();
            assert_eq!((parsed.address().as_str(), parsed.target()), (address, target));
            assert_eq!(parsed.to_string(), shown);
        }
        for url in [
            "",
            "a",
            "http://a",
            "ws:/a",
            "ws://",
            "ws://:80",
            "ws://u@a",
            "ws://a#f",
            "ws://a:0",
            "ws://a:65536",
            "ws://a:+80",
            "ws://a:b",
            "ws://[::1",
            "ws://[a]",
            "ws://a b",
            "ws://a/\r\nX: y",
            "ws://a/\u{e4}",
            "ws://[::1]x",
            "ws://a%0d",
        ] {
            assert!(url.parse::<WebSocketUrl>().is_err(), "{url}");
        }
    }
}
