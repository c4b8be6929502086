use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::rc::Rc;

use wharf::{Protocol, Transport, WriteStatus};

use super::Answer;
use super::core::{AnswerState, Core, install};
use crate::http::{Headers, HttpError, Rule};

/// The request under way, in a callback of its [`HttpHandler`](super::HttpHandler): what to answer through.
///
/// Content-Length, Transfer-Encoding, Connection, Date and Server are the server's to write: an answer that names one of the
/// first two is refused, and a Date or Server of its own is left out, unless the server writes none. `Connection: close` closes
/// the connection after the answer.
pub struct Exchange<'a> {
    pub(super) core: &'a Rc<RefCell<Core>>,
    pub(super) transport: &'a dyn Transport,
}

impl<'a> Exchange<'a> {
    /// Sends a whole answer. To HEAD, only its head with the length of `content`.
    ///
    /// # Errors
    /// [`Rule::Order`] if the request is answered already; [`Rule::FieldName`] and others for what cannot be sent, and
    /// nothing is sent then. [`Rule::ContentNotAllowed`] for 2xx to CONNECT, which is [`upgrade`](Self::upgrade)'s to say.
    #[inline]
    pub fn respond(
        &mut self,
        status: u16,
        fields: &[(&str, &[u8])],
        content: &[u8],
    ) -> Result<(), HttpError> {
        let headers = Headers::new(fields)?;
        self.core.borrow_mut().respond(self.transport, status, headers, content)
    }

    /// Begins an answer whose content comes by [`write`](Self::write); `length` is its length, if it is known. If not, it
    /// goes in chunks, or towards HTTP/1.0 until the connection's end.
    ///
    /// # Errors
    /// As for [`respond`](Self::respond).
    pub fn begin(
        &mut self,
        status: u16,
        fields: &[(&str, &[u8])],
        length: Option<u64>,
    ) -> Result<(), HttpError> {
        let headers = Headers::new(fields)?;
        self.core.borrow_mut().head(self.transport, status, headers, length)
    }

    /// Sends some of the content. When it says that the write buffer is above its high-water mark, stop:
    /// [`HttpHandler::writable`](super::HttpHandler::writable) says when to go on. What is written meanwhile is queued.
    ///
    /// # Errors
    /// [`Rule::Order`] outside of an answer; [`Rule::LengthMismatch`] for more than was announced.
    pub fn write(&mut self, data: &[u8]) -> Result<WriteStatus, HttpError> {
        self.core.borrow_mut().data(self.transport, data)
    }

    /// Sends a part of a file as content, by the operating system itself (see [`Transport::send_file`]).
    ///
    /// # Errors
    /// As for [`write`](Self::write). [`Rule::LengthMismatch`] also for a file that does not have these bytes; the connection
    /// is aborted then, since they are announced.
    pub fn write_file(&mut self, file: Rc<File>, offset: u64, count: u64) -> Result<(), HttpError> {
        write_file(&mut self.core.borrow_mut(), self.transport, file, offset, count)
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// [`Rule::LengthMismatch`] if content is missing, [`Rule::Order`] outside of an answer.
    pub fn finish(&mut self) -> Result<(), HttpError> {
        self.core.borrow_mut().finish(self.transport, Headers::EMPTY)
    }

    /// Ends the answer with fields behind its content; they are left out where there are no chunks.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish), and [`Rule::TrailerNotAllowed`].
    pub fn finish_with(&mut self, trailers: &[(&str, &[u8])]) -> Result<(), HttpError> {
        let trailers = Headers::new(trailers)?;
        self.core.borrow_mut().finish(self.transport, trailers)
    }

    /// Sends an interim answer, such as 103 (RFC 8297); `100 Continue` is sent without being asked for.
    ///
    /// # Errors
    /// As for [`respond`](Self::respond).
    pub fn interim(&mut self, status: u16, fields: &[(&str, &[u8])]) -> Result<(), HttpError> {
        let headers = Headers::new(fields)?;
        self.core.borrow_mut().interim(self.transport, status, headers)
    }

    /// Goes on by another protocol: sends a head of status 101 (or 2xx, to CONNECT) with `fields`, which have to name it,
    /// and puts `next` in the place of this protocol when the request is over. What the client sent beyond the request is
    /// given to it first.
    ///
    /// # Errors
    /// As for [`respond`](Self::respond). [`Rule::Order`] also for 101 where the request is none for an
    /// [upgrade](crate::http::RequestHead::is_upgrade), and for 2xx where it is no CONNECT.
    pub fn upgrade(
        &mut self,
        status: u16,
        fields: &[(&str, &[u8])],
        next: impl Protocol,
    ) -> Result<(), HttpError> {
        let headers = Headers::new(fields)?;
        let next = install(Box::new(next));
        self.core.borrow_mut().upgrade(self.transport, status, headers, next)
    }

    /// Answers later, from a task or a timer.
    ///
    /// # Errors
    /// [`Rule::Order`] if the answer is complete, or somebody has it already.
    pub fn later(&mut self) -> Result<Answer, HttpError> {
        let mut core = self.core.borrow_mut();
        if core.answer == AnswerState::Complete || core.is_given {
            return Err(HttpError::of(Rule::Order));
        }
        core.is_given = true;
        Ok(Answer::new(Rc::clone(self.core), core.number))
    }

    /// The connection.
    pub fn transport(&self) -> &'a dyn Transport {
        self.transport
    }
}

impl fmt::Debug for Exchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

pub(super) fn write_file(
    core: &mut Core,
    transport: &dyn Transport,
    file: Rc<File>,
    offset: u64,
    count: u64,
) -> Result<(), HttpError> {
    if core.answer != AnswerState::Begun {
        return Err(HttpError::of(Rule::Order));
    }
    if core.has_no_content() || count == 0 {
        return Ok(());
    }
    core.before_content(transport, count)?;
    let sending = transport.send_file(file, offset, Some(count));
    let is_refused = sending.count() == 0;
    sending.detach();
    // A client that is gone is no fault of the handler: as in `write`.
    if is_refused && !transport.is_closing() {
        // It is shorter, or no file. Its length is announced, and what comes next must not be taken for it.
        transport.abort();
        return Err(HttpError::of(Rule::LengthMismatch));
    }
    if core.is_chunked() {
        transport.write(b"\r\n");
    }
    Ok(())
}
