//! The way between two protocols, on which their bytes can be harmed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::testing::pair;
use wharf::{Connection, Eof, EventLoop, Protocol, Result, Transport, TransportHandle};

use super::Stage;
use crate::probe::{Log, Probe};

/// What happens to bytes on their way.
pub(super) trait Way {
    /// What the bytes become: pieces, of which each but the first comes a millisecond later.
    fn pass(&mut self, from_client: bool, data: &[u8]) -> Vec<Vec<u8>>;

    /// What is left when that side has ended.
    fn end(&mut self, _from_client: bool) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// A way on which bytes are changed and keep their place.
struct Changed<F>(F);

impl<F: FnMut(bool, &mut Vec<u8>)> Way for Changed<F> {
    fn pass(&mut self, from_client: bool, data: &[u8]) -> Vec<Vec<u8>> {
        let mut data = data.to_vec();
        (self.0)(from_client, &mut data);
        vec![data]
    }
}

enum Piece {
    Data(Vec<u8>),
    Eof,
    Close,
}

/// One direction of the wire: what is to be handed on, in order.
#[derive(Default)]
struct Lane {
    to: RefCell<Option<TransportHandle>>,
    waiting: RefCell<VecDeque<Piece>>,
    is_running: Cell<bool>,
}

impl Lane {
    fn send(self: &Rc<Self>, event_loop: &EventLoop, pieces: impl IntoIterator<Item = Piece>) {
        self.waiting.borrow_mut().extend(pieces);
        if !self.is_running.get() {
            self.run(event_loop);
        }
    }

    fn run(self: &Rc<Self>, event_loop: &EventLoop) {
        let piece = self.waiting.borrow_mut().pop_front();
        let to = self.to.borrow().clone();
        match (piece, to) {
            (Some(Piece::Data(data)), Some(to)) => _ = to.write(&data),
            (Some(Piece::Eof), Some(to)) => to.write_eof(),
            (Some(Piece::Close), Some(to)) => to.close(),
            _ => {}
        }
        let goes_on = !self.waiting.borrow().is_empty();
        self.is_running.set(goes_on);
        if goes_on {
            let (lane, again) = (Rc::clone(self), event_loop.clone());
            event_loop.call_later(Duration::from_millis(1), move || lane.run(&again));
        }
    }
}

/// One end of the wire between two protocols: hands on what it receives.
pub(super) struct Wire {
    from_client: bool,
    lane: Rc<Lane>,
    way: Rc<RefCell<dyn Way>>,
}

impl Wire {
    fn finish(&self, transport: &dyn Transport, last: Piece) {
        let pieces = self.way.borrow_mut().end(self.from_client);
        let pieces = pieces.into_iter().map(Piece::Data).chain([last]);
        self.lane.send(&transport.event_loop(), pieces);
    }
}

impl Protocol for Wire {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let pieces = self.way.borrow_mut().pass(self.from_client, data);
        self.lane.send(&transport.event_loop(), pieces.into_iter().map(Piece::Data));
        Ok(())
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.finish(transport, Piece::Eof);
        Ok(Eof::KeepOpen)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&wharf::Error>) -> Result {
        self.finish(transport, Piece::Close);
        Ok(())
    }
}

/// Joins a client and a server by a wire that changes what it hands on; both upgrade at once. The
/// wire's ends are given back, the client's first.
pub(super) fn join_by_wire(
    stage: &Stage,
    client: &Log,
    server: &Log,
    change: impl FnMut(bool, &mut Vec<u8>) + 'static,
) -> (Connection<Wire>, Connection<Wire>) {
    let tls = stage.tls.client.clone().server_name("server.test");
    let accepting = stage.tls.server.clone();
    let near = Probe::new(client).on_made(move |transport| {
        transport.start_tls((&tls).into(), Bytes::new());
        Ok(())
    });
    let far = Probe::new(server).on_made(move |transport| {
        transport.start_tls((&accepting).into(), Bytes::new());
        Ok(())
    });
    join_protocols(&stage.event_loop, near, far, Changed(change))
}

/// Joins any two protocols by a wire. Its ends are given back, the first one's first.
pub(super) fn join_protocols(
    event_loop: &EventLoop,
    near: Probe,
    far: Probe,
    way: impl Way + 'static,
) -> (Connection<Wire>, Connection<Wire>) {
    let way: Rc<RefCell<dyn Way>> = Rc::new(RefCell::new(way));
    let lanes = [Rc::new(Lane::default()), Rc::new(Lane::default())];
    let wire = |from_client: bool| Wire {
        from_client,
        lane: Rc::clone(&lanes[usize::from(from_client)]),
        way: Rc::clone(&way),
    };
    let (_, client_end) = pair(event_loop, 100_000, near, wire(true)).unwrap();
    let (_, server_end) = pair(event_loop, 100_000, far, wire(false)).unwrap();
    *lanes[1].to.borrow_mut() = Some(server_end.handle().clone());
    *lanes[0].to.borrow_mut() = Some(client_end.handle().clone());
    (client_end, server_end)
}
