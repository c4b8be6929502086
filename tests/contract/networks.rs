//! Several loops on one network in memory.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::advance;
use wharf::{EventLoop, PausedProtocol, Protocol, Result, Transport};

use crate::loops::{memory_loop, network, settle, system_loop};

const SECOND: Duration = Duration::from_secs(1);

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

struct Collect(Rc<RefCell<Vec<u8>>>);

impl Protocol for Collect {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }
}

fn serve(event_loop: &EventLoop, address: &'static str) {
    event_loop
        .run(async |event_loop| {
            event_loop.create_server(|| Echo, address).await?;
            Ok(())
        })
        .expect("a server");
}

#[test]
fn loops_on_one_network_reach_one_another_whichever_is_run() {
    let network = network();
    let (server, client) = (network.event_loop(), network.event_loop());
    serve(&server, "10.0.0.1:7");
    let received = Rc::new(RefCell::new(Vec::new()));
    let protocol = Collect(Rc::clone(&received));
    let connection = client
        .run(async |event_loop| Ok(event_loop.create_connection(|| protocol, "10.0.0.1:7").await?))
        .expect("a connection");
    connection.handle().write(&[7; 300_000]);
    settle(&client).expect("it comes to rest");
    assert_eq!(received.borrow().len(), 300_000);
    connection.handle().write(b"the end");
    // It is the client that has something to do, and the server that is settled.
    settle(&server).expect("it comes to rest");
    assert!(received.borrow().ends_with(b"the end"));
    assert_eq!(server.statistics().connections_open, 1);
    assert_eq!(client.statistics().connections_open, 1);
}

#[test]
fn loops_on_one_network_share_its_clock() {
    let network = network();
    let (first, second) = (network.event_loop(), network.event_loop());
    let began = first.time();
    let log = Rc::new(RefCell::new(Vec::new()));
    for (number, event_loop) in [&second, &first, &second, &first].into_iter().enumerate() {
        let (log, own) = (Rc::clone(&log), event_loop.clone());
        let after = SECOND * (1 + number as u32);
        event_loop.call_later(after, move || log.borrow_mut().push(own.time() - began));
    }
    first
        .run(async |event_loop| {
            event_loop.sleep(SECOND * 5 / 2).await;
            Ok(())
        })
        .expect("a run");
    assert_eq!(*log.borrow(), [SECOND, SECOND * 2]);
    assert_eq!((first.time() - began, second.time() - began), (SECOND * 5 / 2, SECOND * 5 / 2));
    advance(&second, SECOND * 10).expect("time passes");
    assert_eq!(*log.borrow(), [SECOND, SECOND * 2, SECOND * 3, SECOND * 4]);
}

#[test]
fn a_run_waits_for_ever_only_when_no_loop_of_the_network_has_anything_to_do() {
    let network = network();
    let (first, second) = (network.event_loop(), network.event_loop());
    let ran = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&ran);
    let task = second.create_task({
        let second = second.clone();
        async move {
            second.sleep(SECOND).await;
            *counter.borrow_mut() += 1;
        }
    });
    let outcome = first.run_until_complete(std::future::pending::<()>());
    assert!(outcome.expect_err("nothing is left").is_deadlock());
    assert_eq!(*ran.borrow(), 1, "the other loop's task came to its end");
    drop(task);
}

#[test]
fn a_loop_of_a_network_is_not_run_inside_its_own_callbacks() {
    let network = network();
    let (first, second) = (network.event_loop(), network.event_loop());
    let outcome = Rc::new(RefCell::new(None));
    let (place, other) = (Rc::clone(&outcome), first.clone());
    second.call_soon(move || {
        *place.borrow_mut() = Some(other.run_forever().map_err(|error| error.is_invalid()));
    });
    settle(&first).expect("it comes to rest");
    assert_eq!(*outcome.borrow(), Some(Err(true)), "another loop is running");
    assert!(!second.is_running() && !first.is_running());
}

#[test]
fn who_waits_to_be_accepted_is_reset_when_the_server_closes() {
    for (event_loop, address) in [(memory_loop(), "10.0.0.1:7"), (system_loop(), "127.0.0.1:0")] {
        let record = wharf::testing::Record::new();
        event_loop
            .run(async |event_loop| {
                let server = event_loop.create_server(|| Echo, address).max_connections(1).await?;
                let to = server.local_address()?;
                let first = event_loop.create_connection(|| Echo, to.clone()).await?;
                while server.connections() == 0 {
                    event_loop.sleep(Duration::from_millis(1)).await;
                }
                // The system has connected it, and the server does not accept it yet.
                event_loop.create_connection(record.factory(), to).await?;
                server.close();
                record.until(|record| record.is_lost()).await;
                first.close();
                Ok(())
            })
            .expect("a run");
        let error = record.error().expect("no orderly end");
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionReset), "{error:#}");
    }
}

/// What a loop cannot do while one of its own callbacks runs another loop does not keep time from passing.
#[test]
fn a_loop_that_is_inside_a_callback_of_its_own_holds_no_other_up() {
    let network = network();
    let (inside, other) = (network.event_loop(), network.event_loop());
    serve(&inside, "10.0.0.1:7");
    let connection = inside
        .run(async |event_loop| Ok(event_loop.create_connection(|| Echo, "10.0.0.1:7").await?))
        .expect("a connection");
    let fired = Rc::new(RefCell::new(0));
    let count = Rc::clone(&fired);
    inside.call_later(SECOND, move || *count.borrow_mut() += 1);
    let began = other.time();
    connection
        .with(|_, _| {
            other.run_until_complete(other.sleep(SECOND * 2)).expect("a run");
            settle(&other).expect("it comes to rest");
            advance(&other, SECOND).expect("time passes");
        })
        .expect("a connection");
    assert_eq!(other.time() - began, SECOND * 3);
    assert_eq!(*fired.borrow(), 0, "it could not have its turn");
    settle(&other).expect("it comes to rest");
    assert_eq!(*fired.borrow(), 1);
}

#[test]
fn time_that_a_timer_does_not_let_pass_is_an_error() {
    fn again(event_loop: &EventLoop) {
        let own = event_loop.clone();
        event_loop.call_later(Duration::ZERO, move || again(&own));
    }
    let event_loop = memory_loop();
    again(&event_loop);
    assert!(advance(&event_loop, SECOND).expect_err("it never ends").is_invalid());
}

#[test]
fn names_in_memory_are_the_same_in_capitals_and_with_a_dot_at_the_end() {
    let network = network().host("Server.Test.", ["10.0.0.1".parse().unwrap()]);
    let event_loop = network.event_loop();
    serve(&event_loop, "10.0.0.1:7");
    serve(&event_loop, "127.0.0.1:7");
    for name in ["server.test", "SERVER.TEST", "server.test.", "LocalHost"] {
        let connecting =
            event_loop.create_connection(PausedProtocol::new, format!("{name}:7")).start();
        let outcome = event_loop.run_until_complete(connecting).expect("it is not stopped");
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}
