//! A file that is being sent.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::error::Error;
use crate::event_loop::{CallbackHandle, Core, Exception};
use crate::task::{LoopFuture, future};

/// A file that is being sent: what [`Transport::send_file`](crate::Transport::send_file) returns.
///
/// It completes with the number of bytes, once all of them are handed to the operating system; it
/// can be awaited, and takes done callbacks. As with a [`LoopFuture`], dropping it while it is
/// pending cancels the sending, unless a done callback was added or [`detach`](Self::detach) called.
///
/// ```
/// use std::fs::File;
/// use std::rc::Rc;
/// use wharf::{Protocol, Result, Transport};
///
/// /// Sends a file, and says afterwards how much of it went out.
/// struct Download(Rc<File>);
///
/// impl Protocol for Download {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         let sending = transport.send_file(Rc::clone(&self.0), 0, None);
///         let handle = transport.handle();
///         transport.event_loop().create_task(async move {
///             match sending.await {
///                 Ok(bytes) => println!("{bytes} bytes"),
///                 Err(error) => eprintln!("{error}"),
///             }
///             handle.close();
///         }).detach();
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// ```
///
/// # Errors
/// When the file was refused, as `send_file` says; when the connection ends before all of it was
/// sent: [`is_closed`](Error::is_closed) after `abort`, else an error of the kind that
/// `connection_lost` is told. [`progress`](Self::progress) says how much was sent.
#[must_use = "dropping it cancels the sending; await it, add a done callback or detach it"]
pub struct SendFile {
    future: LoopFuture<u64>,
    core: Rc<Core>,
    progress: Rc<Progress>,
    count: u64,
}

/// What a file that is being sent shares with whoever asked for it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// How many bytes of it were sent.
    pub(crate) sent: Cell<u64>,
    /// Its number in the write queue, by which it is found again.
    pub(crate) number: Cell<u64>,
}

impl SendFile {
    pub(crate) fn new(
        core: &Rc<Core>,
        future: LoopFuture<u64>,
        progress: Rc<Progress>,
        count: u64,
    ) -> Self {
        Self { future, core: Rc::clone(core), progress, count }
    }

    /// One that is not begun.
    pub(crate) fn refused(core: &Rc<Core>, error: Error) -> Self {
        let (promise, future) = future(core);
        promise.set(Err(error));
        Self::new(core, future, Rc::default(), 0)
    }

    /// How many bytes of the file were handed to the operating system so far, also when it failed
    /// or was cancelled.
    pub fn progress(&self) -> u64 {
        self.progress.sent.get()
    }

    /// How many bytes it is about in all; 0 when it was refused.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sends no more of the file, and completes as cancelled; `false` when it was done already.
    ///
    /// What was sent stays sent ([`progress`](Self::progress) tells how much), and what was written
    /// after the file follows: a protocol that has promised its length closes or aborts instead.
    pub fn cancel(&self) -> bool {
        self.future.cancel()
    }

    /// Whether it has a result, or was cancelled.
    pub fn is_done(&self) -> bool {
        self.future.is_done()
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.future.is_cancelled()
    }

    /// The loop calls `callback` with the result; it is never called from here. See
    /// [`LoopFuture::add_done_callback`].
    pub fn add_done_callback(
        &self,
        callback: impl FnOnce(&Result<u64, Error>) + 'static,
    ) -> CallbackHandle {
        self.future.add_done_callback(callback)
    }

    /// Takes the result; `None` while it is pending, and once it was taken.
    pub fn take_result(&self) -> Option<Result<u64, Error>> {
        self.future.take_result()
    }

    /// Lets it go on without anybody waiting for it.
    ///
    /// What ends the connection is told to `connection_lost`; a file that is refused goes to the
    /// exception handler.
    pub fn detach(self) {
        let core = Rc::clone(&self.core);
        let was_refused = self.count == 0;
        self.future.add_done_callback(move |result| {
            if let Err(error) = result
                && was_refused
                && error.is_reported()
            {
                core.report(&Exception::new("a file could not be sent", Some(error), None));
            }
        });
    }
}

impl Future for SendFile {
    type Output = Result<u64, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.future).poll(context)
    }
}

impl fmt::Debug for SendFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SendFile")
            .field("progress", &self.progress())
            .field("count", &self.count)
            .field("is_done", &self.is_done())
            .finish()
    }
}
