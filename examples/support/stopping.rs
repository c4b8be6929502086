//! How the examples are told to stop.

use std::cell::Cell;
use std::rc::Rc;

use wharf::signal::{SIGINT, SIGTERM};
use wharf::{EventLoop, LoopFuture, Result};

const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// Completes at the first SIGINT or SIGTERM.
///
/// A second one ends the process at once, as signals do that nobody handles.
///
/// # Errors
/// Those of [`EventLoop::add_signal_handler`].
pub fn stop_signal(event_loop: &EventLoop) -> Result<LoopFuture<()>> {
    let (promise, stopped) = event_loop.create_future();
    let promise = Rc::new(Cell::new(Some(promise)));
    for signal in SIGNALS {
        let (promise, own) = (Rc::clone(&promise), event_loop.clone());
        event_loop.add_signal_handler(signal, move || {
            for signal in SIGNALS {
                own.remove_signal_handler(signal);
            }
            if let Some(promise) = promise.take() {
                // Refused when nobody waits for it any more, which is fine.
                let _ = promise.set_result(());
            }
        })?;
    }
    Ok(stopped)
}
