//! Accepting: when, how many at a time, and what a connection is by then.

use std::cell::RefCell;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use wharf::{EventLoop, Protocol, Result, Transport};

use crate::serving::{Echo, Seen, address, collect_reports, run, run_in_memory, until};

// 188.
#[test]
fn a_server_accepts_as_soon_as_it_is_made() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop.create_server(seen.watcher(), "127.0.0.1:0").await?;
        assert!(server.is_serving());
        assert!(!server.is_closed());
        server.start_serving()?;
        server.start_serving()?;
        let _client = TcpStream::connect(address(&server))?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        assert_eq!(server.connections(), 1);
        server.close();
        assert!(!server.is_serving());
        assert!(server.start_serving().unwrap_err().is_closed());
        Ok(())
    });
}

// 188.
#[test]
fn without_start_serving_connections_wait_until_it_is_asked_for() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server =
            event_loop.create_server(seen.watcher(), "127.0.0.1:0").start_serving(false).await?;
        assert!(!server.is_serving());
        let _client = TcpStream::connect(address(&server))?;
        for _ in 0..20 {
            event_loop.sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(seen.made.get(), 0);
        server.start_serving()?;
        assert!(server.is_serving());
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        Ok(())
    });
}

// 189.
#[test]
fn a_turn_accepts_a_bounded_number_and_others_run_between() {
    fn note(event_loop: &EventLoop, seen: &Rc<Seen>, rounds: &Rc<RefCell<Vec<usize>>>) {
        rounds.borrow_mut().push(seen.made.get());
        if seen.made.get() < 10 {
            let (again, seen, rounds) = (event_loop.clone(), Rc::clone(seen), Rc::clone(rounds));
            event_loop.call_soon(move || note(&again, &seen, &rounds));
        }
    }
    run_in_memory(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop
            .create_server(seen.watcher(), "10.0.0.1:7")
            .start_serving(false)
            .accept_batch(3)
            .await?;
        for _ in 0..10 {
            event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        }
        let rounds = Rc::default();
        server.start_serving()?;
        note(&event_loop, &seen, &rounds);
        until(&event_loop, "ten connections", || seen.made.get() == 10).await;
        let rounds = rounds.borrow();
        let steps: Vec<usize> = rounds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(steps, [3, 3, 3, 1]);
        Ok(())
    });
}

// 190.
#[test]
fn a_peer_that_is_gone_before_it_is_accepted_disturbs_nobody() {
    run(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").start_serving(false).await?;
        for _ in 0..3 {
            let gone = TcpStream::connect(address(&server))?;
            SockRef::from(&gone).set_linger(Some(Duration::ZERO))?;
        }
        let seen = Seen::new();
        let client = event_loop.create_connection(seen.watcher(), address(&server)).await?;
        server.start_serving()?;
        client.with(|_, transport| transport.write(b"hello"))?;
        until(&event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
        until(&event_loop, "the others' ends", || server.connections() == 1).await;
        assert_eq!(*reports.borrow(), [""; 0]);
        Ok(())
    });
}

// 194.
#[test]
fn a_connection_is_made_in_the_same_turn_in_which_it_is_accepted() {
    struct Noting(Rc<RefCell<Vec<&'static str>>>);

    impl Protocol for Noting {
        fn connection_made(&mut self, _: &dyn Transport) -> Result {
            self.0.borrow_mut().push("made");
            Ok(())
        }

        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }

    run_in_memory(async |event_loop| {
        let trace = Rc::new(RefCell::new(Vec::new()));
        let (list, own) = (Rc::clone(&trace), event_loop.clone());
        let factory = move || {
            list.borrow_mut().push("factory");
            let later = Rc::clone(&list);
            own.call_soon(move || later.borrow_mut().push("next round"));
            Noting(Rc::clone(&list))
        };
        let _server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "three", || trace.borrow().len() == 3).await;
        assert_eq!(*trace.borrow(), ["factory", "made", "next round"]);
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn max_connections_leaves_further_ones_waiting_until_one_ends() {
    run_in_memory(async |event_loop| {
        let served = Seen::new();
        let server = event_loop
            .create_server(served.watcher(), ["10.0.0.1:7", "10.0.0.2:7"])
            .max_connections(2)
            .await?;
        let mut clients = Vec::new();
        for to in ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.1:7", "10.0.0.2:7"] {
            clients.push(event_loop.create_connection(|| Echo, to).await?);
        }
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!((server.connections(), served.made.get()), (2, 2));
        clients[0].handle().close();
        until(&event_loop, "the third", || served.made.get() == 3).await;
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!((server.connections(), served.made.get()), (2, 3));
        server.abort_clients();
        until(&event_loop, "the fourth", || served.made.get() == 4).await;
        Ok(())
    });
}
