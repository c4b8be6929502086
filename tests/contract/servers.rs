//! Servers and accepting: section J of the guarantees.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use wharf::testing::{MemoryNetwork, settle, step};
use wharf::{EventLoop, Protocol, Result, Server, Transport};

use crate::serving::{
    Directory, Echo, LIMIT, Seen, Watcher, address, collect_reports, run, run_in_memory, until,
};

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
            .accepts_per_turn(3)
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
        let callbacks = event_loop.metrics().callbacks;
        event_loop.sleep(Duration::from_millis(50)).await;
        assert_eq!(*errors.borrow(), [Some(ErrorKind::InvalidInput)]);
        assert!(event_loop.metrics().callbacks - callbacks < 10, "it spins");

        rustix::net::listen(&ours, 16)?;
        let _client = TcpStream::connect(address(&server))?;
        until(&event_loop, "a connection", || seen.made.get() == 1).await;
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

/// Connects, and gives what reading to the end brings.
fn read_to_end(mut client: TcpStream) -> std::io::Result<Vec<u8>> {
    client.set_read_timeout(Some(LIMIT))?;
    let mut all = Vec::new();
    client.read_to_end(&mut all).map(|_| all)
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
                list.borrow_mut().push((error.is_panic(), error.to_string()));
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
            .create_server_with(
                move |info| {
                    peers
                        .borrow_mut()
                        .push((info.local_address().cloned(), info.peer_address().cloned()));
                    if peers.borrow().len() == 1 { Err("not you".into()) } else { Ok(Echo) }
                },
                "127.0.0.1:0",
            )
            .on_accept_error(move |error| list.borrow_mut().push(error.to_string()))
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
        let _server = event_loop.create_server_with(refuse, "10.0.0.1:7").await?;
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
            .create_server_with(refuse, "10.0.0.1:7")
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

// 196.
#[test]
fn close_refuses_new_connects_at_once_and_leaves_open_connections() {
    run(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
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
        assert!(!before.done(), "it is not closed, though nobody is connected");

        let client = event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        server.close();
        let after = server.wait_closed();
        event_loop.sleep(Duration::from_secs(1)).await;
        assert!(!before.done() && !after.done(), "somebody is connected");

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
        assert!(server.wait_closed().done());
        assert!(server.wait_closed().done());
        Ok(())
    });
}

/// Writes much as soon as it is connected, and notes its end.
struct Writing(Rc<Seen>);

const MUCH: usize = 1_000_000;

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
    let event_loop = MemoryNetwork::new().event_loop();
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
    assert!(gone.done());
    assert_eq!(*served.lost.borrow(), [None, None, None]);
}

// 200.
#[test]
fn serve_forever_ends_when_the_server_closes_though_clients_stay() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").start_serving(false).await?;
        let served = server.serve_forever();
        assert!(server.is_serving(), "it accepts from then on");
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        let closing = server.clone();
        event_loop.call_later(Duration::from_secs(5), move || closing.close());
        let began = event_loop.time();
        served.await?;
        assert_eq!(event_loop.time() - began, Duration::from_secs(5));
        assert_eq!(server.connections(), 1);
        Ok(())
    });
}

// 200.
#[test]
fn cancelling_or_dropping_serve_forever_closes_the_server() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        let served = server.serve_forever();
        assert!(served.cancel());
        assert!(server.is_closed());
        assert_eq!(server.connections(), 1, "it waits for nobody");
        assert!(served.await.unwrap_err().is_cancelled());

        let server = event_loop.create_server(|| Echo, "10.0.0.1:8").await?;
        drop(server.serve_forever());
        assert!(server.is_closed());
        Ok(())
    });
}

// 200.
#[test]
fn a_server_is_served_for_ever_by_one_only_and_not_once_it_is_closed() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let first = server.serve_forever();
        assert!(server.serve_forever().await.unwrap_err().is_invalid());
        assert!(server.is_serving(), "the first goes on");
        server.close();
        first.await?;
        assert!(server.serve_forever().await.unwrap_err().is_closed());
        Ok(())
    });
}

/// Held by a closure; `is_held` tells whether the closure is still there.
#[derive(Clone, Default)]
struct Token(Rc<()>);

impl Token {
    fn is_held(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

// 201, 202.
#[test]
fn a_server_nobody_holds_goes_on_and_a_closed_one_lets_go_of_its_closures() {
    run_in_memory(async |event_loop| {
        let token = Token::default();
        let held = token.clone();
        let factory = move || {
            let _ = &held;
            Echo
        };
        drop(event_loop.create_server(factory, "10.0.0.1:7").await?);
        let seen = Seen::new();
        let client = event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        client.with(|_, transport| transport.write(b"hello"))?;
        until(&event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
        assert!(token.is_held());

        let (making, handling) = (Token::default(), Token::default());
        let (made, handled) = (making.clone(), handling.clone());
        let factory = move || {
            let _ = &made;
            Echo
        };
        let server = event_loop
            .create_server(factory, "10.0.0.1:8")
            .on_accept_error(move |_| {
                let _ = &handled;
            })
            .await?;
        let client = event_loop.create_connection(|| Echo, "10.0.0.1:8").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        server.close();
        client.handle().close();
        until(&event_loop, "the end", || server.connections() == 0).await;
        assert!(!making.is_held() && !handling.is_held());
        Ok(())
    });
}

// 202.
#[test]
fn an_accept_error_handler_that_closes_its_server_is_let_go_of_too() {
    run_in_memory(async |event_loop| {
        let token = Token::default();
        let held = token.clone();
        let place = Rc::new(RefCell::new(None::<Server>));
        let slot = Rc::clone(&place);
        let refuse = |_: &wharf::Info| -> Result<Echo> { Err("full".into()) };
        let server = event_loop
            .create_server_with(refuse, "10.0.0.1:7")
            .on_accept_error(move |_| {
                let _ = &held;
                slot.borrow().as_ref().expect("a server").close();
            })
            .await?;
        *place.borrow_mut() = Some(server.clone());
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        server.wait_closed().await?;
        event_loop.sleep(Duration::ZERO).await;
        assert!(!token.is_held());
        Ok(())
    });
}

// 202.
#[test]
fn a_factory_that_panics_when_it_is_dropped_is_reported() {
    struct Loud;

    impl Drop for Loud {
        fn drop(&mut self) {
            panic!("not without a word");
        }
    }

    run_in_memory(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let loud = Loud;
        let factory = move || {
            let _ = &loud;
            Echo
        };
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        server.close();
        server.wait_closed().await?;
        assert_eq!(reports.borrow().len(), 1);
        assert!(reports.borrow()[0].contains("not without a word"));
        Ok(())
    });
}

// 203.
#[test]
fn the_loop_owns_connections_and_their_server_finds_them_all() {
    run_in_memory(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let other = event_loop.create_server(|| Echo, "10.0.0.1:8").await?;
        for _ in 0..5 {
            event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        }
        event_loop.create_connection(|| Echo, "10.0.0.1:8").await?;
        until(&event_loop, "connections", || server.connections() + other.connections() == 6).await;
        server.close_clients();
        until(&event_loop, "five ends", || seen.lost() == 5).await;
        assert_eq!((server.connections(), other.connections()), (0, 1));
        Ok(())
    });
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

        assert!(!gone.done(), "the first is being served");
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
        assert!(!gone.done());
        client.handle().close();
        gone.await?;
        assert_eq!(*seen.lost.borrow(), [None]);
        Ok(())
    });
}

/// Checks that `path` leads to a server that echoes.
async fn check_echo(event_loop: &EventLoop, path: &Path) -> Result {
    let seen = Seen::new();
    let client = event_loop.create_unix_connection(seen.watcher(), path).await?;
    client.with(|_, transport| transport.write(b"hello"))?;
    until(event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
    client.handle().close();
    Ok(())
}

// 205.
#[test]
fn a_stale_unix_socket_is_replaced() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        drop(UnixListener::bind(&path)?);
        assert!(path.exists());
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        assert_eq!(server.addresses()[0].as_unix_path(), Some(path.as_path()));
        check_echo(&event_loop, &path).await
    });
}

// 205.
#[test]
fn the_unix_socket_of_a_live_server_is_not_stolen() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let live = UnixListener::bind(&path)?;
        let error = event_loop.create_unix_server(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        let (probe, _) = live.accept()?;
        drop(probe);
        let client = UnixStream::connect(&path)?;
        let (_, peer) = live.accept()?;
        assert!(peer.is_unnamed());
        drop(client);
        Ok(())
    });
}

// 205.
#[test]
fn a_live_server_is_not_stolen_from_though_its_backlog_is_full() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let live = UnixListener::bind(&path)?;
        rustix::net::listen(&live, 0)?;
        let _waiting = UnixStream::connect(&path)?;
        let error = event_loop.create_unix_server(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
        assert!(path.exists());
        Ok(())
    });
}

// 205.
#[test]
fn what_is_no_socket_is_left_alone_where_a_unix_server_should_be() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("file");
        std::fs::write(&path, b"precious")?;
        let error = event_loop.create_unix_server(|| Echo, &path).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::AddrInUse));
        assert_eq!(std::fs::read(&path)?, b"precious");

        let (stale, link) = (directory.join("stale"), directory.join("link"));
        drop(UnixListener::bind(&stale)?);
        std::os::unix::fs::symlink(&stale, &link)?;
        assert!(event_loop.create_unix_server(|| Echo, &link).await.is_err());
        assert!(stale.exists() && link.exists());
        Ok(())
    });
}

// 206.
#[test]
fn a_unix_server_removes_its_path_when_it_closes() {
    let directory = Directory::new();
    let path = directory.join("socket");
    run(async |event_loop| {
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        server.close();
        assert!(!path.exists());
        // Closing the loop closes the server.
        event_loop.create_unix_server(|| Echo, &path).await?;
        assert!(path.exists());
        Ok(())
    });
    assert!(!path.exists());
}

// 206.
#[test]
fn a_path_that_is_another_servers_by_now_is_left() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        // Held open, so that its inode is not given to the new file.
        let _former = std::fs::File::create(directory.join("spacer"))?;
        std::fs::rename(&path, directory.join("former"))?;
        let live = UnixListener::bind(&path)?;
        server.close();
        assert!(path.exists());
        let _client = UnixStream::connect(&path)?;
        live.accept()?;
        Ok(())
    });
}

// 206.
#[test]
fn the_path_stays_when_it_is_asked_to() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let server = event_loop.create_unix_server(|| Echo, &path).cleanup_socket(false).await?;
        server.close();
        assert!(path.exists());
        Ok(())
    });
}

// 206.
#[cfg(target_os = "linux")]
#[test]
fn an_abstract_unix_name_is_no_file() {
    run(async |event_loop| {
        let name = format!("\0wharf-contract-{}", std::process::id());
        let server = event_loop.create_unix_server(|| Echo, &name).await?;
        let shown = server.addresses()[0]
            .as_unix()
            .and_then(|name| name.as_abstract_name().map(<[u8]>::to_vec));
        assert_eq!(shown.as_deref(), Some(&name.as_bytes()[1..]));
        check_echo(&event_loop, Path::new(&name)).await?;
        let taken = event_loop.create_unix_server(|| Echo, &name).await.unwrap_err();
        assert_eq!(taken.io_kind(), Some(ErrorKind::AddrInUse));
        server.close();
        event_loop.create_unix_server(|| Echo, &name).await?;
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn shutdown_tells_every_protocol_and_waits_until_what_they_wrote_is_sent() {
    run_in_memory(async |event_loop| {
        let (served, seen) = (Seen::new(), Seen::new());
        let server = event_loop.create_server(served.watcher(), "10.0.0.1:7").await?;
        for _ in 0..3 {
            event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        }
        until(&event_loop, "connections", || server.connections() == 3).await;
        let slow = seen.handles.borrow()[0].clone();
        slow.pause_reading();
        served.handles.borrow()[0].write(&vec![7; MUCH]);
        event_loop.call_later(Duration::from_secs(2), move || slow.resume_reading());

        let began = event_loop.time();
        assert_eq!(server.shutdown(Duration::from_secs(20)).await?, 0);
        assert_eq!((event_loop.time() - began).as_secs(), 2);
        assert_eq!(served.told_to_shut_down.get(), 3);
        assert_eq!(*served.lost.borrow(), [None, None, None]);
        until(&event_loop, "all that was written", || seen.lost() == 3).await;
        assert_eq!(seen.received.borrow().len(), MUCH);
        assert!(seen.lost_cleanly());
        assert!(server.is_closed());
        Ok(())
    });
}

/// Does not close when it is asked to, or only after a while.
struct Stubborn {
    seen: Rc<Seen>,
    closes_after: Option<Duration>,
}

impl Protocol for Stubborn {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.seen.told_to_shut_down.set(self.seen.told_to_shut_down.get() + 1);
        if let Some(after) = self.closes_after {
            let handle = transport.handle();
            transport.event_loop().call_later(after, move || {
                handle.write(b"good-bye");
                handle.close();
            });
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
        self.seen.lost.borrow_mut().push(error.map(ToString::to_string));
        Ok(())
    }
}

// Beyond asyncio.
#[test]
fn shutdown_aborts_at_its_deadline_who_is_left_and_counts_them() {
    run_in_memory(async |event_loop| {
        let (served, seen) = (Seen::new(), Seen::new());
        let own = Rc::clone(&served);
        let mut after = [None, None, Some(Duration::from_secs(1))].into_iter().cycle();
        let factory = move || Stubborn {
            seen: Rc::clone(&own),
            closes_after: after.next().expect("for ever"),
        };
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        for _ in 0..3 {
            event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        }
        until(&event_loop, "connections", || server.connections() == 3).await;
        let began = event_loop.time();
        assert_eq!(server.shutdown(Duration::from_secs(5)).await?, 2);
        assert_eq!((event_loop.time() - began).as_millis(), 5000);
        assert_eq!(served.told_to_shut_down.get(), 3);
        assert_eq!(*served.lost.borrow(), [None, None, None]);
        until(&event_loop, "three ends", || seen.lost() == 3).await;
        assert_eq!(*seen.received.borrow(), b"good-bye");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn shutdown_is_over_at_once_without_connections_and_repeatable_with_another_deadline() {
    run_in_memory(async |event_loop| {
        let server = event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
        let began = event_loop.time();
        assert_eq!(server.shutdown(Duration::from_secs(60)).await?, 0);
        assert_eq!(server.shutdown(Duration::from_secs(60)).await?, 0);
        assert_eq!(event_loop.time(), began);

        let served = Seen::new();
        let own = Rc::clone(&served);
        let factory = move || Stubborn { seen: Rc::clone(&own), closes_after: None };
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        let patient = server.shutdown(Duration::from_secs(60));
        assert_eq!(server.shutdown(Duration::ZERO).await?, 1);
        assert_eq!(patient.await?, 0, "it had nobody to abort");
        Ok(())
    });
}

/// Shuts its server down from inside a callback.
struct ShuttingDown {
    server: Rc<RefCell<Option<Server>>>,
    trace: Rc<RefCell<Vec<&'static str>>>,
}

impl Protocol for ShuttingDown {
    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        self.trace.borrow_mut().push("data");
        let server = self.server.borrow().clone().expect("a server");
        server.shutdown(Duration::from_secs(1)).detach();
        transport.write(b"good-bye");
        self.trace.borrow_mut().push("data done");
        Ok(())
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.trace.borrow_mut().push("shutting down");
        transport.close();
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&wharf::Error>) -> Result {
        self.trace.borrow_mut().push("lost");
        Ok(())
    }
}

// Beyond asyncio.
#[test]
fn shutdown_from_inside_a_callback_calls_nobody_before_it_returns() {
    run_in_memory(async |event_loop| {
        let (place, trace) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(Vec::new())));
        let (server, list) = (Rc::clone(&place), Rc::clone(&trace));
        let factory = move || ShuttingDown { server: Rc::clone(&server), trace: Rc::clone(&list) };
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        *place.borrow_mut() = Some(server.clone());
        let seen = Seen::new();
        let client = event_loop.create_connection(seen.watcher(), "10.0.0.1:7").await?;
        client.with(|_, transport| transport.write(b"stop"))?;
        server.wait_closed().await?;
        assert_eq!(*trace.borrow(), ["data", "data done", "shutting down", "lost"]);
        until(&event_loop, "the end", || seen.lost() == 1).await;
        assert_eq!(*seen.received.borrow(), b"good-bye");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_loop_that_closes_ends_a_pending_shutdown_and_its_connections() {
    let event_loop = MemoryNetwork::new().event_loop();
    let served = Seen::new();
    let own = Rc::clone(&served);
    let ending = event_loop
        .run(async |event_loop| {
            let factory = move || Stubborn { seen: Rc::clone(&own), closes_after: None };
            let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
            event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
            until(&event_loop, "a connection", || server.connections() == 1).await;
            Ok(server.shutdown(Duration::from_secs(60)))
        })
        .unwrap();
    settle(&event_loop).unwrap();
    assert!(!ending.done());
    drop(event_loop);
    assert_eq!(*served.lost.borrow(), [None]);
    assert!(ending.cancelled());
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

// Beyond asyncio.
#[test]
fn a_listener_from_elsewhere_is_served_whatever_its_mode() {
    run(async |event_loop| {
        let directory = Directory::new();
        let path = directory.join("socket");
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let to = tcp.local_addr()?;
        let waiting = TcpStream::connect(to)?;
        let listeners: [OwnedFd; 2] = [tcp.into(), UnixListener::bind(&path)?.into()];
        let server = event_loop.create_server_on(|| Echo, listeners).await?;
        assert_eq!(server.addresses().len(), 2);
        check_echo(&event_loop, &path).await?;
        until(&event_loop, "who waited", || server.connections() >= 1).await;
        drop(waiting);
        server.close();
        assert!(path.exists(), "whoever bound it removes it");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_socket_that_does_not_listen_is_refused() {
    run(async |event_loop| {
        let datagram = UdpSocket::bind("127.0.0.1:0")?;
        let error = event_loop.create_server_on(|| Echo, [datagram]).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
        let stream = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        let error = event_loop.create_server_on(|| Echo, [stream]).await.unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_loop_in_memory_takes_no_sockets_of_the_system_and_touches_no_files() {
    run_in_memory(async |event_loop| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let error = event_loop.create_server_on(|| Echo, [listener]).await.unwrap_err();
        assert!(error.is_unsupported(), "{error}");

        let directory = Directory::new();
        let path = directory.join("socket");
        std::fs::write(&path, b"precious")?;
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        check_echo(&event_loop, &path).await?;
        let taken = event_loop.create_unix_server(|| Echo, &path).await.unwrap_err();
        assert_eq!(taken.io_kind(), Some(ErrorKind::AddrInUse));
        server.close();
        assert_eq!(std::fs::read(&path)?, b"precious");
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn a_protocol_that_fails_in_shutting_down_loses_its_own_connection_only() {
    struct Failing(Rc<Seen>, bool);

    impl Protocol for Failing {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }

        fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
            assert!(!self.1, "not now");
            transport.close();
            Ok(())
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
            self.0.lost.borrow_mut().push(error.map(ToString::to_string));
            Ok(())
        }
    }

    run_in_memory(async |event_loop| {
        let reports = collect_reports(&event_loop);
        let served = Seen::new();
        let own = Rc::clone(&served);
        let mut fails = [true, false].into_iter().cycle();
        let factory = move || Failing(Rc::clone(&own), fails.next().expect("for ever"));
        let server = event_loop.create_server(factory, "10.0.0.1:7").await?;
        for _ in 0..2 {
            event_loop.create_connection(|| Echo, "10.0.0.1:7").await?;
        }
        until(&event_loop, "connections", || server.connections() == 2).await;
        assert_eq!(server.shutdown(Duration::from_secs(9)).await?, 0);
        assert_eq!(*served.lost.borrow(), [Some("not now".into()), None]);
        assert_eq!(reports.borrow().len(), 1);
        Ok(())
    });
}

// Beyond asyncio.
#[test]
fn on_a_closed_loop_no_server_is_made() {
    let event_loop = MemoryNetwork::new().event_loop();
    event_loop.close().unwrap();
    let making = event_loop.create_server(|| Watcher(Seen::new()), "10.0.0.1:7").start();
    assert!(making.take_result().expect("done").unwrap_err().is_closed());
}
