//! Closing a server, alone or with its connections, and waiting for the end.

use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::step;
use wharf::{Protocol, Result, Server, Transport};

use crate::loops::memory_loop;
use crate::serving::{Echo, Seen, Watcher, address, own_host, run, run_in_memory, until};

use super::{MUCH, read_to_end};

// 196.
#[test]
fn close_refuses_new_connects_at_once_and_leaves_open_connections() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, format!("{}:0", own_host())).await?;
        let to = address(&server);
        let seen = Seen::new();
        let client = event_loop.create_connection(seen.watcher(), to).await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        server.close();
        server.close();
        assert!(server.is_closed());
        assert!(server.addresses().is_empty());
        let refused = TcpStream::connect(to).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

        client.with(|_, transport| transport.write(b"still here"))?;
        until(&event_loop, "the echo", || *seen.received.borrow() == b"still here").await;
        assert_eq!(server.connections(), 1);
        Ok(())
    });
}

// 196.
#[test]
fn whoever_waits_to_be_accepted_is_reset_when_the_server_closes() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").start_serving(false).await?;
        let waiting = TcpStream::connect(address(&server))?;
        server.close();
        assert_eq!(read_to_end(waiting).unwrap_err().kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

// 197.
#[test]
fn wait_closed_waits_for_the_close_and_for_every_connection() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let before = server.wait_closed();
        event_loop.sleep(Duration::from_secs(1)).await;
        assert!(!before.is_done(), "it is not closed, though nobody is connected");

        let client = event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        server.close();
        let after = server.wait_closed();
        event_loop.sleep(Duration::from_secs(1)).await;
        assert!(!before.is_done() && !after.is_done(), "somebody is connected");

        client.handle().close();
        before.await?;
        after.await?;
        assert_eq!(server.connections(), 0);
        Ok(())
    });
}

// 198.
#[test]
fn wait_closed_of_a_server_that_is_over_is_done_at_once() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        server.close();
        assert!(server.wait_closed().is_done());
        assert!(server.wait_closed().is_done());
        Ok(())
    });
}

/// Writes much as soon as it is connected, and notes its end.
struct Writing(Rc<Seen>);

impl Protocol for Writing {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.write(&vec![7; MUCH]);
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
        self.0.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

// 199.
#[test]
fn close_clients_sends_what_is_written_first() {
    run_in_memory(async |event_loop| {
        let (served, seen) = (Seen::new(), Seen::new());
        let own = Rc::clone(&served);
        let server =
            event_loop.create_server(move || Writing(Rc::clone(&own)), "10.0.0.1:7").await?;
        let client = event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        client.handle().pause_reading();
        until(&event_loop, "a connection", || server.connections() == 1).await;
        server.close_clients();
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(server.connections(), 1, "it flushes as long as the peer reads");
        assert!(server.is_serving(), "the server goes on");
        client.handle().resume_reading();
        until(&event_loop, "the end", || seen.lost() == 1).await;
        assert_eq!(seen.received.borrow().len(), MUCH);
        assert_eq!(*served.lost.borrow(), [None]);
        Ok(())
    });
}

// 199.
#[test]
fn abort_clients_drops_what_is_not_sent_and_the_server_is_over_within_two_turns() {
    let event_loop = memory_loop();
    let (served, seen) = (Seen::new(), Seen::new());
    let own = Rc::clone(&served);
    let server = event_loop
        .run(async |event_loop| {
            let factory = move || Writing(Rc::clone(&own));
            let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
            for _ in 0..3 {
                let client = event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
                client.handle().pause_reading();
            }
            until(&event_loop, "three connections", || server.connections() == 3).await;
            Ok(server)
        })
        .unwrap();
    server.close();
    assert_eq!(server.abort_clients(), 3);
    assert_eq!(server.abort_clients(), 0, "they are aborted already");
    let gone = server.wait_closed();
    step(&event_loop).unwrap();
    step(&event_loop).unwrap();
    assert!(gone.is_done());
    assert_eq!(*served.lost.borrow(), [None, None, None]);
}

/// Closes its server as soon as it is connected, then echoes.
struct Closing {
    server: Rc<RefCell<Option<Server>>>,
    seen: Rc<Seen>,
}

impl Protocol for Closing {
    fn connection_made(&mut self, _: &dyn Transport) -> Result {
        self.seen.made.set(self.seen.made.get() + 1);
        self.server.borrow().as_ref().expect("a server").close();
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
        self.seen.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

// 204.
#[test]
fn a_server_that_closes_while_it_accepts_leaves_no_client_hanging() {
    run(async |event_loop| {
        let seen = Seen::new();
        let place = Rc::new(RefCell::new(None));
        let (own, slot) = (Rc::clone(&seen), Rc::clone(&place));
        let factory = move || Closing { server: Rc::clone(&slot), seen: Rc::clone(&own) };
        let server = event_loop.create_server(factory, "127.0.0.1:0").start_serving(false).await?;
        *place.borrow_mut() = Some(server.clone());
        let mut first = TcpStream::connect(address(&server))?;
        let second = TcpStream::connect(address(&server))?;
        server.start_serving()?;
        let gone = server.wait_closed();
        until(&event_loop, "the close", || server.is_closed()).await;
        assert_eq!(seen.made.get(), 1);
        assert_eq!(read_to_end(second).unwrap_err().kind(), ErrorKind::ConnectionReset);

        assert!(!gone.is_done(), "the first is being served");
        first.write_all(b"hello")?;
        first.shutdown(std::net::Shutdown::Write)?;
        gone.await?;
        assert_eq!(read_to_end(first)?, b"hello");
        assert_eq!(*seen.lost.borrow(), [None]);
        Ok(())
    });
}

// 204.
#[test]
fn a_factory_that_closes_its_server_still_makes_a_whole_connection() {
    run_in_memory(async |event_loop| {
        let seen = Seen::new();
        let place = Rc::new(RefCell::new(None::<Server>));
        let (slot, mut watcher) = (Rc::clone(&place), seen.watcher());
        let factory = move || {
            slot.borrow().as_ref().expect("a server").close();
            watcher()
        };
        let server = event_loop.create_server(factory, "10.0.0.1:7").start_serving(false).await?;
        *place.borrow_mut() = Some(server.clone());
        let client = event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        let gone = server.wait_closed();
        server.start_serving()?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        assert!(server.is_closed());
        assert!(!gone.is_done());
        client.handle().close();
        gone.await?;
        assert_eq!(*seen.lost.borrow(), [None]);
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn on_a_closed_loop_no_server_is_made() {
    let event_loop = memory_loop();
    event_loop.close().unwrap();
    let making = event_loop.create_server(|| Watcher(Seen::new()), "10.0.0.1:7").start();
    assert!(making.take_result().expect("done").unwrap_err().is_closed());
}
