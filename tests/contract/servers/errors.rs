//! Accepting and factories that fail, and who is told.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{Result, with_info};

use crate::serving::{Echo, Seen, address, collect_reports, run, run_in_memory, until};

use super::read_to_end;

// 193.
#[test]
fn another_accept_error_is_reported_and_listening_goes_on_without_spinning() {
    run(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let ours = listener.try_clone()?;
        let errors = Rc::new(RefCell::new(Vec::new()));
        let list = Rc::clone(&errors);
        let seen = Seen::new();
        let server = event_loop
            .create_server_on(seen.watcher(), [listener])
            .on_accept_error(move |error| list.borrow_mut().push(error.io_kind()))
            .await?;
        rustix::net::shutdown(&ours, rustix::net::Shutdown::Both)?;
        until(&event_loop, "an error", || !errors.borrow().is_empty()).await;
        let callbacks = event_loop.statistics().callbacks;
        let began = Instant::now();
        event_loop.sleep(Duration::from_millis(50)).await;
        // A listener rests for at least 50 ms, and longer each time: on a busy machine more has passed.
        let rests = began.elapsed().as_millis() / 50 + 1;
        let errors = errors.borrow().clone();
        assert!(errors.iter().all(|&kind| kind == Some(ErrorKind::InvalidInput)), "{errors:?}");
        assert!(errors.len() as u128 <= 1 + rests, "{errors:?} in {rests} rests");
        let callbacks = u128::from(event_loop.statistics().callbacks - callbacks);
        assert!(callbacks < 10 * rests, "it spins: {callbacks} callbacks in {rests} rests");

        rustix::net::listen(&ours, 16)?;
        let _client = TcpStream::connect(address(&server))?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
        Ok(())
    });
}

// 195.
#[test]
fn a_factory_that_panics_is_reported_its_connection_closed_and_serving_goes_on() {
    run(async |event_loop| {
        let errors = Rc::new(RefCell::new(Vec::new()));
        let list = Rc::clone(&errors);
        let first = Cell::new(true);
        let factory = move || {
            assert!(!first.replace(false), "no protocol today");
            Echo
        };
        let server = event_loop
            .create_server(factory, "127.0.0.1:0")
            .on_accept_error(move |error| {
                list.borrow_mut().push((error.is_panic(), format!("{error:#}")));
            })
            .await?;
        let refused = TcpStream::connect(address(&server))?;
        let peer = refused.local_addr()?;
        until(&event_loop, "the report", || errors.borrow().len() == 1).await;
        let (is_panic, text) = errors.borrow()[0].clone();
        assert!(is_panic);
        assert!(text.contains("no protocol today"), "{text}");
        assert!(text.contains(&peer.to_string()), "{text}");
        assert_eq!(read_to_end(refused)?, b"");
        assert_eq!(server.connections(), 0);

        let seen = Seen::new();
        let client = event_loop.create_connection(seen.watcher(), address(&server)).await?;
        client.with(|_, transport| transport.write(b"hello"))?;
        until(&event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
        Ok(())
    });
}

// 195.
#[test]
fn a_factory_that_knows_the_peer_can_refuse_it() {
    run(async |event_loop| {
        let errors = Rc::new(RefCell::new(Vec::new()));
        let list = Rc::clone(&errors);
        let asked = Rc::new(RefCell::new(Vec::new()));
        let peers = Rc::clone(&asked);
        let server = event_loop
            .create_server(
                with_info(move |info| {
                    peers
                        .borrow_mut()
                        .push((info.local_address().cloned(), info.peer_address().cloned()));
                    if peers.borrow().len() == 1 { Err("not you".into()) } else { Ok(Echo) }
                }),
                "127.0.0.1:0",
            )
            .on_accept_error(move |error| list.borrow_mut().push(format!("{error:#}")))
            .await?;
        let refused = TcpStream::connect(address(&server))?;
        let peer = refused.local_addr()?;
        until(&event_loop, "the report", || errors.borrow().len() == 1).await;
        let expected = (Some(address(&server).into()), Some(peer.into()));
        assert_eq!(asked.borrow()[0], expected);
        assert_eq!(errors.borrow()[0], format!("connection from {peer}: not you"));
        assert_eq!(read_to_end(refused)?, b"");

        let mut client = TcpStream::connect(address(&server))?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        client.write_all(b"x")?;
        Ok(())
    });
}

// 195.
#[test]
fn failures_of_incoming_connections_are_reported_once_a_second_unless_a_handler_is_set() {
    run_in_memory(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let refuse = |_: &wharf::Info| -> Result<Echo> { Err("full".into()) };
        let _server = event_loop.create_server(with_info(refuse), "10.0.0.1:7").await?;
        let seen = Seen::new();
        for _ in 0..5 {
            event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        }
        until(&event_loop, "five ends", || seen.lost() == 5).await;
        assert_eq!(reports.borrow().len(), 1, "{reports:?}");
        event_loop.sleep(Duration::from_secs(1)).await;
        event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        until(&event_loop, "six ends", || seen.lost() == 6).await;
        assert_eq!(reports.borrow().len(), 2, "{reports:?}");
        assert!(reports.borrow()[1].contains("4 before"), "{reports:?}");
        Ok(())
    });
}

// 195.
#[test]
fn a_panic_in_the_accept_error_handler_is_reported_and_the_handler_stays() {
    run_in_memory(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let calls = Rc::new(Cell::new(0));
        let count = Rc::clone(&calls);
        let refuse = |_: &wharf::Info| -> Result<Echo> { Err("full".into()) };
        let _server = event_loop
            .create_server(with_info(refuse), "10.0.0.1:7")
            .on_accept_error(move |_| {
                count.set(count.get() + 1);
                assert!(count.get() > 1, "a bad handler");
            })
            .await?;
        for _ in 0..2 {
            event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        }
        until(&event_loop, "two calls", || calls.get() == 2).await;
        assert_eq!(reports.borrow().len(), 1);
        assert!(reports.borrow()[0].contains("a bad handler"));
        Ok(())
    });
}
