use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll};

use wharf::bytes::Bytes;
use wharf::{Transport as _, TransportHandle};

use crate::http::{HttpError, Rule};
use crate::notify::WakerSlot;

/// The content of a request, as it comes. While nobody reads it, the client is not read either: at most 64 KiB and one read
/// wait here.
///
/// Dropping it discards what comes.
pub struct RequestBody {
    /// `None`: there is no content.
    incoming: Option<Rc<Incoming>>,
    trailers: Option<http::HeaderMap>,
}

/// Above this the client is not read.
const MOST_WAITING: usize = 64 * 1024;

impl RequestBody {
    pub(super) const fn empty() -> Self {
        Self { incoming: None, trailers: None }
    }

    pub(super) fn new(handle: TransportHandle) -> (Self, Rc<Incoming>) {
        let incoming =
            Incoming { arrived: RefCell::default(), reader: WakerSlot::default(), handle };
        let incoming = Rc::new(incoming);
        (Self { incoming: Some(Rc::clone(&incoming)), trailers: None }, incoming)
    }

    /// The next piece: all that has come since the last one; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Rule::Truncated`]: the request ended before its content, as the client is gone, or broke a rule; or the request is
    /// answered, and what of its content had not come is discarded.
    pub async fn next(&mut self) -> Option<Result<Bytes, HttpError>> {
        let incoming = self.incoming.as_ref()?;
        let piece = poll_fn(|context| incoming.poll_next(context)).await;
        if piece.is_none() {
            self.trailers = incoming.arrived.borrow_mut().trailers.take();
            self.incoming = None;
        }
        piece
    }

    /// Whether nothing is to be read: the request has no content, or [`next`](Self::next) has said that it is over.
    pub fn at_eof(&self) -> bool {
        self.incoming.is_none()
    }

    /// All of it.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), and [`Rule::ContentTooLarge`] for more than `limit` bytes. A service that fails with it
    /// answers 413.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, HttpError> {
        let mut content = Vec::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if content.len() + piece.len() > limit {
                return Err(HttpError::of(Rule::ContentTooLarge));
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }

    /// The fields behind chunked content, once it is read to its end.
    pub fn trailers(&self) -> Option<&http::HeaderMap> {
        self.trailers.as_ref()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(incoming) = &self.incoming {
            incoming.discard();
        }
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

/// What the connection gives to whoever reads.
pub(super) struct Incoming {
    arrived: RefCell<Arrived>,
    reader: WakerSlot,
    handle: TransportHandle,
}

#[derive(Default)]
struct Arrived {
    /// What nobody has read yet. One buffer, as a client can send it byte by byte.
    content: Vec<u8>,
    trailers: Option<http::HeaderMap>,
    is_over: bool,
    is_cut: bool,
    is_paused: bool,
    is_dropped: bool,
}

impl Incoming {
    /// Takes a piece. Above the limit the client is not read on.
    pub(super) fn push(&self, piece: &[u8]) {
        let mut arrived = self.arrived.borrow_mut();
        if arrived.is_dropped {
            return;
        }
        arrived.content.extend_from_slice(piece);
        arrived.is_paused = arrived.content.len() > MOST_WAITING;
        if arrived.is_paused {
            self.handle.pause_reading();
        }
        drop(arrived);
        self.reader.wake();
    }

    pub(super) fn set_trailers(&self, trailers: http::HeaderMap) {
        self.arrived.borrow_mut().trailers = Some(trailers);
    }

    /// Nothing more comes. What has come can be read.
    pub(super) fn end(&self, is_cut: bool) {
        let mut arrived = self.arrived.borrow_mut();
        if !arrived.is_over {
            (arrived.is_over, arrived.is_cut) = (true, is_cut);
        }
        drop(arrived);
        self.reader.wake();
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Result<Bytes, HttpError>>> {
        let mut arrived = self.arrived.borrow_mut();
        if !arrived.content.is_empty() {
            if mem::take(&mut arrived.is_paused) {
                self.handle.resume_reading();
            }
            return Poll::Ready(Some(Ok(mem::take(&mut arrived.content).into())));
        }
        if arrived.is_cut {
            return Poll::Ready(Some(Err(HttpError::of(Rule::Truncated))));
        }
        if arrived.is_over {
            return Poll::Ready(None);
        }
        drop(arrived);
        self.reader.keep(context.waker());
        Poll::Pending
    }

    /// Nobody reads any more.
    fn discard(&self) {
        let mut arrived = self.arrived.borrow_mut();
        arrived.is_dropped = true;
        arrived.content = Vec::new();
        if mem::take(&mut arrived.is_paused) {
            self.handle.resume_reading();
        }
    }
}
