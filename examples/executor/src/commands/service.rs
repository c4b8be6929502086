//! What a service manager is told (`sd_notify`). Without one, nothing is said.

use std::time::Duration;

use sd_notify::NotifyState;
use wharf::EventLoop;

/// It serves.
pub(super) fn is_ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again, or restarts; `is_ready` follows.
pub(super) fn reloads() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// It ends.
pub(super) fn stops() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the loop goes round, if the service manager wants to hear it (`WatchdogSec=`).
pub(super) fn watch(event_loop: &EventLoop) {
    if let Some(period) = sd_notify::watchdog_enabled() {
        every(event_loop, period / 2);
    }
}

fn every(event_loop: &EventLoop, period: Duration) {
    tell(&[NotifyState::Watchdog]);
    let again = event_loop.clone();
    event_loop.call_later(period, move || every(&again, period));
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        eprintln!("the service manager cannot be told: {error}");
    }
}
