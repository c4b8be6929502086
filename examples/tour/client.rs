//! The client: it keeps some messages on their way, and checks what comes back.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{Error, EventLoop, Promise, Protocol, Result, Transport, TransportHandle};

/// How many clients there are at a time.
pub(crate) const CONNECTIONS: usize = 10;

/// What the clients of one row do together.
#[derive(Clone)]
pub(crate) struct Workload {
    size: usize,
    in_flight: u64,
    /// How many messages are still to be sent.
    left: Rc<Cell<u64>>,
    time: Duration,
    began: Instant,
    /// What is sent, over and over. A piece of it that is lost, doubled or moved shows, since the
    /// length is a prime number.
    pattern: Rc<[u8]>,
}

/// They could be larger, but a receiver holds only a few such before it drops some.
const LARGEST_DATAGRAM: usize = 4 * 1024;

const PERIOD: usize = 65_521;

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) messages: u64,
    /// The bytes in each: fewer than asked for where that is too much for one.
    pub(crate) size: usize,
    pub(crate) time: Duration,
}

impl Workload {
    /// Sends messages of `size` bytes, `in_flight` at once on each connection, until there were
    /// `messages`, or `time` is over.
    pub(crate) fn new(size: usize, in_flight: u64, messages: u64, time: Duration) -> Self {
        let scrambled = |position: usize| (((position % PERIOD) * 40_503) >> 8) as u8;
        Self {
            size,
            in_flight,
            left: Rc::new(Cell::new(messages)),
            time,
            began: Instant::now(),
            pattern: (0..PERIOD + size).map(scrambled).collect(),
        }
    }

    /// Runs the clients, each on a connection that `connect` makes and that is kept, to their
    /// end.
    pub(crate) async fn run<T>(
        self,
        event_loop: &EventLoop,
        connect: impl AsyncFn(Client) -> Result<T>,
    ) -> Result<Outcome> {
        let mut ends = Vec::new();
        for _ in 0..CONNECTIONS {
            let (ending, end) = event_loop.create_future();
            let workload = self.clone();
            let client =
                Client { workload, output: None, sent: 0, received: 0, ending: Some(ending) };
            ends.push((connect(client).await?, end));
        }
        let mut messages = 0;
        for (_connection, end) in ends {
            messages += end.await??;
        }
        Ok(Outcome { messages, size: self.size, time: self.began.elapsed() })
    }

    /// The size and the number under way where messages are datagrams.
    pub(crate) fn datagrams(&self) -> (usize, usize) {
        (self.size.min(LARGEST_DATAGRAM), self.in_flight as usize)
    }

    /// Whether one more message is to be sent.
    pub(crate) fn take_one(&self) -> bool {
        let left = self.left.get();
        if left == 0 || self.began.elapsed() >= self.time {
            return false;
        }
        self.left.set(left - 1);
        true
    }

    /// The part of the endless pattern that begins at `position`, as far as `length` and the end of
    /// what is stored.
    fn pattern_at(&self, position: u64, length: usize) -> &[u8] {
        let start = (position % PERIOD as u64) as usize;
        &self.pattern[start..(start + length).min(self.pattern.len())]
    }
}

pub(crate) struct Client {
    workload: Workload,
    /// Where to write, if not to the transport that is read: a pipe goes one way.
    output: Option<TransportHandle>,
    /// Messages.
    sent: u64,
    /// Bytes.
    received: u64,
    /// Told of the number of messages that came back, or of what went wrong.
    ending: Option<Promise<Result<u64, String>>>,
}

impl Protocol for Client {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.send(transport);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.check(data)?;
        self.send(transport);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let outcome = match error {
            Some(error) => Err(format!("{error:#}")),
            None if self.received < self.bytes_sent() => Err("not everything came back".to_owned()),
            None => Ok(self.sent),
        };
        if let Some(output) = &self.output {
            output.close();
        }
        if let Some(ending) = self.ending.take() {
            // It says when nobody waits for it any more; that is fine here.
            let _ = ending.set_result(outcome);
        }
        Ok(())
    }
}

impl Client {
    pub(crate) fn writing_to(self, output: TransportHandle) -> Self {
        Self { output: Some(output), ..self }
    }

    /// Sends as many messages as may be on their way; closes when all are sent and came back.
    fn send(&mut self, transport: &dyn Transport) {
        let size = self.workload.size;
        let output = self.output.clone();
        let output: &dyn Transport = output.as_ref().map_or(transport, |output| output);
        let returned = self.received / size as u64;
        while self.sent < returned + self.workload.in_flight && self.workload.take_one() {
            output.write(self.workload.pattern_at(self.bytes_sent(), size));
            self.sent += 1;
        }
        if self.received == self.bytes_sent() {
            transport.close();
        }
    }

    fn check(&mut self, mut data: &[u8]) -> Result {
        while !data.is_empty() {
            let expected = self.workload.pattern_at(self.received, data.len());
            let (now, later) = data.split_at(expected.len());
            if now != expected {
                return Err(format!("wrong bytes came back after {}", self.received).into());
            }
            self.received += now.len() as u64;
            data = later;
        }
        match self.received <= self.bytes_sent() {
            true => Ok(()),
            false => Err("more came back than was sent".into()),
        }
    }

    fn bytes_sent(&self) -> u64 {
        self.sent * self.workload.size as u64
    }
}
