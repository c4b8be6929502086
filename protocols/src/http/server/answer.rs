use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::File;
use std::rc::Rc;

use wharf::{ByteStream, Transport as _, TransportHandle, WriteStatus};

use super::core::{AnswerState, Core, Next};
use super::exchange::write_file;
use crate::backpressure::is_above_high_water;
use crate::http::{Headers, HttpError, Rule};

/// An answer that is given outside of a callback. Made by [`Exchange::later`](super::Exchange::later).
///
/// Dropping it before its end answers 500, or aborts the connection if the answer has begun: a client must not take a part
/// for the whole. When the connection is gone, all methods say [`Rule::Order`].
#[must_use = "dropping it answers 500"]
pub struct Answer {
    core: Rc<RefCell<Core>>,
    number: u64,
    is_over: bool,
    /// Bytes written since others had their turn.
    in_a_row: Cell<usize>,
}

impl Answer {
    pub(super) fn new(core: Rc<RefCell<Core>>, number: u64) -> Self {
        Self { core, number, is_over: false, in_a_row: Cell::new(0) }
    }

    /// See [`Exchange::respond`](super::Exchange::respond).
    ///
    /// # Errors
    /// The same.
    pub fn respond(
        mut self,
        status: u16,
        fields: &[(&str, &[u8])],
        content: &[u8],
    ) -> Result<(), HttpError> {
        let headers = Headers::new(fields)?;
        self.respond_with(status, headers, content)
    }

    pub(super) fn respond_with(
        &mut self,
        status: u16,
        headers: Headers<'_>,
        content: &[u8],
    ) -> Result<(), HttpError> {
        self.with(|core, handle| core.respond(handle, status, headers, content))?;
        self.is_over = true;
        Ok(())
    }

    /// See [`Exchange::begin`](super::Exchange::begin).
    ///
    /// # Errors
    /// The same.
    pub fn begin(
        &mut self,
        status: u16,
        fields: &[(&str, &[u8])],
        length: Option<u64>,
    ) -> Result<(), HttpError> {
        self.begin_with(status, Headers::new(fields)?, length)
    }

    pub(super) fn begin_with(
        &mut self,
        status: u16,
        headers: Headers<'_>,
        length: Option<u64>,
    ) -> Result<(), HttpError> {
        self.with(|core, handle| core.head(handle, status, headers, length))
    }

    /// Sends some of the content; it is queued if the client does not take it. [`drain`](Self::drain) waits for room.
    ///
    /// # Errors
    /// See [`Exchange::write`](super::Exchange::write). [`Rule::Order`] also when the connection is closing.
    pub fn write(&mut self, data: &[u8]) -> Result<WriteStatus, HttpError> {
        // An empty one takes time, too.
        self.in_a_row.set(self.in_a_row.get() + data.len().max(1024));
        match self.with(|core, handle| core.data(handle, data))? {
            // `connection_lost` may have to wait for whoever writes.
            WriteStatus::Closed => Err(HttpError::of(Rule::Order)),
            status => Ok(status),
        }
    }

    /// See [`Exchange::write_file`](super::Exchange::write_file).
    ///
    /// # Errors
    /// The same.
    pub fn write_file(&mut self, file: Rc<File>, offset: u64, count: u64) -> Result<(), HttpError> {
        self.with(|core, handle| write_file(core, handle, file, offset, count))
    }

    /// Waits until the write buffer has room. After each MiB that the client has taken without a wait, other tasks have their
    /// turn. Dropping the future changes nothing.
    ///
    /// # Errors
    /// [`Rule::Order`] when the connection is gone, or going.
    pub async fn drain(&self) -> Result<(), HttpError> {
        if self.in_a_row.get() >= MOST_IN_A_ROW {
            self.in_a_row.set(0);
            wharf::yield_now().await;
        }
        let writable = Rc::clone(self.core.borrow_mut().writable.get_or_insert_default());
        writable.wait_for(|| self.is_drained()).await
    }

    /// Whether there is room; `None`: not yet.
    fn is_drained(&self) -> Option<Result<(), HttpError>> {
        let core = self.core.borrow();
        if core.is_gone(self.number) {
            return Some(Err(HttpError::of(Rule::Order)));
        }
        // `pause_writing` may not have been called yet for what was just written.
        let is_above = core.handle.as_ref().is_some_and(is_above_high_water);
        (!core.is_writing_paused && !is_above).then_some(Ok(()))
    }

    /// Ends the answer, with fields behind its content if there are chunks.
    ///
    /// # Errors
    /// See [`Exchange::finish_with`](super::Exchange::finish_with).
    pub fn finish(mut self, trailers: &[(&str, &[u8])]) -> Result<(), HttpError> {
        self.finish_with(Headers::new(trailers)?)
    }

    pub(super) fn finish_with(&mut self, trailers: Headers<'_>) -> Result<(), HttpError> {
        self.with(|core, handle| core.finish(handle, trailers))?;
        self.is_over = true;
        Ok(())
    }

    /// What says whether the request is given up, or its connection gone.
    pub(super) fn watch(&self) -> impl Fn() -> bool + use<> {
        let (core, number) = (Rc::clone(&self.core), self.number);
        move || core.borrow().is_gone(number)
    }

    /// Goes on by another protocol: see [`Exchange::upgrade`](super::Exchange::upgrade). `next` is given the connection as a
    /// stream.
    ///
    /// # Errors
    /// The same.
    pub fn upgrade(
        mut self,
        status: u16,
        fields: &[(&str, &[u8])],
        next: impl FnOnce(ByteStream) + 'static,
    ) -> Result<(), HttpError> {
        self.upgrade_with(status, Headers::new(fields)?, stream(next))
    }

    pub(super) fn upgrade_with(
        &mut self,
        status: u16,
        headers: Headers<'_>,
        next: Next,
    ) -> Result<(), HttpError> {
        let (next, handle) = self.with(|core, handle| {
            core.upgrade(handle, status, headers, next)?;
            Ok((core.take_next(), handle.clone()))
        })?;
        self.is_over = true;
        if let Some(next) = next {
            next(&handle);
        }
        Ok(())
    }

    fn with<R>(
        &self,
        action: impl FnOnce(&mut Core, &TransportHandle) -> Result<R, HttpError>,
    ) -> Result<R, HttpError> {
        let mut core = self.core.borrow_mut();
        if core.number != self.number || core.is_lost {
            return Err(HttpError::of(Rule::Order));
        }
        let handle = core.handle.clone().ok_or(HttpError::of(Rule::Order))?;
        action(&mut core, &handle)
    }
}

/// So much may a task write without a wait.
const MOST_IN_A_ROW: usize = 1 << 20;

/// Gives the connection to `next` as a stream.
pub(super) fn stream(next: impl FnOnce(ByteStream) + 'static) -> Next {
    Box::new(move |transport| next(ByteStream::take_over(transport, wharf::bytes::Bytes::new())))
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let Ok(mut core) = self.core.try_borrow_mut() else { return };
        if core.number != self.number || core.is_lost {
            return;
        }
        let Some(handle) = core.handle.clone() else { return };
        match core.answer {
            AnswerState::Awaited => {
                core.keep_alive = false;
                // Nothing in it can be refused.
                let _ = core.respond(&handle, 500, Headers::EMPTY, b"");
            }
            AnswerState::Begun => handle.abort(),
            AnswerState::Complete => {}
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
