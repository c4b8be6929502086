//! The protocol under a stream.

use std::fmt;
use std::rc::Rc;

use super::chunk::{Chunk, LARGEST};
use super::link::{Link, State};
use super::{StreamReader, StreamWriter};
use crate::error::{Error, Kind, Result};
use crate::event_loop::Core;
use crate::protocol::sealed::Token;
use crate::protocol::{BufferedProtocol, Eof, Protocol};
use crate::transport::{Access, Transport, TransportHandle};

/// The protocol of a connection that is used by a [`StreamReader`] and a [`StreamWriter`]: asyncio's
/// `StreamReaderProtocol`.
///
/// It appears in the types of builders only.
#[doc(alias("StreamReaderProtocol"))]
pub struct StreamProtocol {
    link: Rc<Link>,
    /// Who gets the halves of a server's connection, until then.
    taker: Option<Rc<dyn Taker>>,
    /// The piece that is received into, while much comes.
    piece: Option<Chunk>,
}

/// Who gets the halves of a server's connections, as soon as they are made.
pub(super) trait Taker {
    fn take(self: Rc<Self>, stream: &StreamProtocol);
}

impl StreamProtocol {
    pub(super) fn new(core: &Rc<Core>) -> Self {
        Self { link: Link::new(core), taker: None, piece: None }
    }

    pub(super) fn for_taker(core: &Rc<Core>, taker: Rc<dyn Taker>) -> Self {
        Self { link: Link::new(core), taker: Some(taker), piece: None }
    }

    /// One for a connection that is there already.
    pub(super) fn on(transport: &TransportHandle) -> Self {
        let stream = Self::new(transport.core());
        stream.link.attach(transport);
        stream
    }

    pub(super) fn link(&self) -> &Rc<Link> {
        &self.link
    }

    /// Its two halves; to be asked for once.
    pub(super) fn halves(&self) -> (StreamReader, StreamWriter) {
        Self::halves_of(&self.link)
    }

    pub(super) fn halves_of(link: &Rc<Link>) -> (StreamReader, StreamWriter) {
        (StreamReader::new(Rc::clone(link)), StreamWriter::new(Rc::clone(link)))
    }
}

impl Protocol for StreamProtocol {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.link.attach(transport);
        if let Some(taker) = self.taker.take() {
            taker.take(self);
        }
        Ok(())
    }

    #[inline]
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.link.received(transport, data);
        Ok(())
    }

    /// The writer goes on until it is closed or dropped.
    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.link.ended();
        Ok(Eof::KeepOpen)
    }

    /// Whoever writes waits by itself: nothing is held.
    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.link.set(State::WRITING_PAUSED);
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.link.resumed_writing();
        Ok(())
    }

    fn shutting_down(&mut self, _: &dyn Transport) -> Result {
        self.link.note(State::SHUTTING_DOWN);
        Ok(())
    }

    fn tls_established(&mut self, _: &dyn Transport) -> Result {
        self.link.clear(State::UPGRADING);
        self.link.waiting.wake_all(self.link.core());
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.link.lost(error);
        Ok(())
    }

    fn as_buffered(&mut self, _: Token) -> Option<&mut dyn BufferedProtocol> {
        if self.link.has(State::BULK) { Some(self) } else { None }
    }
}

/// While much comes at a time. All other callbacks are those of [`Protocol`].
impl BufferedProtocol for StreamProtocol {
    fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
        Ok(self.piece.get_or_insert_with(|| Chunk::with_room(LARGEST)).spare())
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) -> Result {
        if let Some(mut piece) = self.piece.take() {
            piece.add(count);
            self.link.received_chunk(transport, piece);
        }
        Ok(())
    }

    fn buffer_unused(&mut self, _: Token) {
        self.piece = None;
    }
}

impl Drop for StreamProtocol {
    /// Another protocol has taken its place, if it was not told of the end.
    fn drop(&mut self) {
        if !self.link.has(State::LOST) {
            self.link.lost(Some(&Error::bare(Kind::Replaced)));
        }
    }
}

impl fmt::Debug for StreamProtocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamProtocol").finish_non_exhaustive()
    }
}
