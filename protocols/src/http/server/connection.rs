use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use wharf::{Eof, Error, Protocol, Result, Timeout, Transport};

use super::config::Shared;
use super::core::{AnswerState, Core, RequestState};
use super::deadlines::{Deadlines, Passed, Phase};
use super::{Exchange, HttpHandler};
use crate::backpressure::is_above_high_water;
use crate::codec::Decoder;
use crate::http::{Headers, HttpError, RequestDecoder, RequestEvent, RequestHead};

/// The protocol of one connection of a server, around its handler. Made by the factories of
/// [`HttpServer`](super::HttpServer).
///
/// A request that breaks a rule is answered by the status of the rule ([`Rule::status`](crate::http::Rule::status)), and the connection closed: what
/// follows could not be told apart. In a shutdown of the server the request under way is answered, with
/// `Connection: close`, and connections without one are closed at once.
pub struct HttpConnection<H> {
    handler: H,
    decoder: RequestDecoder,
    deadlines: Deadlines,
    core: Rc<RefCell<Core>>,
    shared: Rc<Shared>,
}

impl<H: HttpHandler> HttpConnection<H> {
    pub(super) fn new(shared: Rc<Shared>, handler: H) -> Self {
        Self {
            handler,
            decoder: RequestDecoder::new().limits(shared.settings.limits),
            deadlines: Deadlines::default(),
            core: Rc::new(RefCell::new(Core::new(Rc::clone(&shared)))),
            shared,
        }
    }

    /// The handler.
    pub const fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    #[cfg(test)]
    pub(super) fn decoder_capacity(&self) -> usize {
        self.decoder.buffer_capacity()
    }

    /// Calls back with answers gathered, and sends them together.
    #[inline]
    fn gathered<R>(&mut self, transport: &dyn Transport, action: impl FnOnce(&mut Self) -> R) -> R {
        self.core.borrow_mut().gather();
        let result = action(self);
        self.core.borrow_mut().flush(transport);
        result
    }

    /// Takes requests out of the input for as long as they are answered.
    #[inline]
    fn serve(&mut self, transport: &dyn Transport, input: &mut &[u8]) -> Result {
        while self.is_ready_for_more(transport, !input.is_empty()) {
            if !self.take(transport, input)? {
                return Ok(());
            }
            // The end of what is read whole needs no input, and none may come that would bring it.
            if !transport.is_reading() && !input.is_empty() {
                break;
            }
        }
        transport.unread(input.len());
        Ok(())
    }

    /// Takes a request that has no content, or a part of one. `false`: the input is taken whole, and more is needed.
    #[inline]
    fn take(&mut self, transport: &dyn Transport, input: &mut &[u8]) -> Result<bool> {
        let Self { handler, decoder, core, .. } = self;
        if input.is_empty() && decoder.is_between_requests() {
            return Ok(false);
        }
        let Some(head) = decoder.decode_whole_head(input) else {
            return self.take_part(transport, input);
        };
        let mut exchange = Exchange { core, transport };
        begin(handler, &head, &mut exchange)?;
        if decoder.is_between_requests() {
            end(handler, &mut exchange)?;
        }
        Ok(true)
    }

    fn take_part(&mut self, transport: &dyn Transport, input: &mut &[u8]) -> Result<bool> {
        let Self { handler, decoder, core, deadlines, .. } = self;
        let mut exchange = Exchange { core, transport };
        let event = match decoder.decode(input) {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(false),
            Err(error) => {
                self.refuse(transport, &error);
                *input = &[];
                return Ok(false);
            }
        };
        match event {
            RequestEvent::Head(head) => begin(handler, &head, &mut exchange)?,
            RequestEvent::Data(data) => {
                deadlines.content_received(data.len());
                if !is_answered(core) {
                    handler.data(data, &mut exchange)?;
                }
            }
            RequestEvent::Trailers(trailers) => {
                if !is_answered(core) {
                    handler.trailers(trailers, &mut exchange)?;
                }
            }
            RequestEvent::End => end(handler, &mut exchange)?,
        }
        Ok(true)
    }

    /// Whether the next part of a request can be taken: the last request is answered, and the client takes the answers.
    #[inline]
    fn is_ready_for_more(&mut self, transport: &dyn Transport, has_input: bool) -> bool {
        let mut core = self.core.borrow_mut();
        if core.request == RequestState::Ended {
            if core.answer != AnswerState::Complete {
                // Goes on when the answer is complete; what was sent in advance waits.
                transport.pause_reading();
                return false;
            }
            if let Some(next) = core.next.take() {
                core.flush(transport);
                drop(core);
                next(transport);
                return false;
            }
            self.deadlines.request_is_over();
            core.request = RequestState::None;
        }
        let is_last =
            !core.keep_alive && core.answer == AnswerState::Complete && core.next.is_none();
        if is_last && (core.request != RequestState::None || self.decoder.is_between_requests()) {
            // Whatever of the content is still to come is nobody's. A head that has begun to come is answered.
            core.flush(transport);
            transport.close();
            return false;
        }
        // What needs no input, the end of the content, is told in any case: nothing else might bring it.
        if has_input && core.waiting(transport) > MOST_WAITING {
            core.flush(transport);
            if is_above_high_water(transport) {
                return false;
            }
            core.gather();
        }
        true
    }

    /// Answers what breaks a rule, if that is still possible, and closes.
    fn refuse(&mut self, transport: &dyn Transport, error: &HttpError) {
        let is_awaited = self.core.borrow().answer == AnswerState::Awaited;
        let is_between = self.core.borrow().request == RequestState::None;
        if !is_between && !is_answered(&self.core) {
            self.handler.aborted(Some(error));
        }
        self.give_up(transport, error.rule.status(), &error.to_string(), is_awaited || is_between);
    }

    /// Ends the connection, with an answer if the one under way has not begun.
    fn give_up(&mut self, transport: &dyn Transport, status: u16, text: &str, can_answer: bool) {
        let mut core = self.core.borrow_mut();
        // Later answers come too late.
        core.number += 1;
        core.keep_alive = false;
        if can_answer {
            core.begin_refusal();
            let fields = [("Content-Type", &b"text/plain; charset=utf-8"[..])];
            if let Ok(headers) = Headers::new(&fields) {
                let _ = core.respond(transport, status, headers, format!("{text}\n").as_bytes());
            }
            core.flush(transport);
            transport.close();
        } else if core.answer == AnswerState::Complete {
            core.flush(transport);
            transport.close();
        } else {
            core.flush(transport);
            // A part of an answer must not be taken for all of it.
            transport.abort();
        }
    }

    /// What a callback ended with; if it failed, the client is told, where that can be done.
    #[inline]
    fn ended(&mut self, transport: &dyn Transport, result: Result) -> Result {
        let Err(error) = result else {
            self.wait(transport);
            return Ok(());
        };
        let can_answer = self.core.borrow().answer == AnswerState::Awaited;
        if can_answer && !transport.is_closing() {
            self.give_up(transport, 500, "internal error", true);
        }
        Err(error)
    }

    /// Sets the deadline of what is waited for.
    #[inline]
    fn wait(&mut self, transport: &dyn Transport) {
        let core = self.core.borrow();
        let phase = match core.request {
            RequestState::None if self.decoder.is_between_requests() => Phase::Nothing,
            RequestState::None => Phase::Head,
            RequestState::Content => Phase::Content,
            RequestState::Ended if core.answer == AnswerState::Complete => Phase::Nothing,
            RequestState::Ended => Phase::Answer,
        };
        drop(core);
        self.deadlines.wait_for(phase, &self.shared.settings, transport);
    }

    fn is_idle(&self) -> bool {
        let core = self.core.borrow();
        core.request == RequestState::None && self.decoder.is_between_requests()
            || core.request == RequestState::Ended && core.answer == AnswerState::Complete
    }

    fn has_no_request(&self) -> bool {
        self.core.borrow().request == RequestState::None
    }

    fn wake(&self) {
        let writable = self.core.borrow().writable.clone();
        if let Some(writable) = writable {
            writable.wake();
        }
    }
}

impl<H: HttpHandler> Protocol for HttpConnection<H> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let settings = &self.shared.settings;
        self.core.borrow_mut().handle = Some(transport.handle());
        transport.set_timeout(Timeout::Idle, settings.idle_timeout);
        transport.set_timeout(Timeout::WriteStall, settings.write_timeout);
        self.deadlines.wait_for(Phase::Head, settings, transport);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let mut input = data;
        let result = self.gathered(transport, |this| this.serve(transport, &mut input));
        self.ended(transport, result)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        match self.decoder.finish().map(drop) {
            // An empty line, or nothing at all, asks for nothing.
            Ok(()) if self.is_idle() || self.has_no_request() => Ok(Eof::Close),
            // The client sends no more, and waits for its answer.
            Ok(()) => {
                self.core.borrow_mut().keep_alive = false;
                Ok(Eof::KeepOpen)
            }
            Err(error) => {
                self.gathered(transport, |this| this.refuse(transport, &error));
                Ok(Eof::KeepOpen)
            }
        }
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.core.borrow_mut().is_writing_paused = true;
        transport.hold_reading();
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.core.borrow_mut().is_writing_paused = false;
        self.wake();
        if self.core.borrow().answer != AnswerState::Begun {
            return Ok(());
        }
        let result = self.gathered(transport, |this| {
            this.handler.writable(&mut Exchange { core: &this.core, transport })
        });
        let core = self.core.borrow();
        if result.is_ok()
            && core.request == RequestState::Ended
            && core.answer == AnswerState::Complete
        {
            if core.keep_alive {
                transport.resume_reading();
            } else {
                transport.close();
            }
        }
        drop(core);
        self.ended(transport, result)
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        match timeout {
            Timeout::Idle => {
                if self.is_idle() {
                    transport.close();
                }
                Ok(())
            }
            Timeout::User => {
                match self.deadlines.pass(&self.shared.settings, transport) {
                    Passed::Not => {}
                    // Nothing has come: there is nobody to be answered.
                    Passed::Late if self.is_idle() => transport.close(),
                    late => {
                        let is_awaited = self.core.borrow().answer == AnswerState::Awaited;
                        let is_between = self.core.borrow().request == RequestState::None;
                        if !is_between && !is_answered(&self.core) {
                            self.handler.aborted(None);
                        }
                        let (status, text) = match late {
                            Passed::TooLongInAll => (503, "the request takes too long"),
                            _ => (408, "the request comes too slowly"),
                        };
                        self.gathered(transport, |this| {
                            this.give_up(transport, status, text, is_awaited || is_between);
                        });
                    }
                }
                Ok(())
            }
            timeout => Err(Error::timeout(timeout).into()),
        }
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.core.borrow_mut().keep_alive = false;
        if self.is_idle() {
            transport.close();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        let has_request = self.core.borrow().request != RequestState::None;
        self.core.borrow_mut().is_lost = true;
        if has_request && !is_answered(&self.core) {
            self.handler.aborted(None);
        }
        self.wake();
        let next = self.core.borrow_mut().next.take();
        drop(next);
        Ok(())
    }
}

impl<H> fmt::Debug for HttpConnection<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection").field("decoder", &self.decoder).finish_non_exhaustive()
    }
}

/// A request's head has come.
#[inline]
fn begin<H: HttpHandler>(
    handler: &mut H,
    head: &RequestHead<'_>,
    exchange: &mut Exchange<'_>,
) -> Result {
    exchange.core.borrow_mut().begin(head);
    handler.request(head, exchange)?;
    let mut core = exchange.core.borrow_mut();
    if core.expects_continue && core.answer == AnswerState::Awaited {
        core.interim(exchange.transport, 100, Headers::EMPTY)?;
    }
    Ok(())
}

/// A request is over.
#[inline]
fn end<H: HttpHandler>(handler: &mut H, exchange: &mut Exchange<'_>) -> Result {
    exchange.core.borrow_mut().request = RequestState::Ended;
    if !is_answered(exchange.core) {
        handler.end(exchange)?;
    }
    Ok(())
}

#[inline]
fn is_answered(core: &Rc<RefCell<Core>>) -> bool {
    core.borrow().answer == AnswerState::Complete
}

/// Answers that are gathered before it is looked whether the client takes them.
const MOST_WAITING: usize = 64 * 1024;
