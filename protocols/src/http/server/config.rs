use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wharf::Result;

use super::core::check_fields;
use super::service::{AsyncHandler, HttpService};
use super::{HttpConnection, HttpHandler};
use crate::http::head::canonical_reason;
use crate::http::{Headers, HttpError, Limits};

/// How a server of HTTP/1.1 treats its connections, and what all of them share. Cloning shares it.
///
/// | deadline | default |
/// |---|---|
/// | [`head_timeout`](Self::head_timeout): a head, from its first byte (or the connection's beginning) | 30 s |
/// | [`body_timeout`](Self::body_timeout): content, and a second more for each 500 bytes that have come | 30 s |
/// | [`idle_timeout`](Self::idle_timeout): between two requests | 75 s |
/// | [`write_timeout`](Self::write_timeout): a client that takes nothing of its answer | 60 s |
/// | [`total_timeout`](Self::total_timeout): a request with its answer | off |
///
/// A function of a request and its answer is all that a simple server needs:
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf_protocols::http::{Body, HttpServer, RequestBody};
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let hello = async |request: http::Request<RequestBody>| {
///         let text = format!("Hello, {}!", request.uri().path());
///         Ok::<_, wharf::Failure>(http::Response::new(Body::from(text)))
///     };
///     event_loop.create_server(HttpServer::new().serve(hello), "10.0.0.1:80").await?;
///
///     let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
///     writer.write_all(b"GET /you HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
///     let answer = reader.read_to_end(1000).await?;
///     assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.ends_with(b"Hello, /you!"));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone)]
pub struct HttpServer {
    pub(super) settings: Settings,
    /// The fields that every answer has, with their own line ends.
    standard: Vec<u8>,
}

#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) limits: Limits,
    pub(super) head_timeout: Option<Duration>,
    pub(super) body_timeout: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) write_timeout: Option<Duration>,
    pub(super) total_timeout: Option<Duration>,
    pub(super) max_requests: u64,
    pub(super) date: bool,
    /// The fields of every answer name the server.
    pub(super) server: bool,
}

impl HttpServer {
    /// The defaults: a `Date` field, `Server: wharf`, [`Limits::default`], no limit for the number of requests of a
    /// connection.
    pub fn new() -> Self {
        let settings = Settings {
            limits: Limits::default(),
            head_timeout: Some(Duration::from_secs(30)),
            body_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(75)),
            write_timeout: Some(Duration::from_secs(60)),
            total_timeout: None,
            max_requests: u64::MAX,
            date: true,
            server: true,
        };
        Self { settings, standard: b"Server: wharf\r\n".to_vec() }
    }

    /// What a client may send at most.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How long a head may take, from its first byte on; that of a connection's first request from the connection's
    /// beginning on. A client that is later is told (408), and the connection closed.
    #[must_use]
    pub fn head_timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.settings.head_timeout = after.into();
        self
    }

    /// How long content may take before it must have brought 500 bytes a second. Time in which the handler does not
    /// read does not count. A client that is later is told (408), and the connection closed.
    #[must_use]
    pub fn body_timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.settings.body_timeout = after.into();
        self
    }

    /// How long a connection may be without a request; then it is closed.
    #[must_use]
    pub fn idle_timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_timeout = after.into();
        self
    }

    /// How long a client may take nothing of an answer that waits; then the connection is aborted.
    #[must_use]
    pub fn write_timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.settings.write_timeout = after.into();
        self
    }

    /// How long a request may take all in all, up to the end of its answer; then it is answered by 503, or, if the answer
    /// has begun, the connection aborted.
    #[must_use]
    pub fn total_timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.settings.total_timeout = after.into();
        self
    }

    /// How many requests a connection may bring; it is closed after the last one.
    #[must_use]
    pub fn max_requests(mut self, count: u64) -> Self {
        self.settings.max_requests = count.max(1);
        self
    }

    /// Whether answers have a `Date`, as they should (RFC 9110, 6.6.1). It is the real one, in virtual time, too: without
    /// it, equal runs give equal bytes.
    #[must_use]
    pub fn date(mut self, on: bool) -> Self {
        self.settings.date = on;
        self
    }

    /// Sets the fields that every answer has: `Server: wharf` unless set.
    ///
    /// # Errors
    /// Fields that cannot be sent, and those that say how the content is sent.
    pub fn standard_fields(mut self, fields: &[(&str, &[u8])]) -> Result<Self, HttpError> {
        let headers = Headers::new(fields)?;
        check_fields(headers)?;
        self.settings.server = headers.get("Server").is_some();
        self.standard.clear();
        headers.write_to(&mut self.standard);
        Ok(self)
    }

    /// A factory of protocols for `create_server`: each request is answered by a call of `service`, in a task of its
    /// connection: the requests of one connection come one after the other.
    pub fn serve<S: HttpService>(
        self,
        service: S,
    ) -> impl FnMut() -> HttpConnection<AsyncHandler<S>> {
        let service = Rc::new(service);
        self.serve_with(move || AsyncHandler::new(Rc::clone(&service)))
    }

    /// A factory of protocols for `create_server`, each with a handler of its own.
    pub fn serve_with<H: HttpHandler>(
        self,
        mut handler: impl FnMut() -> H,
    ) -> impl FnMut() -> HttpConnection<H> {
        let shared = Rc::new(Shared {
            settings: self.settings,
            output: RefCell::default(),
            standard: RefCell::new(Standard::new(&self.standard)),
        });
        move || HttpConnection::new(Rc::clone(&shared), handler())
    }
}

impl Default for HttpServer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer").field("limits", &self.settings.limits).finish_non_exhaustive()
    }
}

/// What all connections of a server share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    /// Where the answers of one callback are put together.
    pub(super) output: RefCell<Vec<u8>>,
    standard: RefCell<Standard>,
}

/// What every answer begins with, with the date of this second: the status line of most, then the fields.
struct Standard {
    text: Vec<u8>,
    /// Without the date.
    length: usize,
    /// The second of the date, and the next one.
    from: SystemTime,
    until: SystemTime,
}

/// What most answers begin with.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";

impl Standard {
    fn new(fields: &[u8]) -> Self {
        let text = [OK, fields].concat();
        Self { length: text.len(), text, from: UNIX_EPOCH, until: UNIX_EPOCH }
    }

    /// Brings the date up to date.
    #[inline]
    fn look_at_the_clock(&mut self) {
        let now = SystemTime::now();
        if now < self.from || now >= self.until {
            self.set_date(now);
        }
    }

    #[cold]
    fn set_date(&mut self, now: SystemTime) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.from = UNIX_EPOCH + Duration::from_secs(seconds);
        self.until = self.from + Duration::from_secs(1);
        self.text.truncate(self.length);
        for part in ["Date: ", &httpdate::fmt_http_date(now), "\r\n"] {
            self.text.extend_from_slice(part.as_bytes());
        }
    }
}

impl Shared {
    /// Writes the status line, and the fields of every answer.
    #[inline]
    pub(super) fn write_beginning(&self, status: u16, output: &mut Vec<u8>) {
        let mut standard = self.standard.borrow_mut();
        // Once for all answers of a callback.
        if self.settings.date && output.is_empty() {
            standard.look_at_the_clock();
        }
        if status == 200 {
            output.extend_from_slice(&standard.text);
        } else {
            write_status(status, output);
            output.extend_from_slice(&standard.text[OK.len()..]);
        }
    }
}

pub(super) fn write_status(status: u16, output: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    for part in ["HTTP/1.1 ", digits.format(status), " ", canonical_reason(status), "\r\n"] {
        output.extend_from_slice(part.as_bytes());
    }
}
