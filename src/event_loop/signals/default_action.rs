//! What a signal does when no loop of the process handles it any more.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The signals that were handled in this process so far. Signals are the process's, not a loop's.
static SIGNALS: Mutex<BTreeMap<i32, Handled>> = Mutex::new(BTreeMap::new());

struct Handled {
    /// How many loops handle it.
    loops: usize,
    /// Whether the hook does what the signal does by default: when no loop handles it.
    default_wanted: Arc<AtomicBool>,
}

/// Keeps a signal from doing what it does by default, as long as it lives.
///
/// signal-hook leaves a signal without effect once its last hook is removed, so each signal that
/// was ever handled has one hook that stays, and does by then what the system would do.
pub(super) struct InsteadOfDefault {
    signal: i32,
}

impl InsteadOfDefault {
    pub(super) fn of(signal: i32) -> io::Result<Self> {
        let mut signals = lock();
        if let Some(handled) = signals.get_mut(&signal) {
            handled.loops += 1;
            handled.default_wanted.store(false, Ordering::SeqCst);
        } else {
            let default_wanted = Arc::new(AtomicBool::new(false));
            let condition = Arc::clone(&default_wanted);
            signal_hook::flag::register_conditional_default(signal, condition)?;
            signals.insert(signal, Handled { loops: 1, default_wanted });
        }
        Ok(Self { signal })
    }
}

impl Drop for InsteadOfDefault {
    fn drop(&mut self) {
        if let Some(handled) = lock().get_mut(&self.signal) {
            handled.loops -= 1;
            handled.default_wanted.store(handled.loops == 0, Ordering::SeqCst);
        }
    }
}

fn lock() -> MutexGuard<'static, BTreeMap<i32, Handled>> {
    SIGNALS.lock().unwrap_or_else(PoisonError::into_inner)
}
