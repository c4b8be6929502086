//! Where rustls takes the time from.

use std::cell::Cell;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

thread_local! {
    /// What the clock says on this thread, if not the system's time.
    static VIRTUAL: Cell<Option<UnixTime>> = const { Cell::new(None) };
}

/// The loop's idea of the time of day, for certificates and tickets.
///
/// It is the system's, unless the calling thread is inside [`at`]: a loop in virtual time calls
/// rustls there. A configuration is shared by loops, so the time cannot be a part of it.
#[derive(Debug)]
pub(crate) struct LoopClock;

impl TimeProvider for LoopClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(now())
    }
}

/// The time of day, as [`LoopClock`] says it.
pub(crate) fn now() -> UnixTime {
    VIRTUAL.get().unwrap_or_else(UnixTime::now)
}

/// Runs `work` while the clock says `time` on this thread.
pub(crate) fn at<R>(time: UnixTime, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<UnixTime>);

    impl Drop for Restore {
        fn drop(&mut self) {
            VIRTUAL.set(self.0);
        }
    }

    let _restore = Restore(VIRTUAL.replace(Some(time)));
    work()
}
