//! Where errors go that nobody else can be told.

use std::fmt::{self, Write};
use std::time::Duration;

use super::{Core, EventLoop};
use crate::address::Address;
use crate::driver::TransportId;
use crate::error::{Error, OneLine};
use crate::fence;

/// Something went wrong that no caller can be told: what asyncio calls the exception context.
///
/// Its `Display` is one line, such as `kv::Session (127.0.0.1:43512) panicked in data_received: asked to`.
///
/// ```
/// use wharf::EventLoop;
///
/// let event_loop = EventLoop::new()?;
/// event_loop.set_exception_handler(|event_loop, exception| {
///     eprintln!("{exception}");
///     event_loop.stop();
/// });
/// event_loop.call_soon(|| panic!("a bug"));
/// event_loop.run_forever()?;
/// # Ok::<(), wharf::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Exception<'a> {
    /// What was going on, in one line.
    pub message: &'a str,
    /// The error or the caught panic, where there is one.
    pub error: Option<&'a Error>,
    /// The connection it happened on, where there is one.
    pub transport: Option<TransportId>,
    /// The callback that failed or was slow, if it was one of a protocol.
    pub callback: Option<ProtocolCallback<'a>>,
}

/// A callback of a protocol: part of an [`Exception`], which says what was wrong with it.
///
/// ```
/// # use wharf::testing::Recorder;
/// # use wharf::{Protocol, Result, Transport};
/// struct Session;
///
/// impl Protocol for Session {
///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
///         let number: u32 = std::str::from_utf8(data)?.parse()?;
///         println!("{number}");
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(|| Session)?;
/// recorder.event_loop().set_exception_handler(|_, exception| {
///     let callback = exception.callback.expect("a callback of a protocol has failed");
///     assert_eq!(callback.name, "data_received");
///     assert!(callback.protocol.ends_with("Session"));
/// });
/// recorder.receive(b"forty-two")?;
/// assert!(recorder.is_closing());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ProtocolCallback<'a> {
    /// The method of the protocol, such as `data_received`.
    pub name: &'a str,
    /// The type of the protocol, as [`std::any::type_name`] says it.
    pub protocol: &'a str,
    /// The other end of the connection, where it has an address.
    pub peer: Option<&'a Address>,
}

pub(crate) type ExceptionHandler = Box<dyn FnMut(&EventLoop, &Exception<'_>)>;

impl<'a> Exception<'a> {
    pub(crate) fn new(
        message: &'a str,
        error: Option<&'a Error>,
        transport: Option<TransportId>,
    ) -> Self {
        Self { message, error, transport, callback: None }
    }

    fn is_panic(&self) -> bool {
        self.error.is_some_and(Error::is_panic)
    }
}

impl fmt::Display for Exception<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = OneLine(formatter);
        // A line in a log has no `Error::is_panic` to ask.
        match self.message.strip_suffix("failed") {
            Some(what) if self.is_panic() => write!(line, "{what}panicked")?,
            _ => line.write_str(self.message)?,
        }
        if let (Some(transport), None) = (self.transport, self.callback) {
            write!(line, " (transport {transport})")?;
        }
        if let Some(error) = self.error {
            write!(line, ": {error:#}")?;
        }
        Ok(())
    }
}

/// The connection, endpoint or process that a report is about.
pub(crate) struct Subject {
    pub(crate) id: TransportId,
    pub(crate) protocol: &'static str,
    pub(crate) peer: Option<Address>,
    /// What to call it if it has no peer with an address.
    pub(crate) otherwise: String,
}

impl Subject {
    pub(crate) fn new(id: TransportId, protocol: &'static str, peer: Option<Address>) -> Self {
        Self { id, protocol, peer, otherwise: format!("transport {id}") }
    }

    /// What the exception handler is told of its callback `name`.
    fn exception<'a>(
        &'a self,
        name: &'a str,
        message: &'a str,
        error: Option<&'a Error>,
    ) -> Exception<'a> {
        let peer = self.peer.as_ref();
        let callback = ProtocolCallback { name, protocol: self.protocol, peer };
        Exception { message, error, transport: Some(self.id), callback: Some(callback) }
    }

    /// The protocol's type and its peer.
    fn who(&self) -> String {
        let protocol = self.protocol;
        match &self.peer {
            Some(peer) => format!("{protocol} ({peer})"),
            None => format!("{protocol} ({})", self.otherwise),
        }
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

    /// Tells the exception handler of a callback that failed, unless that is the peer's or the network's doing.
    #[cold]
    pub(crate) fn report_callback(&self, subject: &Subject, name: &str, error: &Error) {
        if !error.is_reported() {
            return;
        }
        let verb = if error.is_panic() { "panicked" } else { "failed" };
        let message = format!("{} {verb} in {name}", subject.who());
        self.report(&subject.exception(name, &message, Some(error)));
    }

    /// Tells the exception handler of a protocol's callback that was slow.
    #[cold]
    pub(crate) fn report_slow_callback(&self, subject: &Subject, name: &str, took: Duration) {
        let message = held_up(&format!("{} took {took:?} in {name}", subject.who()));
        self.report(&subject.exception(name, &message, None));
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

/// One line on standard error.
fn default_exception_handler(exception: &Exception<'_>) {
    print(&line(exception));
}

/// The longest line that is printed or logged, in bytes: what a peer sent may be in an error's text.
const LONGEST_LINE: usize = 8 * 1024;

/// The line that is printed or logged. The text of an error is foreign code.
pub(super) fn line(exception: &Exception<'_>) -> String {
    let mut line = fence::run(|| exception.to_string()).unwrap_or_else(|panic| {
        let bare = Exception { error: None, ..*exception };
        format!("{bare}: an error whose text cannot be had: {}", panic.into_error())
    });
    if line.len() > LONGEST_LINE {
        let end = (0..=LONGEST_LINE).rev().find(|&end| line.is_char_boundary(end));
        line.truncate(end.unwrap_or(0));
        line.push('…');
    }
    line
}

pub(crate) fn print(text: &str) {
    use std::io::Write;
    // Standard error may be closed; there is nobody left to tell then. In one write: what other threads
    // and processes print does not come in between.
    let _ = std::io::stderr().write_all(format!("wharf: {text}\n").as_bytes());
}

/// # Errors that no caller can be told
impl EventLoop {
    /// Calls `handler` with what no caller can be told: panics and application errors of callbacks,
    /// failures of incoming connections, slow callbacks, results nobody asked for.
    ///
    /// Without one, a line goes to standard error. With the feature `log` there is a ready handler for the
    /// `log` crate, to be set here: `log_exception`. A panic in the handler is caught, and the default takes
    /// over for that exception. On a closed loop the handler is dropped.
    ///
    /// It is called on the loop's thread, between callbacks: what goes wrong in what a callback drops
    /// or cancels is told in the loop's next round. Panics and errors of the handler's own doing while
    /// it runs go to the default.
    ///
    /// What the peer or the network does to a connection is not told here:
    /// [`connection_lost`](crate::Protocol::connection_lost) is told of that, and
    /// [`Error::protocol_violation`] is how a callback says that the peer is to blame. Any other `Err` that a
    /// callback returns is told, unless it is an error that a connection has ended with, handed back.
    ///
    /// ```
    /// use std::cell::RefCell;
    /// use std::rc::Rc;
    ///
    /// # fn main() -> wharf::Result {
    /// let event_loop = wharf::EventLoop::new()?;
    /// let lines = Rc::new(RefCell::new(Vec::new()));
    /// let kept = Rc::clone(&lines);
    /// event_loop.set_exception_handler(move |_, exception| {
    ///     kept.borrow_mut().push(exception.to_string());
    /// });
    /// event_loop.call_soon(|| panic!("on purpose"));
    /// event_loop.run(async |event_loop| {
    ///     event_loop.sleep(std::time::Duration::from_millis(1)).await;
    ///     Ok(())
    /// })?;
    /// assert_eq!(*lines.borrow(), ["a callback panicked: on purpose"]);
    /// # Ok(())
    /// # }
    /// ```
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
    pub(crate) fn start(core: &Core) -> Self {
        Self(core.slow_callback.get().map(|_| core.now()))
    }

    /// Reports the callback if it was slow; `what` it was, if not a protocol's.
    #[inline]
    pub(crate) fn stop(self, core: &Core, what: &str) {
        if let Some(started) = self.0 {
            report_if_slow(core, started, what);
        }
    }

    /// How long the callback took, if it was slow.
    #[inline]
    pub(crate) fn took_too_long(self, core: &Core) -> Option<Duration> {
        self.0.and_then(|started| took_too_long(core, started))
    }
}

#[cold]
fn report_if_slow(core: &Core, started: u64, what: &str) {
    if let Some(took) = took_too_long(core, started) {
        core.report(&Exception::new(&held_up(&format!("{what} took {took:?}")), None, None));
    }
}

#[cold]
fn took_too_long(core: &Core, started: u64) -> Option<Duration> {
    let took = Duration::from_nanos(core.now().saturating_sub(started));
    // The callback may have changed the limit.
    let is_slow = core.slow_callback.get().is_some_and(|limit| took >= limit);
    is_slow.then(|| {
        core.counters.count_slow_callback();
        took
    })
}

fn held_up(what: &str) -> String {
    format!("{what}, and held up the event loop")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_line_of_a_bounded_length_whatever_is_in_it() {
        let junk = "é\n".repeat(100_000);
        let error = Error::from(junk.clone());
        for exception in [
            Exception::new(&junk, None, None),
            Exception::new("a callback failed", Some(&error), None),
        ] {
            assert!(!exception.to_string().contains(char::is_control));
            let line = line(&exception);
            assert!(line.len() <= LONGEST_LINE + '…'.len_utf8() && line.ends_with('…'));
            assert!(!line.contains(char::is_control));
        }
        let short = Exception::new("all is well", None, None);
        assert_eq!(line(&short), "all is well");
    }
}
