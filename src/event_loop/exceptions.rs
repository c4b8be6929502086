//! Where errors go that nobody else can be told.

use std::fmt;
use std::rc::Rc;

use super::{Core, EventLoop};
use crate::driver::TransportId;
use crate::error::Error;
use crate::fence;

/// Something went wrong that no caller can be told: what asyncio calls the exception context.
#[derive(Debug)]
#[non_exhaustive]
pub struct Exception<'a> {
    /// What was going on, in one line.
    pub message: &'a str,
    /// The error or the caught panic, where there is one.
    pub error: Option<&'a Error>,
    /// The connection it happened on, where there is one.
    pub transport: Option<TransportId>,
}

pub(crate) type ExceptionHandler = Box<dyn FnMut(&EventLoop, &Exception<'_>)>;

impl<'a> Exception<'a> {
    pub(crate) fn new(
        message: &'a str,
        error: Option<&'a Error>,
        transport: Option<TransportId>,
    ) -> Self {
        Self { message, error, transport }
    }
}

impl fmt::Display for Exception<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.message)?;
        if let Some(transport) = self.transport {
            write!(formatter, " (transport {transport})")?;
        }
        if let Some(error) = self.error {
            write!(formatter, ": {error}")?;
        }
        Ok(())
    }
}

impl Core {
    /// Tells the exception handler. To be called when nothing is borrowed.
    pub(crate) fn report(&self, exception: &Exception<'_>) {
        self.counters.count_exception();
        let Some(mut handler) = self.exception_handler.take() else {
            return default_exception_handler(exception);
        };
        let Some(core) = self.strong() else { return };
        let event_loop = EventLoop::from_core(core);
        let changes = self.exception_handler_changes.get();
        let outcome = self.run_handler(|| handler(&event_loop, exception));
        // The handler may have put another in its own place, taken itself away, or closed the loop.
        if self.exception_handler_changes.get() == changes && !self.fence.keeps_no_handler.get() {
            self.exception_handler.set(Some(handler));
        } else {
            self.drop_user(handler, "exception handler");
        }
        if let Err(panic) = outcome {
            let error = panic.into_error();
            let message = "unhandled error in the exception handler";
            default_exception_handler(&Exception::new(message, Some(&error), None));
            default_exception_handler(exception);
        }
    }

    /// Puts `next` in its place. A loop that is closed takes none: it may hold the loop.
    pub(crate) fn change_exception_handler(&self, next: Option<ExceptionHandler>) {
        self.exception_handler_changes.set(self.exception_handler_changes.get() + 1);
        let (kept, refused) =
            if self.fence.keeps_no_handler.get() { (None, next) } else { (next, None) };
        let former = self.exception_handler.replace(kept);
        self.drop_user(refused, "exception handler");
        self.drop_user(former, "exception handler");
    }
}

/// One line: to the `log` crate with the feature `log`, else to standard error.
///
/// The text of an error, and a logger, are foreign code.
fn default_exception_handler(exception: &Exception<'_>) {
    // A line in a log has no `Error::is_panic` to ask.
    let what = exception.message.strip_suffix("failed").map(|what| format!("{what}panicked"));
    let is_panic = exception.error.is_some_and(Error::is_panic);
    let message = what.as_deref().filter(|_| is_panic).unwrap_or(exception.message);
    let exception = &Exception::new(message, exception.error, exception.transport);
    let text = fence::run(|| exception.to_string()).unwrap_or_else(|panic| {
        let bare = Exception::new(exception.message, None, exception.transport);
        format!("{bare}: an error whose text cannot be had: {}", panic.into_error())
    });
    #[cfg(feature = "log")]
    if let Err(panic) = fence::run(|| log::error!(target: "wharf", "{text}")) {
        print(&text);
        print(&format!("the logger failed: {}", panic.into_error()));
    }
    #[cfg(not(feature = "log"))]
    print(&text);
}

fn print(text: &str) {
    use std::io::Write;
    // Standard error may be closed; there is nobody left to tell then.
    let _ = writeln!(std::io::stderr(), "wharf: {text}");
}

/// # Errors that no caller can be told
impl EventLoop {
    /// Has `handler` told of what no caller can be told: panics and application errors of
    /// callbacks, failures of incoming connections, slow callbacks, results nobody asked for.
    ///
    /// Without one, a line goes to standard error (to the `log` crate with the feature `log`). A
    /// panic in the handler is caught, and the default takes over for that exception. On a closed loop
    /// the handler is dropped.
    ///
    /// It is called on the loop's thread, between callbacks: what goes wrong in what a callback drops
    /// or cancels is told in the loop's next round. Panics and errors of the handler's own doing while
    /// it runs go to the default.
    pub fn set_exception_handler(&self, handler: impl FnMut(&EventLoop, &Exception<'_>) + 'static) {
        self.core().change_exception_handler(Some(Box::new(handler)));
    }

    /// Goes back to the default exception handler.
    pub fn reset_exception_handler(&self) {
        self.core().change_exception_handler(None);
    }

    /// Tells the exception handler of something: what asyncio calls `call_exception_handler`.
    pub fn call_exception_handler(&self, message: &str, error: Option<&Error>) {
        self.core().report(&Exception::new(message, error, None));
    }
}

/// Measures one callback, when slow ones are to be reported.
pub(crate) struct SlowWatch(Option<u64>);

impl SlowWatch {
    #[inline]
    pub(crate) fn start(core: &Rc<Core>) -> Self {
        Self(core.slow_callback.get().map(|_| core.now()))
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(crate) fn stop(self, core: &Rc<Core>, what: &str, transport: Option<TransportId>) {
        if let Some(started) = self.0 {
            report_if_slow(core, started, what, transport);
        }
    }
}

#[cold]
fn report_if_slow(core: &Rc<Core>, started: u64, what: &str, transport: Option<TransportId>) {
    let took = std::time::Duration::from_nanos(core.now().saturating_sub(started));
    if core.slow_callback.get().is_some_and(|limit| took >= limit) {
        core.counters.count_slow_callback();
        let message = format!("{what} took {took:?}, and held up the event loop");
        core.report(&Exception::new(&message, None, transport));
    }
}
