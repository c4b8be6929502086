//! Protocols of datagram endpoints.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use wharf::{Address, DatagramProtocol, DatagramTransport, Datagrams, Error, Result, WaterMarks};

use super::reaching::Reaching;
use crate::stage::{Point, Stage, blow_up, elsewhere, reported};

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Made,
    Received,
    Batch,
    Error,
    Pause,
    Resume,
    Lost,
    Nowhere,
}

struct Endpoint(Reaching<At>);

impl DatagramProtocol for Endpoint {
    fn connection_made(&mut self, _: &dyn DatagramTransport) -> Result {
        self.0.made(At::Made)
    }

    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        self.0.reach(At::Received)
    }

    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> Result {
        self.0.reach(At::Batch)?;
        for datagram in batch {
            self.datagram_received(transport, datagram.data, datagram.from)?;
        }
        Ok(())
    }

    fn error_received(&mut self, _: &dyn DatagramTransport, _: &Error) -> Result {
        self.0.reach(At::Error)
    }

    fn pause_writing(&mut self, _: &dyn DatagramTransport) -> Result {
        self.0.reach(At::Pause)
    }

    fn resume_writing(&mut self, _: &dyn DatagramTransport) -> Result {
        self.0.reach(At::Resume)
    }

    fn connection_lost(&mut self, _: &dyn DatagramTransport, _: Option<&Error>) -> Result {
        self.0.lost(At::Lost)
    }
}

fn endpoint(stage: &Stage, at: At, fails: bool) {
    run(stage, Endpoint(Reaching::new(stage, at, fails)));
}

fn run(stage: &Stage, endpoint: Endpoint) {
    let before = stage.bomb.count();
    let (at, builder) = (
        endpoint.0.at,
        stage.event_loop.create_datagram_endpoint(|| endpoint).local_address("127.0.0.1:0").start(),
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
    // Handles keep the error that ended their endpoint.
    stage.event_loop.call_soon(move || drop(endpoint));
    stage.until("the end", || stage.event_loop.statistics().connections_open == 0);
    stage.until_reached(before);
}

/// Sends to nobody: the system says so with the next call.
fn refused(stage: &Stage, fails: bool) {
    let before = stage.bomb.count();
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let to = nobody.local_addr().expect("an address").to_string();
    drop(nobody);
    let own = Endpoint(Reaching::new(stage, At::Error, fails));
    let opening = stage.event_loop.create_datagram_endpoint(|| own).peer_address(to).start();
    let endpoint = stage.complete(opening).expect("an endpoint");
    stage.until("the point", || {
        let _ = endpoint.handle().send(b"anybody?");
        stage.bomb.count() > before
    });
    close(stage, &endpoint);
}

/// Sends to a Unix socket that is full, and later is not.
fn full(stage: &Stage, at: At, fails: bool) {
    let before = stage.bomb.count();
    let (near, far) = UnixDatagram::pair().expect("a pair");
    let own = Endpoint(Reaching::new(stage, at, fails));
    let opening = stage.event_loop.create_datagram_endpoint(|| own).socket(near).start();
    let endpoint = stage.complete(opening).expect("an endpoint");
    let handle = endpoint.handle();
    handle.set_write_buffer_limits(WaterMarks::from_high(0)).expect("marks");
    // The receiver's queue is full after some hundred at most.
    for _ in 0..2_000 {
        let _ = handle.send(b"hello");
    }
    far.set_nonblocking(true).expect("an option");
    stage.until("the point", || {
        let mut buffer = [0; 16];
        while far.recv(&mut buffer).is_ok() {}
        stage.bomb.count() > before
    });
    close(stage, &endpoint);
}

fn close(stage: &Stage, endpoint: &wharf::Endpoint<Endpoint>) {
    endpoint.handle().abort();
    stage.until("the end", || stage.event_loop.statistics().connections_open == 0);
}

const POINTS: &[Point] = &[
    reported("error_received", |stage| refused(stage, false)),
    reported("the drop of error_received's error", |stage| refused(stage, true)),
    reported("an endpoint's pause_writing", |stage| full(stage, At::Pause, false)),
    reported("the drop of an endpoint's pause_writing's error", |stage| {
        full(stage, At::Pause, true);
    }),
    reported("an endpoint's resume_writing", |stage| full(stage, At::Resume, false)),
    reported("the drop of an endpoint's resume_writing's error", |stage| {
        full(stage, At::Resume, true);
    }),
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
        run(stage, Endpoint(Reaching::dropped(stage, At::Nowhere)));
    }),
    elsewhere("an endpoint's factory", |stage| {
        let (bomb, made) = (stage.bomb.clone(), Endpoint(Reaching::new(stage, At::Nowhere, false)));
        let factory = move || {
            bomb.tick();
            made
        };
        let opening =
            stage.event_loop.create_datagram_endpoint(factory).local_address("127.0.0.1:0");
        if let Ok(endpoint) = stage.complete(opening.start()) {
            endpoint.handle().abort();
        }
    }),
];

#[test]
fn protocols_of_datagram_endpoints_may_panic_and_their_errors_too() {
    blow_up(POINTS);
}
