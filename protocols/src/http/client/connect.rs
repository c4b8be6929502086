use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use wharf::{ByteStream, EventLoop, Failure, Result};

use super::super::{Headers, RequestHead, Version};
use super::{HttpClientConnection, HttpClientError, Settings};

/// What puts TLS on a stream.
pub(super) type Secure =
    Rc<dyn Fn(ByteStream, String) -> Pin<Box<dyn Future<Output = Result<ByteStream>>>>>;

pub(super) fn boxed<F>(secure: F) -> Secure
where
    F: AsyncFn(ByteStream, String) -> Result<ByteStream> + 'static,
{
    let secure = Rc::new(secure);
    Rc::new(move |stream, host| {
        let secure = Rc::clone(&secure);
        Box::pin(async move { secure(stream, host).await })
    })
}

/// Whom a connection is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) is_secure: bool,
    /// Without brackets.
    host: Rc<str>,
    port: u16,
}

impl Origin {
    pub(super) fn of(uri: &http::Uri) -> Result<Self> {
        let wrong = |rule| Failure::from(HttpClientError::uri(uri.to_string(), rule));
        // First of all, so that no other error shows a password.
        let authority = uri.authority().ok_or_else(|| wrong("a URI without a host"))?;
        if authority.as_str().contains('@') {
            let rule = "a URI with a user; send an Authorization field instead";
            return Err(HttpClientError::uri(authority.host(), rule).into());
        }
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("neither http nor https")),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("a URI without a host"));
        }
        let behind_host = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |of| of.1);
        let port = match behind_host.split_once(':') {
            None | Some((_, "")) if is_secure => 443,
            None | Some((_, "")) => 80,
            // The usual one is not meant by one that is none, such as 99999.
            Some((_, port)) => port.parse().map_err(|_| wrong("a URI with a port that is none"))?,
        };
        Ok(Self { is_secure, host: host.to_ascii_lowercase().into(), port })
    }

    /// The value of Host: without the port, if it is the usual one.
    pub(super) fn host(&self) -> String {
        match (self.is_secure, self.port) {
            (false, 80) | (true, 443) => bracketed(&self.host),
            _ => self.authority(),
        }
    }

    fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

pub(super) async fn connect(
    event_loop: &EventLoop,
    settings: &Settings,
    origin: &Origin,
) -> Result<ByteStream> {
    let secure = match (origin.is_secure, &settings.secure) {
        (false, _) => None,
        (true, Some(secure)) => Some(secure),
        (true, None) => {
            return Err(HttpClientError::uri(
                origin.authority(),
                "https needs TLS, see `HttpClient::tls`",
            )
            .into());
        }
    };
    let stream = match &settings.proxy {
        None => open(event_loop, &origin.authority()).await?,
        Some(proxy) => tunnel(open(event_loop, proxy).await?, settings, origin).await?,
    };
    match secure {
        Some(secure) => secure(stream, origin.host.to_string()).await,
        None => Ok(stream),
    }
}

async fn open(event_loop: &EventLoop, address: &str) -> Result<ByteStream> {
    let (reader, writer) = event_loop.open_connection(address).await?;
    Ok(ByteStream::join(reader, writer))
}

/// Asks a proxy to connect.
async fn tunnel(stream: ByteStream, settings: &Settings, origin: &Origin) -> Result<ByteStream> {
    let authority = origin.authority();
    let fields = [("Host", authority.as_bytes())];
    let head = RequestHead::new("CONNECT", &authority, Version::Http11, Headers::new(&fields)?)?;
    let mut connection = HttpClientConnection::new(stream).limits(settings.limits);
    connection.send(&head, b"").await?;
    let status = connection.head(|head| head.status()).await?;
    match status {
        200..300 => Ok(connection.into_stream()),
        status => Err(HttpClientError::ProxyRefused(status).into()),
    }
}
