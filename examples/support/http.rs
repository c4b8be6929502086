//! Pages over HTTP/1.1, by hand: what a client needs of it, with a limit on everything that it reads.

use std::fmt;
use std::str::FromStr;

use wharf::{Error, EventLoop, Result, StreamReader, TlsClient};

/// Lines behind a chunked body, before its end.
const MAX_TRAILERS: usize = 100;

/// Where a page is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    is_secure: bool,
    /// In lower case; an IPv6 address in its brackets.
    host: String,
    port: u16,
    /// With the query, and without the fragment. It begins with a slash.
    path: String,
}

impl Url {
    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether a page is on the same server.
    pub fn is_beside(&self, other: &Self) -> bool {
        (self.is_secure, &self.host, self.port) == (other.is_secure, &other.host, other.port)
    }

    /// Where a link on this page leads to, if that is a page over HTTP.
    pub fn join(&self, link: &str) -> Option<Self> {
        let link = link.trim();
        let link = link.split_once('#').map_or(link, |(link, _fragment)| link);
        let scheme = if self.is_secure { "https:" } else { "http:" };
        if link.starts_with("//") {
            return format!("{scheme}{link}").parse().ok();
        }
        let is_absolute = link.split(['/', '?']).next().is_some_and(|first| first.contains(':'));
        if is_absolute {
            return link.parse().ok();
        }
        let own = self.path.split_once('?').map_or(&*self.path, |(path, _query)| path);
        let path = match link.chars().next() {
            None => self.path.clone(),
            Some('/') => without_dots(link),
            Some('?') => format!("{own}{link}"),
            Some(_) => {
                let folder = own.rsplit_once('/').map_or("", |(folder, _name)| folder);
                without_dots(&format!("{folder}/{link}"))
            }
        };
        check_path(&path).ok()?;
        Some(Self { path, ..self.clone() })
    }

    /// `HOST:PORT`, to connect to.
    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What the header `Host` has: the port only where it is not the usual one.
    fn authority(&self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { self.address() }
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| format!("`{text}` is no URL: http://HOST/"))?;
        let is_secure = match &*scheme.to_ascii_lowercase() {
            "http" => false,
            "https" => true,
            _ => return Err(format!("`{scheme}` is neither http nor https")),
        };
        let rest = rest.split_once('#').map_or(rest, |(rest, _fragment)| rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        // A colon within the brackets of an IPv6 address begins no port.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| format!("invalid port `{port}`"))?)
            }
            _ => (authority, if is_secure { 443 } else { 80 }),
        };
        let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-._[]:".contains(letter);
        if host.is_empty() || !host.chars().all(is_host) {
            return Err(format!("invalid host `{host}`"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        check_path(&path)?;
        Ok(Self { is_secure, host: host.to_ascii_lowercase(), port, path })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// What else there may be in it would end the request's first line, or needs escapes.
fn check_path(path: &str) -> Result<(), String> {
    match path.chars().find(|letter| !letter.is_ascii_graphic()) {
        None => Ok(()),
        Some(letter) => Err(format!("{letter:?} in a URL has to be escaped")),
    }
}

/// A path with the steps `.` and `..` taken.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut steps = Vec::new();
    for step in path.split('/').skip(1) {
        match step {
            "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    if (path.ends_with("/.") || path.ends_with("/.."))
        && steps.last().is_none_or(|step| !step.is_empty())
    {
        steps.push("");
    }
    format!("/{}{query}", steps.join("/"))
}

/// What a server has answered.
#[derive(Debug)]
pub struct Response {
    /// Such as 200, or 404.
    pub status: u16,
    /// The first line and the headers.
    pub head: String,
    /// All of it, without the frames of chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, if it is there; of several the first.
    pub fn header(&self, name: &str) -> Option<&str> {
        headers(&self.head)
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// Fetches a page, on a connection of its own. Dropping the future closes that.
///
/// # Errors
/// Those of the connection; an answer that is no HTTP, or ends too early; a body of more than `limit` bytes.
pub async fn get(
    event_loop: &EventLoop,
    url: &Url,
    tls: Option<&TlsClient>,
    limit: usize,
) -> Result<Response> {
    let mut connecting = event_loop.open_connection(url.address());
    if url.is_secure {
        connecting = connecting.tls(tls.ok_or("https needs TLS")?);
    }
    let (mut reader, writer) = connecting.await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: wharf\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.path,
        url.authority()
    );
    writer.write_all(request.as_bytes()).await?;
    let (status, head) = loop {
        // It may be as long as the reader's limit.
        let head = String::from_utf8_lossy(reader.read_until(b"\r\n\r\n").await?).into_owned();
        match status_of(&head)? {
            // The answer is still to come.
            100 | 102..=199 => {}
            status => break (status, head),
        }
    };
    let mut response = Response { status, head, body: Vec::new() };
    response.body = body(&mut reader, &response, limit).await?;
    Ok(response)
}

async fn body(reader: &mut StreamReader, response: &Response, limit: usize) -> Result<Vec<u8>> {
    if matches!(response.status, 101 | 204 | 304) {
        return Ok(Vec::new());
    }
    if let Some(coding) = response.header("transfer-encoding") {
        return match coding.eq_ignore_ascii_case("chunked") {
            true => chunks(reader, limit).await,
            false => Err(format!("the body has an unknown transfer coding: {coding}").into()),
        };
    }
    match length(&response.head)? {
        Some(length) if length > limit => Err(too_long(limit)),
        Some(length) => Ok(reader.read_exactly(length).await?.to_vec()),
        None => Ok(reader.read_to_end(limit).await?),
    }
}

async fn chunks(reader: &mut StreamReader, limit: usize) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = reader.read_line().await?.ok_or("the body has no last chunk")?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = match size.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            true => usize::from_str_radix(size, 16).map_err(|_| no_size())?,
            false => return Err(no_size()),
        };
        if size == 0 {
            break;
        }
        if size > limit - body.len() {
            return Err(too_long(limit));
        }
        body.extend_from_slice(reader.read_exactly(size).await?);
        if reader.read_exactly(2).await? != b"\r\n" {
            return Err(no_size());
        }
    }
    for _ in 0..MAX_TRAILERS {
        if reader.read_line().await?.ok_or("the body has no end")?.is_empty() {
            return Ok(body);
        }
    }
    Err(Error::protocol_violation("there are too many trailers").into())
}

/// What the header `Content-Length` says. Said twice it has to be the same: else whoever is in between might
/// see another end.
fn length(head: &str) -> Result<Option<usize>> {
    let mut length = None;
    for (name, value) in headers(head) {
        if !name.eq_ignore_ascii_case("content-length") {
            continue;
        }
        let is_number = value.bytes().all(|digit| digit.is_ascii_digit());
        let value = value.parse().ok().filter(|_| is_number);
        let value = value.ok_or_else(|| Error::protocol_violation("a length that is no number"))?;
        if length.replace(value).is_some_and(|known| known != value) {
            return Err(Error::protocol_violation("two lengths").into());
        }
    }
    Ok(length)
}

fn status_of(head: &str) -> Result<u16> {
    let mut words = head.split([' ', '\r']);
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|status| status.parse().ok());
    match status.filter(|status| (100..1000).contains(status)) {
        Some(status) if version.starts_with("HTTP/1.") => Ok(status),
        _ => Err(Error::protocol_violation("the answer is not HTTP/1").into()),
    }
}

fn headers(head: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = head.split("\r\n").skip(1);
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
}

fn no_size() -> wharf::Failure {
    Error::protocol_violation("a chunk has no size").into()
}

fn too_long(limit: usize) -> wharf::Failure {
    format!("the body is longer than {limit} bytes").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, address, whole) in [
            ("http://a", "a:80", "http://a/"),
            ("HTTPS://Example.org/X?y#z", "example.org:443", "https://example.org/X?y"),
            ("http://a:8080?q", "a:8080", "http://a:8080/?q"),
            ("http://[::1]/", "[::1]:80", "http://[::1]/"),
            ("https://[::1]:7/x", "[::1]:7", "https://[::1]:7/x"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((&*url.address(), &*url.to_string()), (address, whole));
        }
        for text in ["a", "ftp://a/", "http:///x", "http://a:b/", "http://u@a/", "http://a/ b"] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn links_lead_on() {
        let page: Url = "http://a/x/y?q".parse().unwrap();
        for (link, whole) in [
            ("z", "http://a/x/z"),
            ("../z#f", "http://a/z"),
            ("../../../z", "http://a/z"),
            ("./", "http://a/x/"),
            ("..", "http://a/"),
            ("?r", "http://a/x/y?r"),
            ("#f", "http://a/x/y?q"),
            ("/z/./w?..", "http://a/z/w?.."),
            ("//b/z", "http://b/z"),
            ("https://b", "https://b/"),
        ] {
            assert_eq!(
                page.join(link).map(|url| url.to_string()).as_deref(),
                Some(whole),
                "{link}"
            );
        }
        for link in ["mailto:a@b", "javascript:x", "a b"] {
            assert_eq!(page.join(link), None);
        }
    }
}
