//! Waiting until a writer may go on.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::super::link::State;
use super::StreamWriter;
use crate::error::Error;
use crate::event_loop::Ticket;
use crate::task::Waits;
use crate::transport::{Access, Transport as _, WriteStatus};

/// What [`StreamWriter::write_all`] returns: it writes when it is awaited.
#[must_use = "it writes only when it is awaited"]
pub struct WriteAll<'a> {
    data: Option<&'a [u8]>,
    drain: Drain<'a>,
}

impl<'a> WriteAll<'a> {
    pub(super) fn new(writer: &'a StreamWriter, data: &'a [u8]) -> Self {
        Self { data: Some(data), drain: Drain::new(writer) }
    }
}

impl Future for WriteAll<'_> {
    type Output = Result<(), Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(data) = self.data.take() {
            let link = &*self.drain.writer.link;
            let status = link.write_now(data);
            if status == WriteStatus::Accepted && !link.must_yield(data.len()) {
                return Poll::Ready(Ok(()));
            }
            self.drain.writer.note(status);
            if status == WriteStatus::Accepted {
                // A system that takes everything at once must not keep all others waiting.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.drain.poll(context)
    }
}

/// What [`StreamWriter::drain`] returns: it waits when it is awaited.
#[must_use = "it waits only when it is awaited"]
pub struct Drain<'a> {
    writer: &'a StreamWriter,
    ticket: Cell<Option<Ticket>>,
    /// How often writing had been resumed when it began to wait.
    since: Option<u16>,
}

impl<'a> Drain<'a> {
    pub(super) fn new(writer: &'a StreamWriter) -> Self {
        Self { writer, ticket: Cell::new(None), since: None }
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), Error>> {
        let link = &*self.writer.link;
        let waits = self.since.is_some();
        let since = *self.since.get_or_insert(link.resumes.get());
        let look = || {
            if waits && link.has(State::LOST) && link.has(State::CLOSED_HERE) {
                // It was closed while this waited: everything was handed over, or lost with an error.
                return Some(link.error().map_or(Ok(()), |_| Err(link.closed())));
            }
            // Once is enough, though others that waited have written much since: of thousands that share a writer, all
            // but a few would wait again and again.
            let outcome = link.drained();
            if since == link.resumes.get() { outcome } else { outcome.or(Some(Ok(()))) }
        };
        let polled = link.waiting.poll(link.core(), &self.ticket, context, look);
        if polled.is_pending() {
            link.core().tasks.note_wait(Waits::Output(link.id()));
        }
        polled
    }
}

impl Future for Drain<'_> {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Drain::poll(&mut self, context)
    }
}

impl Drop for Drain<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.ticket.get().is_some() {
            let link = &*self.writer.link;
            link.waiting.leave(link.core(), &self.ticket);
        }
    }
}

impl fmt::Debug for WriteAll<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WriteAll").field("has_begun", &self.data.is_none()).finish()
    }
}

impl fmt::Debug for Drain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Drain").field("waits", &self.since.is_some()).finish()
    }
}
