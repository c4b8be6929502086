use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};

use wharf::bytes::Bytes;
use wharf::{ByteStream, Result, Transport as _, TransportHandle};

use super::Answer;
use crate::http::HttpError;

/// The content of a request, as it comes. While nobody reads it, the client is not read either: at most 64 KiB and one read
/// wait here.
///
/// Dropping it discards what comes.
pub struct RequestBody(Option<Rc<RefCell<Incoming>>>);

/// What has come, and who waits.
#[derive(Default)]
pub(super) struct Incoming {
    pieces: VecDeque<Bytes>,
    waiting: usize,
    is_over: bool,
    is_cut: bool,
    is_paused: bool,
    is_dropped: bool,
    trailers: Option<http::HeaderMap>,
    waker: Option<Waker>,
    handle: Option<TransportHandle>,
}

/// Above this the client is not read.
const MOST_WAITING: usize = 64 * 1024;

impl RequestBody {
    pub(super) const fn empty() -> Self {
        Self(None)
    }

    pub(super) fn new(handle: TransportHandle) -> (Self, Rc<RefCell<Incoming>>) {
        let incoming = Incoming { handle: Some(handle), ..Incoming::default() };
        let incoming = Rc::new(RefCell::new(incoming));
        (Self(Some(Rc::clone(&incoming))), incoming)
    }

    /// The next piece; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The request ended before its content: the client is gone, or broke a rule.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        let incoming = self.0.as_ref()?;
        poll_fn(|context| {
            let mut this = incoming.borrow_mut();
            if let Some(piece) = this.pieces.pop_front() {
                this.waiting -= piece.len();
                if this.is_paused && this.waiting < MOST_WAITING / 2 {
                    this.resume();
                }
                return Poll::Ready(Some(Ok(piece)));
            }
            if this.is_cut {
                return Poll::Ready(Some(Err("the request was cut off".into())));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            this.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// All of it.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), and content of more than `limit` bytes.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if content.len() + piece.len() > limit {
                return Err(format!("the content is above {limit} bytes").into());
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }

    /// The fields behind chunked content, once it is read to its end.
    pub fn trailers(&self) -> Option<http::HeaderMap> {
        self.0.as_ref()?.borrow_mut().trailers.take()
    }
}

impl Incoming {
    /// Takes a piece, and says whether the client is to be read on.
    pub(super) fn push(&mut self, piece: &[u8]) -> bool {
        if self.is_dropped {
            return true;
        }
        self.pieces.push_back(Bytes::copy_from_slice(piece));
        self.waiting += piece.len();
        self.is_paused = self.waiting > MOST_WAITING;
        !self.is_paused
    }

    pub(super) fn set_trailers(&mut self, trailers: http::HeaderMap) {
        self.trailers = Some(trailers);
    }

    pub(super) fn end(&mut self, is_cut: bool) {
        self.is_over = true;
        self.is_cut = is_cut;
    }

    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        self.waker.take()
    }

    fn resume(&mut self) {
        self.is_paused = false;
        if let Some(handle) = &self.handle {
            handle.resume_reading();
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = &self.0 {
            let mut incoming = incoming.borrow_mut();
            incoming.is_dropped = true;
            incoming.pieces.clear();
            incoming.waiting = 0;
            if incoming.is_paused {
                incoming.resume();
            }
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

/// The content of an answer: bytes, a part of a file, what a function writes bit by bit, or another protocol.
pub struct Body(pub(super) Kind);

pub(super) enum Kind {
    Bytes(Bytes),
    File { file: Rc<File>, offset: u64, count: u64 },
    Writer { length: Option<u64>, write: Write },
    Upgrade(Box<dyn FnOnce(ByteStream)>),
}

pub(super) type Write =
    Box<dyn FnOnce(BodyWriter) -> Pin<Box<dyn Future<Output = Result<BodyWriter>>>>>;

impl Body {
    /// No content.
    pub const fn empty() -> Self {
        Self(Kind::Bytes(Bytes::new()))
    }

    /// `count` bytes of `file` from `offset` on, sent by the operating system itself.
    pub fn file(file: impl Into<Rc<File>>, offset: u64, count: u64) -> Self {
        Self(Kind::File { file: file.into(), offset, count })
    }

    /// What `write` writes, at the client's pace. An `Err` aborts the connection, so that the client does not take a part for
    /// the whole.
    ///
    /// ```
    /// use wharf_protocols::http::Body;
    ///
    /// let body = Body::from_writer(async |writer| {
    ///     for number in 0..1000 {
    ///         writer.write(format!("{number}\n").as_bytes()).await?;
    ///     }
    ///     Ok(())
    /// });
    /// # drop(body);
    /// ```
    pub fn from_writer<F>(write: F) -> Self
    where
        F: AsyncFnOnce(&mut BodyWriter) -> Result + 'static,
    {
        let write: Write = Box::new(|mut writer| {
            Box::pin(async move {
                write(&mut writer).await?;
                Ok(writer)
            })
        });
        Self(Kind::Writer { length: None, write })
    }

    /// Says how long the content is that a function writes, so that it is not sent in chunks.
    #[must_use]
    pub fn with_length(mut self, bytes: u64) -> Self {
        if let Kind::Writer { length, .. } = &mut self.0 {
            *length = Some(bytes);
        }
        self
    }

    /// For an answer of status 101, or 2xx to CONNECT: goes on with the connection as a stream.
    pub fn upgrade(next: impl FnOnce(ByteStream) + 'static) -> Self {
        Self(Kind::Upgrade(Box::new(next)))
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => {
        $(impl From<$type> for Body {
            fn from(content: $type) -> Self {
                Self(Kind::Bytes(content.into()))
            }
        })*
    };
}

from_bytes!(Bytes, Vec<u8>, String, &'static str, &'static [u8]);

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Bytes(bytes) => return f.debug_tuple("Body").field(&bytes.len()).finish(),
            Kind::File { .. } => "file",
            Kind::Writer { .. } => "writer",
            Kind::Upgrade(_) => "upgrade",
        };
        f.debug_tuple("Body").field(&kind).finish()
    }
}

/// What a function of [`Body::from_writer`] writes content with.
#[derive(Debug)]
pub struct BodyWriter {
    pub(super) answer: Answer,
    pub(super) trailers: http::HeaderMap,
}

impl BodyWriter {
    /// Sends some of the content, and waits until the client has taken enough.
    ///
    /// # Errors
    /// The client is gone; more content than was announced.
    pub async fn write(&mut self, data: &[u8]) -> Result<(), HttpError> {
        self.answer.write(data)?;
        self.answer.drain().await
    }

    /// Sends a part of a file.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub async fn write_file(
        &mut self,
        file: Rc<File>,
        offset: u64,
        count: u64,
    ) -> Result<(), HttpError> {
        self.answer.write_file(file, offset, count)?;
        self.answer.drain().await
    }

    /// The fields to send behind the content, if it goes in chunks.
    pub fn trailers(&mut self) -> &mut http::HeaderMap {
        &mut self.trailers
    }
}
