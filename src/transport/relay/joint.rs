//! The two protocols of a relay, and what they share.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::outcome::{RelayEnd, RelayOutcome, RelaySide, RelayStatistics};
use super::passage::Passage;
use crate::error::{Error, Kind, Result};
use crate::event_loop::{Core, Timer, nanoseconds};
use crate::protocol::{Eof, Protocol};
use crate::task::Promise;
use crate::time::TimerKey;
use crate::transport::stream::Access;
use crate::transport::{Stream, Transport, TransportHandle, WriteStatus};

/// What the two halves share.
pub(super) struct Joint {
    ends: [End; 2],
    statistics: RelayStatistics,
    idle: Option<Duration>,
    timer: Cell<Option<TimerKey>>,
    /// Why it comes to an end, once it does.
    end: Cell<Option<RelayEnd>>,
    promise: Cell<Option<Promise<RelayOutcome>>>,
}

struct End {
    handle: TransportHandle,
    /// What comes from this end.
    passage: Rc<Passage>,
    /// Whether what comes from it can go anywhere: not from what is only written, nor to what is only
    /// read.
    gives: bool,
    /// Nothing more comes from it: its peer has ended its side, or it never gives anything.
    ended: Cell<bool>,
    lost: Cell<bool>,
}

/// The protocol of one of the connections.
pub(super) struct Half {
    joint: Rc<Joint>,
    side: usize,
}

impl Joint {
    pub(super) fn new(
        handles: [TransportHandle; 2],
        passages: [Rc<Passage>; 2],
        gives: [bool; 2],
        statistics: RelayStatistics,
        idle: Option<Duration>,
        promise: Promise<RelayOutcome>,
    ) -> Rc<Self> {
        let [a, b] = handles;
        let [from_a, from_b] = passages;
        let [a_gives, b_gives] = gives;
        let end = |handle, passage, gives: bool| End {
            handle,
            passage,
            gives,
            ended: Cell::new(!gives),
            lost: Cell::new(false),
        };
        Rc::new(Self {
            ends: [end(a, from_a, a_gives), end(b, from_b, b_gives)],
            statistics,
            idle,
            timer: Cell::new(None),
            end: Cell::new(None),
            promise: Cell::new(Some(promise)),
        })
    }

    pub(super) fn half(self: &Rc<Self>, side: usize) -> Box<dyn Protocol> {
        Box::new(Half { joint: Rc::clone(self), side })
    }

    pub(super) fn start(self: &Rc<Self>) {
        for (side, end) in self.ends.iter().enumerate() {
            if !end.gives {
                end.handle.pause_reading();
            } else if end.passage.splices_from_the_start() {
                self.start_splicing(side);
            }
        }
        self.arm(self.core().now());
    }

    fn core(&self) -> &Rc<Core> {
        self.ends[0].handle.core()
    }

    fn stream(&self, side: usize) -> Option<Rc<Stream>> {
        self.core().stream(self.ends[side].handle.key())
    }

    #[inline]
    fn pass(self: &Rc<Self>, side: usize, transport: &dyn Transport, data: &[u8]) -> Result {
        let Some(other) = self.stream(1 - side) else {
            transport.pause_reading();
            return Ok(());
        };
        match other.write_now(self.core(), data) {
            WriteStatus::Closed if other.has_only_ended_writing() => {
                let text = "the other side of the relay takes nothing: its write side was ended";
                return Err(Error::new(Kind::Closed, text).into());
            }
            // It is about to be closed, and this one is closed then.
            WriteStatus::Closed => {
                transport.pause_reading();
                return Ok(());
            }
            WriteStatus::AboveHighWater => transport.pause_reading(),
            WriteStatus::Accepted => {}
        }
        if self.ends[side].passage.copied(data.len()) {
            self.start_splicing(side);
        }
        Ok(())
    }

    #[cold]
    fn start_splicing(&self, side: usize) {
        let passage = &self.ends[side].passage;
        let started = match (self.stream(side), self.stream(1 - side)) {
            (Some(from), Some(to)) => from.start_splicing(self.core(), &to, passage),
            _ => false,
        };
        if !started {
            passage.never_splice();
        }
    }

    /// The peer of one side has ended: the other side's write side ends, after what was passed on.
    fn end_of(&self, side: usize) {
        let [here, there] = [&self.ends[side], &self.ends[1 - side]];
        here.ended.set(true);
        if there.ended.get() {
            here.handle.close();
            there.handle.close();
        } else if there.handle.can_write_eof() {
            there.handle.write_eof();
        } else {
            there.handle.close();
        }
    }

    /// One side is closed: what was passed on to the other is sent, then that is closed, too.
    ///
    /// A reset is not passed on as a reset. Many systems drop what a program has not read yet when a reset
    /// arrives, so it would destroy what was received before.
    fn lose(&self, side: usize, error: Option<&Error>) {
        let [here, there] = [&self.ends[side], &self.ends[1 - side]];
        if here.lost.replace(true) {
            return;
        }
        let end = match error {
            Some(error) => RelayEnd::Failed(SIDES[side], error.clone()),
            None if here.ended.get() && there.ended.get() => RelayEnd::Finished,
            None => RelayEnd::Closed(SIDES[side]),
        };
        self.come_to_an_end(end);
        if !there.lost.get() {
            if !here.ended.get() {
                // More may have been on its way, so the other peer is not told that it has everything.
                there.handle.with(|stream| stream.withhold_close_notify());
            }
            return there.handle.close();
        }
        self.statistics.over.set(true);
        if let Some(timer) = self.timer.take() {
            self.core().cancel_timer(timer);
        }
        if let (Some(promise), Some(end)) = (self.promise.take(), self.end.take()) {
            let (a_to_b, b_to_a) = (self.statistics.a_to_b(), self.statistics.b_to_a());
            promise.set(Ok(RelayOutcome { a_to_b, b_to_a, end }));
        }
    }

    /// What comes first is why.
    fn come_to_an_end(&self, end: RelayEnd) {
        let first = self.end.take();
        self.end.set(Some(first.unwrap_or(end)));
    }

    /// Arms the timer that looks whether there was no traffic for the idle timeout.
    fn arm(self: &Rc<Self>, since: u64) {
        if let Some(idle) = self.idle {
            let at = since.saturating_add(nanoseconds(idle));
            let timer = self.core().add_timer(at, Box::new(Idle(Rc::clone(self))));
            self.timer.set(Some(timer));
        }
    }

    fn check_idle(self: &Rc<Self>) {
        self.timer.set(None);
        let active_at = (0..2).filter_map(|side| self.stream(side)).map(|end| end.active_at());
        let Some(active_at) = active_at.max() else { return };
        let since = self.core().since_start(active_at);
        let idle = self.idle.map_or(u64::MAX, nanoseconds);
        if self.core().tick_time() < since.saturating_add(idle) {
            return self.arm(since);
        }
        self.come_to_an_end(RelayEnd::TimedOut);
        for end in &self.ends {
            end.handle.abort();
        }
    }
}

const SIDES: [RelaySide; 2] = [RelaySide::A, RelaySide::B];

impl Protocol for Half {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.joint.pass(self.side, transport, data)
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.joint.end_of(self.side);
        Ok(Eof::KeepOpen)
    }

    /// Stops the other side. No hold on this one: two that wait for each other would wait for ever.
    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.joint.ends[1 - self.side].handle.pause_reading();
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.joint.ends[1 - self.side].handle.resume_reading();
        Ok(())
    }

    /// A relay does not know where a message ends: it goes on until its peers end or the server's
    /// time is up.
    fn shutting_down(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.joint.lose(self.side, error);
        Ok(())
    }
}

impl Drop for Half {
    /// Replaced by another protocol, or never installed: the connection is the relay's no more.
    fn drop(&mut self) {
        if let Some(stream) = self.joint.stream(self.side) {
            stream.end_relay();
        }
        if !self.joint.ends[self.side].lost.get() {
            for side in 0..2 {
                if let Some(stream) = self.joint.stream(side) {
                    stream.stop_splicing_of(&self.joint.ends[side].passage);
                }
            }
            self.joint.lose(self.side, None);
        }
    }
}

/// The timer of a relay with an idle timeout: traffic costs it nothing.
struct Idle(Rc<Joint>);

impl Timer for Idle {
    fn run(self: Box<Self>, _: &Rc<Core>) {
        self.0.check_idle();
    }
}
