//! The numbers of signals, for [`EventLoop::add_signal_handler`](crate::EventLoop::add_signal_handler)
//! and [`ProcessTransport::send_signal`](crate::ProcessTransport::send_signal); and how a program ends as by one.

use std::io;

pub use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGSTOP, SIGTERM,
    SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// Does what the signal does by default, whoever handles it: `SIGINT` and `SIGTERM` end the process.
///
/// For a program that has cleaned up after a signal and now ends: whoever started it learns that the signal
/// ended it, and a shell that is in a loop ends that, too.
///
/// ```no_run
/// use wharf::Error;
/// use wharf::signal::{self, SIGINT};
///
/// fn main() -> wharf::Result {
///     let outcome = wharf::run(async |_| {
///         std::future::pending::<()>().await;
///         Ok(())
///     });
///     if outcome.as_ref().is_err_and(|error| error.downcast_ref().is_some_and(Error::is_interrupted)) {
///         signal::act_by_default(SIGINT)?;
///     }
///     outcome
/// }
/// ```
///
/// # Errors
/// A number that is no signal.
#[doc(alias("raise", "emulate_default_handler"))]
pub fn act_by_default(signal: i32) -> io::Result<()> {
    signal_hook::low_level::emulate_default_handler(signal)
}
