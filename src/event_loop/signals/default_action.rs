//! What a signal does when no loop of the process handles it any more.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::SigId;

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

/// A promise that the next time the signal comes is the last time that it is handled: from then on it does what
/// it does by default, even if the loop is stuck and never learns of it. Dropping it takes it back, unless it
/// has come.
pub(super) struct Once {
    hook: SigId,
    /// Set by the hook: nobody else does while the signal is handled.
    has_come: Arc<AtomicBool>,
}

impl Once {
    /// `instead` is there, so the hook that looks at the flag runs before the one that sets it.
    pub(super) fn of(instead: &InsteadOfDefault) -> io::Result<Self> {
        let default_wanted =
            lock().get(&instead.signal).map(|known| Arc::clone(&known.default_wanted));
        let has_come = default_wanted.ok_or(io::ErrorKind::NotFound)?;
        let hook = signal_hook::flag::register(instead.signal, Arc::clone(&has_come))?;
        Ok(Self { hook, has_come })
    }

    /// Whether it has come, though the loop may not know of it yet.
    pub(super) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::SeqCst)
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.hook);
    }
}

/// Whether the signal does what it does by default: nobody has a handler for it, and it is not ignored.
///
/// Whether code other than wharf's has one is known where there is Linux's `/proc`; elsewhere none is assumed to.
pub(super) fn is_default(signal: i32) -> bool {
    match lock().get(&signal) {
        Some(handled) => handled.loops == 0,
        None => !is_set_elsewhere(signal),
    }
}

fn is_set_elsewhere(signal: i32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/thread-self/status") else { return false };
    ["SigIgn:", "SigCgt:"].iter().any(|name| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    })
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
