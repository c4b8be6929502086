//! Protocols of datagram endpoints.

use std::net::UdpSocket;
use std::rc::Rc;

use wharf::{Address, DatagramProtocol, DatagramTransport, Datagrams, Error, Result};

use crate::bomb::{Bomb, DropError, OnDrop};
use crate::stage::{Counts, Point, Stage, blow_up, elsewhere, reported};

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Made,
    Received,
    Batch,
    Lost,
    Nowhere,
}

struct Endpoint {
    at: At,
    fails: bool,
    bomb: Bomb,
    counts: Rc<Counts>,
    _on_drop: Option<OnDrop>,
}

impl Endpoint {
    fn new(stage: &Stage, at: At, fails: bool) -> Self {
        let counts = Rc::clone(&stage.counts);
        Self { at, fails, bomb: stage.bomb.clone(), counts, _on_drop: None }
    }

    fn reach(&self, at: At) -> Result {
        if at != self.at {
            return Ok(());
        }
        if self.fails {
            return Err(Box::new(DropError(self.bomb.on_drop())));
        }
        self.bomb.tick();
        Ok(())
    }
}

impl DatagramProtocol for Endpoint {
    fn connection_made(&mut self, _: &dyn DatagramTransport) -> Result {
        self.counts.made.set(self.counts.made.get() + 1);
        self.reach(At::Made)
    }

    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        self.reach(At::Received)
    }

    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> Result {
        self.reach(At::Batch)?;
        for datagram in batch {
            self.datagram_received(transport, datagram.data, datagram.from)?;
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn DatagramTransport, _: Option<&Error>) -> Result {
        self.counts.lost.set(self.counts.lost.get() + 1);
        self.reach(At::Lost)
    }
}

fn endpoint(stage: &Stage, at: At, fails: bool) {
    run(stage, Endpoint::new(stage, at, fails));
}

fn run(stage: &Stage, endpoint: Endpoint) {
    let before = stage.bomb.count();
    let (at, builder) = (
        endpoint.at,
        stage.event_loop.create_datagram_endpoint(|| endpoint).local("127.0.0.1:0").start(),
    );
    let endpoint = stage.complete(builder).expect("an endpoint");
    if matches!(at, At::Received | At::Batch) {
        let info = endpoint.handle().info();
        let to = info.local_address().and_then(Address::as_ip).expect("an address");
        let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for _ in 0..3 {
            client.send_to(b"hello", to).expect("to send");
        }
        stage.until_reached(before);
    }
    endpoint.handle().close();
    stage.until("the end", || stage.event_loop.metrics().connections_open == 0);
    stage.until_reached(before);
}

const POINTS: &[Point] = &[
    reported("an endpoint's connection_made", |stage| endpoint(stage, At::Made, false)),
    reported("datagram_received", |stage| endpoint(stage, At::Received, false)),
    reported("datagrams_received", |stage| endpoint(stage, At::Batch, false)),
    reported("an endpoint's connection_lost", |stage| endpoint(stage, At::Lost, false)),
    reported("the drop of an endpoint's connection_made's error", |stage| {
        endpoint(stage, At::Made, true);
    }),
    reported("the drop of datagram_received's error", |stage| endpoint(stage, At::Received, true)),
    reported("the drop of datagrams_received's error", |stage| endpoint(stage, At::Batch, true)),
    reported("the drop of an endpoint's connection_lost's error", |stage| {
        endpoint(stage, At::Lost, true);
    }),
    reported("the drop of an endpoint's protocol", |stage| {
        let on_drop = Some(stage.bomb.on_drop());
        run(stage, Endpoint { _on_drop: on_drop, ..Endpoint::new(stage, At::Nowhere, false) });
    }),
    elsewhere("an endpoint's factory", |stage| {
        let (bomb, made) = (stage.bomb.clone(), Endpoint::new(stage, At::Nowhere, false));
        let factory = move || {
            bomb.tick();
            made
        };
        let opening = stage.event_loop.create_datagram_endpoint(factory).local("127.0.0.1:0");
        if let Ok(endpoint) = stage.complete(opening.start()) {
            endpoint.handle().abort();
        }
    }),
];

#[test]
fn protocols_of_datagram_endpoints_may_panic_and_their_errors_too() {
    blow_up(POINTS);
}
