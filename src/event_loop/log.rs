//! Reports to the `log` crate.

use super::{EventLoop, Exception, exceptions};

/// An exception handler that sends each report to the `log` crate, as an error with the target `wharf`.
///
/// ```
/// # fn main() -> wharf::Result {
/// let event_loop = wharf::EventLoop::new()?;
/// event_loop.set_exception_handler(wharf::log_exception);
/// # Ok(())
/// # }
/// ```
///
/// The feature alone changes nothing: without a handler, reports go to standard error. So do those during which
/// the logger panics.
pub fn log_exception(_: &EventLoop, exception: &Exception<'_>) {
    log::error!(target: "wharf", "{}", exceptions::line(exception));
}
