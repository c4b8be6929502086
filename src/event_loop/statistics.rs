//! What a loop counts.

use std::cell::Cell;
use std::time::Duration;

use super::EventLoop;

/// What a loop has done, and what it holds, at one moment.
///
/// ```
/// let event_loop = wharf::EventLoop::new()?;
/// event_loop.run_until_complete(async {})?;
/// let statistics = event_loop.statistics();
/// assert_eq!((statistics.connections_open, statistics.tasks), (0, 0));
/// println!("{} ticks, the last timer was {:?} late", statistics.ticks, statistics.lag);
/// # Ok::<(), wharf::Error>(())
/// ```
#[doc(alias("RuntimeMetrics"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LoopStatistics {
    /// Times the loop polled.
    pub ticks: u64,
    /// Readiness events it was given.
    pub events: u64,
    /// Callbacks run: of protocols, timers, `call_soon`, tasks.
    pub callbacks: u64,
    /// Callbacks that took longer than the slow-callback duration, where one is set.
    pub slow_callbacks: u64,
    /// Reports to the exception handler.
    pub exceptions: u64,
    /// Connections and datagram endpoints whose `connection_made` was called and `connection_lost`
    /// was not.
    pub connections_open: u64,
    /// Connections and datagram endpoints whose `connection_made` was called.
    pub connections_total: u64,
    /// Bytes received by connections and endpoints.
    pub bytes_received: u64,
    /// Bytes handed to the operating system by connections and endpoints.
    pub bytes_sent: u64,
    /// Timers pending, those of connections included.
    pub timers: u64,
    /// Tasks not yet finished.
    pub tasks: u64,
    /// What the loop drives: connections, listeners, pending connects, watchers.
    pub sources: u64,
    /// Sockets of connections that are over, kept until their peers have everything that was sent.
    pub lingering: u64,
    /// Sockets that lingered and were closed before their peers had acknowledged everything that was
    /// sent: a deadline passed, too many lingered, or the loop closed. What the system still held may
    /// have arrived all the same, or not.
    pub lingering_cut_off: u64,
    /// Entries of the ready list.
    pub ready: u64,
    /// How late the last timer was that went off: what the loop's other work cost it.
    pub lag: Duration,
    /// The longest [`lag`](Self::lag) so far.
    pub max_lag: Duration,
}

/// The running counts behind [`LoopStatistics`].
#[derive(Default)]
pub(crate) struct Counters {
    ticks: Cell<u64>,
    events: Cell<u64>,
    callbacks: Cell<u64>,
    slow_callbacks: Cell<u64>,
    exceptions: Cell<u64>,
    connections_open: Cell<u64>,
    connections_total: Cell<u64>,
    bytes_received: Cell<u64>,
    bytes_sent: Cell<u64>,
    cut_off: Cell<u64>,
    lag: Cell<u64>,
    max_lag: Cell<u64>,
}

#[inline]
fn add(counter: &Cell<u64>, count: u64) {
    counter.set(counter.get().wrapping_add(count));
}

impl Counters {
    pub(crate) fn count_tick(&self) {
        add(&self.ticks, 1);
    }

    pub(crate) fn ticks(&self) -> u64 {
        self.ticks.get()
    }

    #[inline]
    pub(crate) fn count_events(&self, count: u64) {
        add(&self.events, count);
    }

    #[inline]
    pub(crate) fn count_callback(&self) {
        add(&self.callbacks, 1);
    }

    pub(crate) fn count_slow_callback(&self) {
        add(&self.slow_callbacks, 1);
    }

    pub(crate) fn count_exception(&self) {
        add(&self.exceptions, 1);
    }

    pub(crate) fn connection_opened(&self) {
        add(&self.connections_open, 1);
        add(&self.connections_total, 1);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections_open.set(self.connections_open.get() - 1);
    }

    #[inline]
    pub(crate) fn add_received(&self, count: usize) {
        add(&self.bytes_received, count as u64);
    }

    #[inline]
    pub(crate) fn add_sent(&self, count: usize) {
        add(&self.bytes_sent, count as u64);
    }

    pub(crate) fn count_cut_off(&self) {
        add(&self.cut_off, 1);
    }

    pub(crate) fn bytes_sent(&self) -> u64 {
        self.bytes_sent.get()
    }

    pub(crate) fn note_lag(&self, lag: u64) {
        self.lag.set(lag);
        self.max_lag.set(self.max_lag.get().max(lag));
    }
}

/// # Statistics
impl EventLoop {
    /// What the loop has done so far, and what it holds now.
    pub fn statistics(&self) -> LoopStatistics {
        let core = self.core();
        let counters = &core.counters;
        LoopStatistics {
            ticks: counters.ticks.get(),
            events: counters.events.get(),
            callbacks: counters.callbacks.get(),
            slow_callbacks: counters.slow_callbacks.get(),
            exceptions: counters.exceptions.get(),
            connections_open: counters.connections_open.get(),
            connections_total: counters.connections_total.get(),
            bytes_received: counters.bytes_received.get(),
            bytes_sent: counters.bytes_sent.get(),
            timers: core.timers.borrow().len_without(core.lingering.timer()) as u64,
            tasks: core.tasks.len() as u64,
            sources: core.slots.borrow().sources() as u64
                - u64::from(core.signal_handlers.serves_the_run_alone()),
            lingering: core.lingering.len() as u64,
            lingering_cut_off: counters.cut_off.get(),
            ready: core.ready.borrow().len() as u64,
            lag: Duration::from_nanos(counters.lag.get()),
            max_lag: Duration::from_nanos(counters.max_lag.get()),
        }
    }
}
