//! Every connection writes to all others from inside `data_received`.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use wharf::{Address, EventLoop, Protocol, Result, Transport, TransportHandle};

use crate::loops::{memory_loop, system_loop};
use crate::needs::missing;
use crate::process::raise_descriptor_limit;
use crate::running::{Reports, run_until};

const MESSAGE: &[u8; 4] = b"all!";

/// What the server's protocols share.
struct Room {
    members: RefCell<Vec<TransportHandle>>,
    /// Whom the member in the middle closes, and whether it is gone.
    victim: Cell<Option<usize>>,
    lost: Cell<usize>,
    refused: Cell<usize>,
}

struct Member {
    room: Rc<Room>,
    own: usize,
}

impl Protocol for Member {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.own = self.room.members.borrow().len();
        self.room.members.borrow_mut().push(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        assert_eq!(data, MESSAGE);
        let members = self.room.members.borrow();
        for (position, member) in members.iter().enumerate() {
            if position == members.len() / 2 && self.own == 0 {
                let victim = members.len() - 1;
                members[victim].abort();
                self.room.victim.set(Some(victim));
            }
            if position != self.own && member.write(MESSAGE) == wharf::WriteStatus::Closed {
                self.room.refused.set(self.room.refused.get() + 1);
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&wharf::Error>) -> Result {
        self.room.lost.set(self.room.lost.get() + 1);
        Ok(())
    }
}

/// Counts what it receives.
struct Listener {
    count: Rc<Cell<usize>>,
    lost: Rc<Cell<bool>>,
}

impl Protocol for Listener {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.count.set(self.count.get() + data.len());
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&wharf::Error>) -> Result {
        self.lost.set(true);
        Ok(())
    }
}

#[test]
fn thousand_members_write_to_all_others_in_memory() {
    broadcast(&memory_loop(), "10.0.0.1:7", 1000);
}

#[test]
fn two_hundred_members_write_to_all_others_over_tcp() {
    if raise_descriptor_limit() < 1000 {
        return missing("more descriptors (ulimit -Hn)");
    }
    broadcast(&system_loop(), "127.0.0.1:0", 200);
}

fn broadcast(event_loop: &EventLoop, listen: &str, members: usize) {
    let reports = Reports::of(event_loop);
    let room = Rc::new(Room {
        members: RefCell::default(),
        victim: Cell::new(None),
        lost: Cell::new(0),
        refused: Cell::new(0),
    });
    let shared = Rc::clone(&room);
    let listen = listen.to_owned();
    let server = event_loop
        .run(async |event_loop| {
            let factory = move || Member { room: Rc::clone(&shared), own: usize::MAX };
            Ok(event_loop.create_server(factory, listen).await?)
        })
        .unwrap();
    let Address::Ip(address) = server.addresses()[0].clone() else { panic!("an IP address") };
    let clients: Vec<_> = (0..members).map(|_| join(event_loop, address)).collect();
    run_until(event_loop, "all members", || room.members.borrow().len() == members);

    // The first one speaks; in the middle of its broadcast it aborts the last one.
    let count = |client: &(TransportHandle, Rc<Cell<usize>>, Rc<Cell<bool>>)| client.1.get();
    clients[0].0.write(MESSAGE);
    run_until(event_loop, "the first broadcast", || {
        clients[1..members - 1].iter().all(|client| count(client) == MESSAGE.len())
    });
    run_until(event_loop, "the victim's end", || clients[members - 1].2.get());
    assert_eq!(room.victim.get(), Some(members - 1));
    assert_eq!((room.lost.get(), room.refused.get()), (1, 1));
    assert_eq!(count(&clients[members - 1]), 0, "aborted before its turn was flushed");

    // Then all the others speak at once.
    for (client, ..) in &clients[1..members - 1] {
        client.write(MESSAGE);
    }
    // Each has heard everybody but itself and the victim; the first one did not hear itself.
    let expected = MESSAGE.len() * (members - 2);
    run_until(event_loop, "all broadcasts", || {
        clients[..members - 1].iter().all(|client| count(client) >= expected)
    });
    crate::running::rest(event_loop);
    for client in &clients[..members - 1] {
        assert_eq!(count(client), expected);
        assert!(!client.2.get());
    }
    assert_eq!(room.lost.get(), 1);
    assert!(reports.take().is_empty());
    server.close();
    server.abort_clients();
    run_until(event_loop, "the end", || event_loop.statistics().sources == 0);
    assert_eq!(room.lost.get(), members);
}

/// A client, what it has received, and whether it is lost.
fn join(
    event_loop: &EventLoop,
    address: SocketAddr,
) -> (TransportHandle, Rc<Cell<usize>>, Rc<Cell<bool>>) {
    let (count, lost) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
    let client = Listener { count: Rc::clone(&count), lost: Rc::clone(&lost) };
    let connection = event_loop
        .run_until_complete(event_loop.create_connection(move || client, address).start())
        .unwrap()
        .unwrap();
    (connection.handle().clone(), count, lost)
}
