//! The answer under way of a connection, which its protocol shares with whoever answers later.

use std::rc::Rc;

use wharf::{Protocol, Transport, TransportHandle, WriteStatus};

use super::config::{Shared, write_status};
use crate::field_syntax::list;
use crate::http::body_encoder::{BodyEncoder, write_chunk_size};
use crate::http::{Headers, HttpError, RequestHead, Rule, Version};
use crate::notify::Notify;

pub(super) struct Core {
    pub(super) shared: Rc<Shared>,
    pub(super) handle: Option<TransportHandle>,
    /// Which request this is: later answers belong to one.
    pub(super) number: u64,
    pub(super) request: RequestState,
    pub(super) answer: AnswerState,
    body: BodyEncoder,
    is_head: bool,
    is_connect: bool,
    is_upgrade: bool,
    version: Version,
    /// Somebody answers later.
    pub(super) is_given: bool,
    pub(super) keep_alive: bool,
    /// The client waits for `100 Continue`.
    pub(super) expects_continue: bool,
    /// Answers of the running callback, which are sent together; without memory outside.
    output: Vec<u8>,
    /// Whether a callback runs.
    is_gathering: bool,
    /// What to go on with once the request is over.
    pub(super) next: Option<Next>,
    pub(super) is_writing_paused: bool,
    pub(super) is_lost: bool,
    /// Those who wait for room to write; made for the first one.
    pub(super) writable: Option<Rc<Notify>>,
}

pub(super) type Next = Box<dyn FnOnce(&dyn Transport)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestState {
    None,
    /// Its head has come, not its end.
    Content,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerState {
    /// Its head is not written.
    Awaited,
    Begun,
    Complete,
}

/// Flushed before more is put together.
const MOST_GATHERED: usize = 64 * 1024;

impl Core {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self {
            shared,
            handle: None,
            number: 0,
            request: RequestState::None,
            answer: AnswerState::Complete,
            body: BodyEncoder::Idle,
            is_head: false,
            is_connect: false,
            is_upgrade: false,
            version: Version::Http11,
            is_given: false,
            keep_alive: true,
            expects_continue: false,
            output: Vec::new(),
            is_gathering: false,
            next: None,
            is_writing_paused: false,
            is_lost: false,
            writable: None,
        }
    }

    /// A request begins.
    #[inline]
    pub(super) fn begin(&mut self, head: &RequestHead<'_>) {
        self.number += 1;
        self.request = RequestState::Content;
        self.answer = AnswerState::Awaited;
        self.body = BodyEncoder::Idle;
        self.is_head = head.method() == "HEAD";
        self.is_connect = head.method() == "CONNECT";
        self.is_upgrade = head.is_upgrade();
        self.is_given = false;
        self.version = head.version();
        self.keep_alive &= head.is_kept_alive() && self.number < self.shared.settings.max_requests;
        self.expects_continue = head.expects_continue();
    }

    /// What comes is refused, in answer to the request under way or to one that cannot be known.
    pub(super) fn begin_refusal(&mut self) {
        if self.request == RequestState::None {
            (self.is_head, self.version) = (false, Version::Http11);
        }
        self.answer = AnswerState::Awaited;
    }

    /// A callback begins: what is written is gathered.
    #[inline]
    pub(super) fn gather(&mut self) {
        self.output = self.shared.output.take();
        self.is_gathering = true;
    }

    /// The callback is over.
    #[inline]
    pub(super) fn flush(&mut self, transport: &dyn Transport) {
        if self.is_gathering {
            self.is_gathering = false;
            let output = std::mem::take(&mut self.output);
            self.send(transport, output);
        }
    }

    /// Whether nothing can be answered to that request any more: it is given up, or its connection closes. `connection_lost`
    /// comes later.
    pub(super) fn is_gone(&self, number: u64) -> bool {
        let is_closing = self.handle.as_ref().is_none_or(|handle| handle.is_closing());
        self.is_lost || is_closing || self.number != number
    }

    /// Writes what was gathered, and gives the buffer back.
    #[inline]
    fn send(&self, transport: &dyn Transport, mut output: Vec<u8>) -> WriteStatus {
        let mut status = WriteStatus::Accepted;
        if !output.is_empty() {
            status = transport.write(&output);
            output.clear();
        }
        output.shrink_to(2 * MOST_GATHERED);
        self.shared.output.replace(output);
        status
    }

    /// What waits to be sent, gathered or queued.
    #[inline]
    pub(super) fn waiting(&self, transport: &dyn Transport) -> usize {
        self.output.len() + transport.write_buffer_size()
    }

    #[inline]
    fn with_output<R>(
        &mut self,
        transport: &dyn Transport,
        write: impl FnOnce(&mut Self, &mut Vec<u8>) -> R,
    ) -> (R, WriteStatus) {
        if !self.is_gathering {
            let mut output = self.shared.output.take();
            let result = write(self, &mut output);
            return (result, self.send(transport, output));
        }
        let mut output = std::mem::take(&mut self.output);
        let result = write(self, &mut output);
        let mut status = WriteStatus::Accepted;
        if output.len() > MOST_GATHERED {
            status = transport.write(&output);
            output.clear();
        }
        self.output = output;
        (result, status)
    }

    /// Writes a head, with `length` or else, in chunks or until the close.
    pub(super) fn head(
        &mut self,
        transport: &dyn Transport,
        status: u16,
        headers: Headers<'_>,
        length: Option<u64>,
    ) -> Result<(), HttpError> {
        self.check_head(status, headers)?;
        self.with_output(transport, |core, output| {
            core.write_head(status, headers, length, output);
        });
        Ok(())
    }

    /// Writes a head that was checked.
    #[inline]
    fn write_head(
        &mut self,
        status: u16,
        headers: Headers<'_>,
        length: Option<u64>,
        output: &mut Vec<u8>,
    ) {
        let length = if status == 204 { Some(0) } else { length };
        let is_chunked = length.is_none() && self.version == Version::Http11;
        let has_content = !self.is_head && !matches!(status, 204 | 304);
        self.body = match length {
            _ if !has_content => BodyEncoder::Exact(0),
            Some(length) => BodyEncoder::Exact(length),
            None if is_chunked => BodyEncoder::Chunked,
            None => BodyEncoder::UntilClose,
        };
        // The length could only be known from the close.
        self.keep_alive &= length.is_some() || is_chunked || !has_content;
        if self.expects_continue && self.request == RequestState::Content {
            // It is unknown whether the content comes.
            self.keep_alive = false;
        }
        self.answer = AnswerState::Begun;
        self.shared.write_beginning(status, output);
        self.write_fields(headers, output);
        match length {
            // A 204 has none (RFC 9110, 8.6).
            _ if status == 204 => {}
            // What a 304 has is of the content that is not sent.
            Some(0) if status == 304 => {}
            Some(length) => write_length(length, output),
            None if is_chunked => output.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            None => {}
        }
        match (self.keep_alive, self.version) {
            (true, Version::Http11) => {}
            (true, Version::Http10) => output.extend_from_slice(b"Connection: keep-alive\r\n"),
            (false, _) => output.extend_from_slice(b"Connection: close\r\n"),
        }
        output.extend_from_slice(b"\r\n");
    }

    /// Writes an interim head (1xx).
    pub(super) fn interim(
        &mut self,
        transport: &dyn Transport,
        status: u16,
        headers: Headers<'_>,
    ) -> Result<(), HttpError> {
        if self.answer != AnswerState::Awaited || !(100..200).contains(&status) || status == 101 {
            return Err(HttpError::of(Rule::Order));
        }
        check_fields(headers)?;
        if self.version == Version::Http10 {
            return Ok(());
        }
        if status == 100 {
            self.expects_continue = false;
        }
        self.with_output(transport, |core, output| {
            write_status(status, output);
            core.write_fields(headers, output);
            output.extend_from_slice(b"\r\n");
        });
        Ok(())
    }

    /// Writes the head that switches to another protocol; `next` goes on when the request is over.
    pub(super) fn upgrade(
        &mut self,
        transport: &dyn Transport,
        status: u16,
        headers: Headers<'_>,
        next: Next,
    ) -> Result<(), HttpError> {
        // To nobody who has not asked for it: what follows would be taken for HTTP.
        let is_asked = match status {
            101 => self.is_upgrade,
            200..300 => self.is_connect,
            _ => false,
        };
        if self.answer != AnswerState::Awaited || !is_asked {
            return Err(HttpError::of(Rule::Order));
        }
        check_fields(headers)?;
        self.body = BodyEncoder::Closed;
        self.answer = AnswerState::Complete;
        self.next = Some(next);
        self.with_output(transport, |core, output| {
            core.shared.write_beginning(status, output);
            headers.write_to(output);
            output.extend_from_slice(b"\r\n");
        });
        self.completed(transport);
        Ok(())
    }

    /// Writes some content.
    pub(super) fn data(
        &mut self,
        transport: &dyn Transport,
        data: &[u8],
    ) -> Result<WriteStatus, HttpError> {
        if self.answer != AnswerState::Begun {
            return Err(HttpError::of(Rule::Order));
        }
        if self.is_head || self.body == BodyEncoder::Exact(0) && data.is_empty() {
            return Ok(WriteStatus::Accepted);
        }
        if data.len() < MOST_GATHERED {
            let (outcome, status) =
                self.with_output(transport, |core, output| core.body.data(data, output));
            return outcome.map(|()| status);
        }
        self.before_content(transport, data.len() as u64)?;
        let mut status = transport.write(data);
        if self.body == BodyEncoder::Chunked {
            status = transport.write(b"\r\n");
        }
        Ok(status)
    }

    /// Accounts for `length` bytes that are written past the buffer, and sends what comes before them.
    pub(super) fn before_content(
        &mut self,
        transport: &dyn Transport,
        length: u64,
    ) -> Result<(), HttpError> {
        let mut body = self.body;
        if let BodyEncoder::Exact(left) = &mut body {
            *left = left.checked_sub(length).ok_or(HttpError::of(Rule::LengthMismatch))?;
        }
        let is_chunked = body == BodyEncoder::Chunked;
        self.body = body;
        self.with_output(transport, |_, output| {
            if is_chunked && length > 0 {
                write_chunk_size(length, output);
            }
        });
        if self.is_gathering {
            transport.write(&self.output);
            self.output.clear();
        }
        Ok(())
    }

    pub(super) const fn is_chunked(&self) -> bool {
        matches!(self.body, BodyEncoder::Chunked)
    }

    pub(super) const fn has_no_content(&self) -> bool {
        self.is_head
    }

    /// Ends the answer.
    pub(super) fn finish(
        &mut self,
        transport: &dyn Transport,
        trailers: Headers<'_>,
    ) -> Result<(), HttpError> {
        if self.answer != AnswerState::Begun {
            return Err(HttpError::of(Rule::Order));
        }
        let (outcome, _) = self.with_output(transport, |core, output| {
            let mut body = core.body;
            if body == BodyEncoder::Chunked && !trailers.is_empty() {
                body.trailers(trailers, output)?;
            }
            body.end(output)?;
            core.body = body;
            Ok(())
        });
        outcome?;
        self.answer = AnswerState::Complete;
        self.completed(transport);
        Ok(())
    }

    /// A complete answer.
    #[inline]
    pub(super) fn respond(
        &mut self,
        transport: &dyn Transport,
        status: u16,
        headers: Headers<'_>,
        content: &[u8],
    ) -> Result<(), HttpError> {
        self.check_head(status, headers)?;
        let length = Some(content.len() as u64);
        let is_small = content.len() < MOST_GATHERED;
        self.with_output(transport, |core, output| {
            core.write_head(status, headers, length, output);
            if is_small && core.body != BodyEncoder::Exact(0) {
                output.extend_from_slice(content);
            }
        });
        if !is_small && self.body != BodyEncoder::Exact(0) {
            self.data(transport, content)?;
        }
        self.body = BodyEncoder::Idle;
        self.answer = AnswerState::Complete;
        self.completed(transport);
        Ok(())
    }

    /// The answer is complete: outside of a callback the connection has to go on.
    #[inline]
    fn completed(&mut self, transport: &dyn Transport) {
        if self.is_gathering {
            return;
        }
        if self.request == RequestState::Ended && !self.keep_alive && self.next.is_none() {
            transport.close();
        } else {
            transport.resume_reading();
        }
    }

    /// What goes on by another protocol, once request and answer are over.
    #[inline]
    pub(super) fn take_next(&mut self) -> Option<Next> {
        if self.request == RequestState::Ended && self.answer == AnswerState::Complete {
            return self.next.take();
        }
        None
    }

    #[inline]
    fn check_head(&self, status: u16, headers: Headers<'_>) -> Result<(), HttpError> {
        if self.answer != AnswerState::Awaited {
            return Err(HttpError::of(Rule::Order));
        }
        if !(200..=999).contains(&status) {
            return Err(HttpError::of(Rule::Status));
        }
        if self.is_connect && status < 300 {
            // The client would take what follows for the other protocol's (RFC 9110, 9.3.6).
            return Err(HttpError::of(Rule::ContentNotAllowed));
        }
        check_fields(headers)
    }

    /// Writes the fields, but not `Connection`, of which `close` is taken for the connection's own, and not what every answer
    /// has already: of an answer that is passed on.
    #[inline]
    fn write_fields(&mut self, headers: Headers<'_>, output: &mut Vec<u8>) {
        for (name, value) in headers {
            match name.len() {
                4 if self.shared.settings.date && name.eq_ignore_ascii_case("date") => continue,
                6 if self.shared.settings.server && name.eq_ignore_ascii_case("server") => continue,
                10 if name.eq_ignore_ascii_case("connection") => {
                    let has = |name: &[u8]| list(value).any(|each| each.eq_ignore_ascii_case(name));
                    self.keep_alive &= !has(b"close");
                    if has(b"upgrade") {
                        // The field of that name needs it (RFC 9110, 7.8).
                        output.extend_from_slice(b"Connection: upgrade\r\n");
                    }
                    continue;
                }
                _ => {}
            }
            output.extend_from_slice(name.as_bytes());
            output.extend_from_slice(b": ");
            output.extend_from_slice(value);
            output.extend_from_slice(b"\r\n");
        }
    }
}

/// Refuses fields that say how the content is sent, which is the server's to say.
pub(super) fn check_fields(headers: Headers<'_>) -> Result<(), HttpError> {
    for (name, _) in headers {
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => {
                return Err(HttpError::of(Rule::ContentLengthRepeated));
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                return Err(HttpError::of(Rule::TransferCoding));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts another protocol in the place of this one.
pub(super) fn install(protocol: Box<dyn Protocol>) -> Next {
    Box::new(move |transport| transport.set_protocol(protocol, wharf::bytes::Bytes::new()))
}

#[inline]
fn write_length(value: u64, output: &mut Vec<u8>) {
    output.extend_from_slice(b"Content-Length: ");
    output.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    output.extend_from_slice(b"\r\n");
}
