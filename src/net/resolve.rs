//! From what users write as an address to socket addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::{error, fmt, io};

/// A host and a port, as in `host:port`.
///
/// | text | meaning |
/// |---|---|
/// | `localhost:80`, `127.0.0.1:80` | a name or an IPv4 address |
/// | `[::1]:80`, `[fe80::1%eth0]:80` | an IPv6 address, with or without a zone (RFC 4007, section 11) |
/// | `:80`, `*:80` | all interfaces; for servers |
///
/// The port is a number; names of services are not looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// A name or an address without brackets; empty for all interfaces.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl HostPort {
    /// The same if it names a host, which is what a client needs.
    pub(crate) fn require_host(self) -> Result<Self, ParseAddressError> {
        if self.host.is_empty() {
            return Err(Problem::MissingHost.in_text(&self.to_string()));
        }
        Ok(self)
    }

    /// The addresses, if no resolver is needed to know them.
    ///
    /// That is so for all interfaces and for IP addresses, but not for an IPv6 address with a zone,
    /// since the zone may be the name of an interface.
    pub(crate) fn without_resolver(&self) -> Option<Vec<SocketAddr>> {
        without_resolver(&self.host, self.port)
    }
}

impl FromStr for HostPort {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|problem| problem.in_text(text))
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.is_empty() {
            write!(f, "*:{port}")
        } else if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

/// Looks up the addresses of a host; this can block for seconds.
///
/// They come in the resolver's order, which is that of RFC 6724 where it is `getaddrinfo`, each
/// once. An empty host is all interfaces: `0.0.0.0` and `::`.
///
/// # Errors
///
/// The resolver's, with the host's name added to the text. No address at all is an error too.
pub(crate) fn resolve_blocking(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match without_resolver(host, port) {
        Some(addresses) => Ok(addresses),
        None => check(host, (host, port).to_socket_addrs()),
    }
}

/// The same error once more: several can wait for one answer.
pub(crate) fn copy_error(error: &io::Error) -> io::Error {
    if let Some(code) = error.raw_os_error() {
        return io::Error::from_raw_os_error(code);
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ResolveError>()) {
        Some(ResolveError { host, source }) => {
            let source = source.as_ref().map(copy_error);
            io::Error::new(error.kind(), ResolveError::new(host, source))
        }
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Removes each address that has occurred before.
pub(crate) fn remove_duplicates(addresses: &mut Vec<SocketAddr>) {
    let mut seen = BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
}

/// A text that is not an address, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ParseAddressError {
    problem: Problem,
    text: String,
}

impl fmt::Display for ParseAddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line, whatever is in it.
        let text = self.text.escape_debug();
        match &self.problem {
            Problem::Empty => f.write_str("empty address, expected `host:port`"),
            Problem::MissingPort => write!(f, "missing port in `{text}`"),
            Problem::InvalidPort(port) => {
                let port = port.escape_debug();
                write!(f, "invalid port `{port}` in `{text}`, expected a number from 0 to 65535")
            }
            Problem::MissingHost => write!(f, "missing host in `{text}`"),
            Problem::InvalidHost(host) => {
                write!(f, "invalid host `{}` in `{text}`", host.escape_debug())
            }
            Problem::MissingBrackets => {
                write!(f, "IPv6 address without brackets in `{text}`, expected `[address]:port`")
            }
            Problem::UnclosedBracket => write!(f, "missing `]` in `{text}`"),
            Problem::InvalidIpv6(host) => {
                write!(f, "invalid IPv6 address `{}` in `{text}`", host.escape_debug())
            }
        }
    }
}

impl error::Error for ParseAddressError {}

impl From<ParseAddressError> for io::Error {
    fn from(error: ParseAddressError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

/// The parts of the text that are wrong; not the text itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Problem {
    Empty,
    MissingPort,
    InvalidPort(String),
    MissingHost,
    InvalidHost(String),
    MissingBrackets,
    UnclosedBracket,
    InvalidIpv6(String),
}

impl Problem {
    fn in_text(self, text: &str) -> ParseAddressError {
        ParseAddressError { problem: self, text: text.to_owned() }
    }
}

fn parse(text: &str) -> Result<HostPort, Problem> {
    if text.is_empty() {
        return Err(Problem::Empty);
    }
    if let Some(bracketed) = text.strip_prefix('[') {
        let (host, rest) = bracketed.split_once(']').ok_or(Problem::UnclosedBracket)?;
        if !is_ipv6(host) {
            return Err(Problem::InvalidIpv6(host.to_owned()));
        }
        let port = rest.strip_prefix(':').ok_or(Problem::MissingPort)?;
        return Ok(HostPort { host: host.to_owned(), port: parse_port(port)? });
    }
    if is_ipv6(text) {
        return Err(Problem::MissingBrackets);
    }
    let (host, port) = text.rsplit_once(':').ok_or(Problem::MissingPort)?;
    if is_ipv6(host) {
        return Err(Problem::MissingBrackets);
    }
    // What no name can contain: a part of an URL, blanks around the address, a pasted line.
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "/:[]@".contains(c)) {
        return Err(Problem::InvalidHost(host.to_owned()));
    }
    let host = if host == "*" { "" } else { host };
    Ok(HostPort { host: host.to_owned(), port: parse_port(port)? })
}

fn parse_port(text: &str) -> Result<u16, Problem> {
    if text.is_empty() {
        return Err(Problem::MissingPort);
    }
    // A sign would pass the number's parser.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| Problem::InvalidPort(text.to_owned()))
}

/// An IPv6 address, with a zone or without.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "-"));
    !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok()
}

fn without_resolver(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    if host.is_empty() {
        return Some(vec![
            (Ipv4Addr::UNSPECIFIED, port).into(),
            (Ipv6Addr::UNSPECIFIED, port).into(),
        ]);
    }
    let address: IpAddr = host.parse().ok()?;
    Some(vec![(address, port).into()])
}

fn check(
    host: &str,
    answer: io::Result<impl Iterator<Item = SocketAddr>>,
) -> io::Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = match answer {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            return Err(io::Error::new(error.kind(), ResolveError::new(host, Some(error))));
        }
    };
    remove_duplicates(&mut addresses);
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, ResolveError::new(host, None)));
    }
    Ok(addresses)
}

/// What is inside of the [`io::Error`] of [`resolve_blocking`].
#[derive(Debug)]
struct ResolveError {
    host: String,
    source: Option<io::Error>,
}

impl ResolveError {
    fn new(host: &str, source: Option<io::Error>) -> Self {
        Self { host: host.to_owned(), source }
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.escape_debug();
        match &self.source {
            Some(error) => write!(f, "cannot resolve `{host}`: {error}"),
            None => write!(f, "cannot resolve `{host}`: it has no address"),
        }
    }
}

impl error::Error for ResolveError {}

#[cfg(test)]
mod tests;
