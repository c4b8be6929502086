//! Those who wait until everything is sent, or until the connection is gone.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::error::Error;
use crate::event_loop::{Core, Ticket, Wakers};
use crate::transport::stream::Stream;
use crate::transport::stream::access::{Access, closed};
use crate::transport::stream::flags::Flags;
use crate::transport::{CloseReason, Transport};

/// What those who wait look at: it outlives the stream.
#[derive(Default)]
pub(super) struct Awaited {
    wakers: Wakers,
    /// Whether something that was written was dropped; `None` while the connection is there.
    output_was_dropped: Cell<Option<bool>>,
    is_gone: Cell<bool>,
}

impl Awaited {
    /// `connection_lost` was called.
    pub(super) fn tell_gone(&self, core: &Core) {
        self.is_gone.set(true);
        self.wakers.wake_all(core);
    }
}

impl Stream {
    /// For one who begins to wait; `None` when the connection is gone.
    fn awaited(&self) -> Option<Rc<Awaited>> {
        // Its last callback may be over while its slot is still there.
        if self.has(Flags::TOLD_LOST) {
            return None;
        }
        self.set(Flags::AWAITED);
        Some(self.life.rare.change(|rare| Rc::clone(rare.awaited.get_or_insert_default())))
    }

    /// Everything was sent.
    #[cold]
    pub(in crate::transport::stream) fn tell_waiting(&self, core: &Core) {
        if let Some(awaited) = self.life.rare.change_existing(|rare| rare.awaited.clone()) {
            awaited.wakers.wake_all(core);
        }
    }

    /// The connection ends.
    #[cold]
    pub(super) fn note_output_at_end(&self, core: &Core, drops_output: bool) {
        if let Some(awaited) = self.life.rare.change_existing(|rare| rare.awaited.clone()) {
            awaited.output_was_dropped.set(Some(drops_output));
            awaited.wakers.wake_all(core);
        }
    }
}

/// Waits until everything is sent.
pub(crate) async fn flush(access: &impl Access) -> Result<(), Error> {
    if is_flushed(access) {
        return Ok(());
    }
    let Some(awaited) = access.with(|stream| stream.awaited()).flatten() else {
        return Err(closed(access));
    };
    awaited.wakers.wait_for(access.core(), || awaited.flushed(access)).await
}

/// As [`flush`], for one who polls and keeps the ticket of its place.
pub(crate) fn poll_flush(
    access: &impl Access,
    ticket: &Cell<Option<Ticket>>,
    context: &Context<'_>,
) -> Poll<Result<(), Error>> {
    if is_flushed(access) {
        return Poll::Ready(Ok(()));
    }
    let Some(awaited) = access.with(|stream| stream.awaited()).flatten() else {
        return Poll::Ready(Err(closed(access)));
    };
    awaited.wakers.poll(access.core(), ticket, context, || awaited.flushed(access))
}

/// Whether all is sent, of a connection that is there.
fn is_flushed(access: &impl Access) -> bool {
    let flushed = access.with(|stream| {
        !stream.has(Flags::CLOSED.union(Flags::WRITE_FAILED))
            && stream.write_buffer_size(access.core()) == 0
    });
    flushed == Some(true)
}

impl Awaited {
    /// What one who waits for a flush is told; `None`: to wait on.
    fn flushed(&self, access: &impl Access) -> Option<Result<(), Error>> {
        match self.output_was_dropped.get() {
            Some(true) => Some(Err(closed(access))),
            Some(false) => Some(Ok(())),
            None if access.with(|stream| stream.has(Flags::WRITE_FAILED)) == Some(true) => {
                Some(Err(closed(access)))
            }
            None => is_flushed(access).then_some(Ok(())),
        }
    }
}

/// Waits until the connection is gone, for what it ended with.
pub(crate) async fn wait_closed(access: &impl Access) -> Result<(), Error> {
    if let Some(awaited) = access.with(|stream| stream.awaited()).flatten() {
        awaited.wakers.wait_for(access.core(), || awaited.is_gone.get().then_some(())).await;
    }
    match access.close_reason() {
        Some(CloseReason::Failed(error)) => Err(error),
        _ => Ok(()),
    }
}
