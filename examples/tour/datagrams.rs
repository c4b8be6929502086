//! The same over datagrams: clients that keep some on their way, and check what comes back.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{Address, DatagramProtocol, DatagramTransport, EventLoop, Promise, Result};

use super::client::{CONNECTIONS, Outcome, Workload};

/// Sends every datagram back.
struct Echo;

impl DatagramProtocol for Echo {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        transport.send_to(data, from)?;
        Ok(())
    }
}

/// A datagram that is not back by then is lost, which datagrams may be.
const LOST_AFTER: Duration = Duration::from_secs(2);

struct Client {
    workload: Workload,
    size: usize,
    in_flight: usize,
    /// The number of the next one, and those under way: each carries its number.
    next: u64,
    under_way: BTreeSet<u64>,
    returned: u64,
    last: Rc<Cell<Instant>>,
    ending: Option<Promise<Result<u64, String>>>,
}

impl DatagramProtocol for Client {
    fn connection_made(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.send(transport)
    }

    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        _: &Address,
    ) -> Result {
        self.last.set(Instant::now());
        let number = data.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        if data != self.datagram(number.unwrap_or_default()) {
            self.end(Err("a datagram was changed".to_owned()));
        } else if number.is_some_and(|number| self.under_way.remove(&number)) {
            self.returned += 1;
        }
        self.send(transport)
    }
}

impl Client {
    fn datagram(&self, number: u64) -> Vec<u8> {
        let mut data = number.to_le_bytes().to_vec();
        data.resize(self.size, number as u8);
        data
    }

    fn send(&mut self, transport: &dyn DatagramTransport) -> Result {
        while self.under_way.len() < self.in_flight && self.workload.take_one() {
            transport.send(&self.datagram(self.next))?;
            self.under_way.insert(self.next);
            self.next += 1;
        }
        if self.under_way.is_empty() {
            self.end(Ok(self.returned));
            transport.close();
        }
        Ok(())
    }

    fn end(&mut self, outcome: Result<u64, String>) {
        if let Some(ending) = self.ending.take() {
            // It says when nobody waits for it any more; that is fine here.
            let _ = ending.set_result(outcome);
        }
    }

    /// Whatever is still under way is lost.
    fn give_up(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.under_way.clear();
        self.send(transport)
    }
}

pub(crate) fn udp(workload: Workload) -> Result<Outcome> {
    EventLoop::new()?.run(async |event_loop| {
        let server =
            event_loop.create_datagram_endpoint(|| Echo).local_address("127.0.0.1:0").await?;
        let address = server.local_address()?;
        let began = Instant::now();
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let (ending, end) = event_loop.create_future();
            let (size, in_flight) = workload.datagrams();
            let last = Rc::new(Cell::new(Instant::now()));
            let client = Client {
                workload: workload.clone(),
                size,
                in_flight,
                next: 0,
                under_way: BTreeSet::new(),
                returned: 0,
                last: Rc::clone(&last),
                ending: Some(ending),
            };
            let endpoint = event_loop
                .create_datagram_endpoint(|| client)
                .peer_address(address.clone())
                .await?;
            clients.push((endpoint, last, end));
        }
        let mut messages = 0;
        for (endpoint, last, end) in clients {
            while !end.is_done() {
                event_loop.sleep(Duration::from_millis(1)).await;
                if last.get().elapsed() > LOST_AFTER {
                    last.set(Instant::now());
                    endpoint.with(Client::give_up)??;
                }
            }
            messages += end.await??;
        }
        server.close();
        Ok(Outcome { messages, size: workload.datagrams().0, time: began.elapsed() })
    })
}
