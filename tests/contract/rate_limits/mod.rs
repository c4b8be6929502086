//! Section X: how fast connections may read and write, in virtual time.

mod changing;
mod connections;
mod groups;
mod options;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{advance, pair, step};
use wharf::{Connection, EventLoop, Protocol, RateLimit, Result, Transport, TransportHandle};

const SECOND: Duration = Duration::from_secs(1);

/// Reads as much as it can, and counts it.
struct Sink(Rc<Cell<u64>>);

impl Protocol for Sink {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.set(self.0.get() + data.len() as u64);
        Ok(())
    }
}

/// Writes as much as the other end takes.
struct Source;

impl Protocol for Source {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.resume_writing(transport)
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        while transport.write(&[7; 3000]) == wharf::WriteStatus::Accepted {}
        Ok(())
    }
}

/// Says nothing, and drops what it hears.
struct Idle;

impl Protocol for Idle {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

struct Flow {
    source: Connection<Source>,
    sink: Connection<Sink>,
    received: Rc<Cell<u64>>,
}

impl Flow {
    /// A source that writes to a sink, once `limit` was set on them.
    fn new(event_loop: &EventLoop, limit: impl FnOnce(&TransportHandle, &TransportHandle)) -> Self {
        let received = Rc::new(Cell::new(0));
        let (source, sink) = pair(event_loop, 4096, Source, Sink(Rc::clone(&received))).unwrap();
        limit(source.handle(), sink.handle());
        Self { source, sink, received }
    }

    /// How much arrives in `time`.
    fn in_time(&self, event_loop: &EventLoop, time: Duration) -> u64 {
        let before = self.received.get();
        advance(event_loop, time).unwrap();
        self.received.get() - before
    }

    /// How much arrives in some turns of the loop: without a limit, the flow never comes to rest.
    fn in_turns(&self, event_loop: &EventLoop, turns: u32) -> u64 {
        let before = self.received.get();
        for _ in 0..turns {
            step(event_loop).unwrap();
        }
        self.received.get() - before
    }
}

fn limit(bytes_per_second: u64, burst: u64) -> RateLimit {
    RateLimit::bytes_per_second(bytes_per_second).burst(burst)
}
