//! The client, on wharf's streams.

mod body;
mod connect;
mod connection;
mod error;
mod pool;
mod redirect;
mod request;
mod sending;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upload_tests;

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{ByteStream, EventLoop, Result, timeout, timeout_at};

pub use body::{RequestContent, RequestWriter, ResponseBody};
pub use connection::HttpClientConnection;
pub use error::HttpClientError;

use super::{Limits, ResponseHead};
use body::Home;
use connect::{Origin, Secure};
use pool::{MaxIdle, Pool};

/// A client of HTTP/1.1: connections that are used again, deadlines, redirects and a proxy if asked for. Cloning shares the
/// connections.
///
/// | deadline | default |
/// |---|---|
/// | [`connect_timeout`](Self::connect_timeout): a connection, with its handshakes | 30 s |
/// | [`head_timeout`](Self::head_timeout): from the request's beginning to the answer's head | 60 s |
/// | [`body_timeout`](Self::body_timeout): between two pieces of content | 60 s |
/// | [`total_timeout`](Self::total_timeout): all of it, with redirects | off |
///
/// Contents are not decoded: a client that sends no `Accept-Encoding` gets them as they are. There are no cookies, and no
/// cache.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf_protocols::http::{HttpClient, HttpServer, RequestBody};
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let service = async |_: http::Request<RequestBody>| http::Response::new("hello");
///     event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
///
///     let client = HttpClient::new(&event_loop);
///     let mut response = client.get("http://10.0.0.1/").await?;
///     assert_eq!(response.status(), 200);
///     assert_eq!(response.body_mut().read_to_end(1000).await?, b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # TLS
/// `https` needs `tls`, with the feature `tls`; or a function that puts another TLS on a stream
/// ([`secure_with`](Self::secure_with)).
///
#[cfg_attr(feature = "tls", doc = "```no_run")]
#[cfg_attr(not(feature = "tls"), doc = "```ignore")]
/// # use wharf_protocols::http::HttpClient;
/// # fn client(event_loop: &wharf::EventLoop) -> wharf::Result<HttpClient> {
/// let tls = wharf::TlsClient::builder().alpn(["http/1.1"]).build()?;
/// let client = HttpClient::new(event_loop).tls(tls);
/// # Ok(client)
/// # }
/// ```
#[derive(Clone)]
pub struct HttpClient {
    event_loop: EventLoop,
    settings: Settings,
    pool: Rc<Pool>,
}

#[derive(Clone)]
struct Settings {
    limits: Limits,
    connect_timeout: Duration,
    head_timeout: Duration,
    body_timeout: Duration,
    total_timeout: Option<Duration>,
    max_redirects: usize,
    max_idle: MaxIdle,
    proxy: Option<Rc<str>>,
    secure: Option<Secure>,
}

impl HttpClient {
    /// The defaults: [`Limits::default`] but for content, which is not limited; no redirects; no proxy; up to 8 idle
    /// connections to a host and 64 in all, for 30 s each.
    pub fn new(event_loop: &EventLoop) -> Self {
        let settings = Settings {
            limits: Limits { max_content: u64::MAX, ..Limits::default() },
            connect_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            total_timeout: None,
            max_redirects: 0,
            max_idle: MaxIdle { of_a_host: 8, in_all: 64 },
            proxy: None,
            secure: None,
        };
        Self { event_loop: event_loop.clone(), settings, pool: Pool::new(event_loop) }
    }

    /// What a server may send at most.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How long a connection may take to be made, with TLS and a proxy.
    #[must_use]
    pub fn connect_timeout(mut self, after: Duration) -> Self {
        self.settings.connect_timeout = after;
        self
    }

    /// How long it may take from the beginning of a request to the head of its answer.
    #[must_use]
    pub fn head_timeout(mut self, after: Duration) -> Self {
        self.settings.head_timeout = after;
        self
    }

    /// How long it may take from one piece of an answer's content to the next.
    #[must_use]
    pub fn body_timeout(mut self, after: Duration) -> Self {
        self.settings.body_timeout = after;
        self
    }

    /// How long a request may take all in all, up to the end of its answer's content.
    #[must_use]
    pub fn total_timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.settings.total_timeout = after.into();
        self
    }

    /// How many redirects are followed, one after the other; none unless set. One that cannot be followed is the answer: the
    /// content cannot be sent again, or it leads from `https` to `http`. At another origin, credentials are left out.
    #[must_use]
    pub fn max_redirects(mut self, count: usize) -> Self {
        self.settings.max_redirects = count;
        self
    }

    /// Makes all connections by CONNECT to a proxy at `address`, such as `127.0.0.1:3128`.
    #[must_use]
    pub fn proxy(mut self, address: impl Into<String>) -> Self {
        self.settings.proxy = Some(address.into().into());
        self.pool = Pool::new(&self.event_loop);
        self
    }

    /// The TLS of `https`. The name that a server must have is the host of the URI.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    #[must_use]
    pub fn tls(self, tls: wharf::TlsClient) -> Self {
        self.secure_with(async move |mut stream, host| {
            stream.start_tls(tls.clone().server_name(host)).await?;
            Ok(stream)
        })
    }

    /// What puts TLS on a stream, for `https`, where it is not wharf's (`tls`); it is given the host's name.
    #[must_use]
    pub fn secure_with<F>(mut self, secure: F) -> Self
    where
        F: AsyncFn(ByteStream, String) -> Result<ByteStream> + 'static,
    {
        self.settings.secure = Some(connect::boxed(secure));
        self.pool = Pool::new(&self.event_loop);
        self
    }

    /// How many connections wait for the next request: to one host, and in all. None with 0.
    #[must_use]
    pub fn max_idle(mut self, of_a_host: usize, in_all: usize) -> Self {
        self.settings.max_idle = MaxIdle { of_a_host, in_all };
        self
    }

    /// Fetches what `uri` names.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn get(&self, uri: &str) -> Result<http::Response<ResponseBody>, HttpClientError> {
        let request = http::Request::get(uri).body(());
        // Without what may be a password.
        let shown = uri.rsplit('@').next().unwrap_or_default();
        self.send(request.map_err(|_| HttpClientError::uri(shown, "a malformed URI"))?).await
    }

    /// Sends a request, and gives the answer when its head has come. The content is then read from it, at the reader's pace;
    /// the connection is used again when it was read to its end.
    ///
    /// `Host`, unless given, the length and the coding of the content are written by the client, whatever the request says.
    /// With `Expect: 100-continue` the content is held back until the server wants it, at most for a second; if the server
    /// answers before, it is not sent. A request
    /// that may be repeated is sent once more when a connection that was used before turns out to be closed. Dropping the
    /// future closes the connection.
    ///
    /// # Errors
    /// The URI is not `http` or `https` with a host; no connection; no answer in time; an answer that breaks a rule.
    pub async fn send<B: Into<RequestContent>>(
        &self,
        request: http::Request<B>,
    ) -> Result<http::Response<ResponseBody>, HttpClientError> {
        Ok(self.send_and_follow(request).await?)
    }

    async fn send_and_follow<B: Into<RequestContent>>(
        &self,
        request: http::Request<B>,
    ) -> Result<http::Response<ResponseBody>> {
        let deadline =
            self.settings.total_timeout.and_then(|after| self.event_loop.time().checked_add(after));
        let (mut parts, content) = request.into_parts();
        let mut content = content.into();
        let mut redirects = self.settings.max_redirects;
        loop {
            let again = content.again();
            let response = self.send_once(&parts, content, deadline);
            let response = within(deadline, response).await?;
            if redirects == 0 {
                return Ok(response);
            }
            match redirect::follow(&parts, &response, again) {
                Some((next, next_content)) => {
                    (parts, content) = (next, next_content);
                    within(deadline, response.into_body().discard()).await?;
                }
                None => return Ok(response),
            }
            redirects -= 1;
        }
    }

    async fn send_once(
        &self,
        parts: &http::request::Parts,
        content: RequestContent,
        deadline: Option<Instant>,
    ) -> Result<http::Response<ResponseBody>> {
        let origin = Origin::of(&parts.uri)?;
        let mut content = content;
        while let Some(mut connection) = self.pool.take(&origin) {
            // A clone of this client may have others.
            connection.set_limits(self.settings.limits);
            let again = content.again().filter(|_| parts.method.is_idempotent());
            match self.exchange(connection, &origin, parts, content, deadline).await {
                // It was closed meanwhile, as servers do: nothing has come of the answer.
                Err(Lost { is_silent: true, error }) => content = again.ok_or(error)?,
                Err(Lost { error, .. }) => return Err(error),
                Ok(response) => return Ok(response),
            }
        }
        let connecting = connect::connect(&self.event_loop, &self.settings, &origin);
        let stream = timeout(self.settings.connect_timeout, connecting).await??;
        let connection = HttpClientConnection::new(stream).limits(self.settings.limits);
        let outcome = self.exchange(connection, &origin, parts, content, deadline).await;
        outcome.map_err(|lost| lost.error)
    }

    async fn exchange(
        &self,
        mut connection: HttpClientConnection,
        origin: &Origin,
        parts: &http::request::Parts,
        content: RequestContent,
        deadline: Option<Instant>,
    ) -> Result<http::Response<ResponseBody>, Lost> {
        let sending = request::send(&mut connection, origin, parts, content);
        let outcome = match timeout(self.settings.head_timeout, sending).await {
            Ok(outcome) => outcome,
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(response) => {
                let home = Home {
                    origin: origin.clone(),
                    pool: Rc::clone(&self.pool),
                    max_idle: self.settings.max_idle,
                };
                let timeouts = (self.settings.body_timeout, deadline);
                Ok(response.map(|_| ResponseBody::new(connection, home, timeouts)))
            }
            Err(error) => Err(Lost { is_silent: connection.is_silent(), error }),
        }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// A connection that gave no answer.
struct Lost {
    /// Whether nothing at all has come, and the connection is closed.
    is_silent: bool,
    error: wharf::Failure,
}

async fn within<T>(
    deadline: Option<Instant>,
    action: impl Future<Output = Result<T>>,
) -> Result<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, action).await?,
        None => action.await,
    }
}

/// A head out of the decoder's hands.
fn owned(head: &ResponseHead<'_>) -> Result<http::Response<()>> {
    let mut response =
        http::Response::builder().status(head.status()).version(head.version().into()).body(())?;
    *response.headers_mut() = head.headers().to_map();
    Ok(response)
}
