use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::bytes::Bytes;
use wharf::{ByteStream, Result, StreamWriter, timeout, timeout_at};

use super::super::{RequestEncoder, RequestEvent};
use super::connect::Origin;
use super::connection::{write_end, write_piece};
use super::pool::{MaxIdle, Pool};
use super::{HttpClientConnection, HttpClientError};

/// The content of a request: bytes, or what a function writes bit by bit.
pub struct RequestContent(pub(super) Kind);

pub(super) enum Kind {
    Bytes(Bytes),
    Writer { length: Option<u64>, write: Write },
}

/// A request on its way.
pub(super) type Upload = Pin<Box<dyn Future<Output = Result>>>;

/// Writes content, up to its end.
pub(super) type Write = Box<dyn FnOnce(Rc<StreamWriter>, RequestEncoder) -> Upload>;

impl RequestContent {
    /// What `write` writes, at the server's pace; in chunks, unless [`with_length`](Self::with_length) or the request's
    /// `Content-Length` says how much it is.
    ///
    /// If the server begins to answer before the end, the rest is sent while the answer's content is read. It is not sent to
    /// a server that refuses the request (a status from 400 on), or whose answer is over.
    pub fn from_writer<F>(write: F) -> Self
    where
        F: AsyncFnOnce(&mut RequestWriter<'_>) -> Result + 'static,
    {
        let write: Write = Box::new(|writer, mut encoder| {
            Box::pin(async move {
                let encoder = &mut encoder;
                let mut writing =
                    RequestWriter { writer: &writer, encoder, trailers: http::HeaderMap::new() };
                write(&mut writing).await?;
                let RequestWriter { encoder, trailers, .. } = writing;
                write_end(&writer, encoder, &trailers).await
            })
        });
        Self(Kind::Writer { length: None, write })
    }

    /// Says how long the content is that a function writes.
    #[must_use]
    pub fn with_length(mut self, bytes: u64) -> Self {
        if let Kind::Writer { length, .. } = &mut self.0 {
            *length = Some(bytes);
        }
        self
    }

    /// The same, if it can be sent more than once.
    pub(super) fn again(&self) -> Option<Self> {
        match &self.0 {
            Kind::Bytes(bytes) => Some(Self(Kind::Bytes(bytes.clone()))),
            Kind::Writer { .. } => None,
        }
    }

    pub(super) const fn empty() -> Self {
        Self(Kind::Bytes(Bytes::new()))
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => {
        $(impl From<$type> for RequestContent {
            fn from(content: $type) -> Self {
                Self(Kind::Bytes(content.into()))
            }
        })*
    };
}

from_bytes!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

impl From<()> for RequestContent {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl fmt::Debug for RequestContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContent").finish_non_exhaustive()
    }
}

/// What a function of [`RequestContent::from_writer`] writes content with.
#[derive(Debug)]
pub struct RequestWriter<'a> {
    writer: &'a StreamWriter,
    encoder: &'a mut RequestEncoder,
    trailers: http::HeaderMap,
}

impl RequestWriter<'_> {
    /// Sends some of the content, and waits until the server has taken enough.
    ///
    /// # Errors
    /// More content than was announced; the connection is gone.
    pub async fn write(&mut self, data: &[u8]) -> Result {
        write_piece(self.writer, self.encoder, RequestEvent::Data(data)).await
    }

    /// The fields to send behind the content, if it goes in chunks.
    pub fn trailers(&mut self) -> &mut http::HeaderMap {
        &mut self.trailers
    }
}

/// The content of an answer, as it comes. While nobody reads it, the server is not read either.
///
/// Dropping it before its end closes the connection.
pub struct ResponseBody {
    connection: Option<HttpClientConnection>,
    home: Home,
    timeouts: (Duration, Option<Instant>),
    trailers: Option<http::HeaderMap>,
}

/// Where a connection goes when its answer is over.
pub(super) struct Home {
    pub(super) origin: Origin,
    pub(super) pool: Rc<Pool>,
    pub(super) max_idle: MaxIdle,
}

impl ResponseBody {
    pub(super) fn new(
        connection: HttpClientConnection,
        home: Home,
        timeouts: (Duration, Option<Instant>),
    ) -> Self {
        Self { connection: Some(connection), home, timeouts, trailers: None }
    }

    /// The next piece; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The answer is cut off, breaks a rule, or is too slow; nothing follows.
    pub async fn next(&mut self) -> Option<Result<Bytes, HttpClientError>> {
        let connection = self.connection.as_mut()?;
        let (after, deadline) = self.timeouts;
        let data = timeout(after, connection.data());
        let data = match deadline {
            Some(deadline) => timeout_at(deadline, data).await.and_then(|data| data),
            None => data.await,
        };
        match data.map_err(Into::into).and_then(|data| data) {
            Ok(Some(data)) => Some(Ok(data)),
            Ok(None) => {
                let mut connection = self.connection.take()?;
                self.trailers = connection.take_trailers();
                if connection.is_tunnel() {
                    self.connection = Some(connection);
                } else {
                    let Home { origin, pool, max_idle } = &self.home;
                    pool.give_back(origin, connection, *max_idle);
                }
                None
            }
            Err(error) => {
                self.connection = None;
                Some(Err(error))
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), and content of more than `limit` bytes.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, HttpClientError> {
        let mut content = Vec::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if content.len() + piece.len() > limit {
                self.connection = None;
                return Err(HttpClientError::too_large());
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }

    /// Reads what little is left, so that the connection can be used again.
    pub(super) async fn discard(mut self) -> Result {
        let _ = timeout(DISCARD_WITHIN, self.read_to_end(DISCARD_MOST)).await;
        Ok(())
    }

    /// The fields behind the content, once it is read to its end.
    pub fn trailers(&self) -> Option<&http::HeaderMap> {
        self.trailers.as_ref()
    }

    /// The connection as a stream, after an answer of status 101; `None` after others.
    pub fn into_stream(self) -> Option<ByteStream> {
        self.connection
            .filter(HttpClientConnection::is_tunnel)
            .map(HttpClientConnection::into_stream)
    }
}

const DISCARD_MOST: usize = 16 * 1024;
const DISCARD_WITHIN: Duration = Duration::from_secs(1);

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("connection", &self.connection).finish_non_exhaustive()
    }
}
