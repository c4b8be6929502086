//! Errors: kept, told to several, reported or not, and why a connection is closed.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{Recorder, advance, pair};
use wharf::{
    CloseReason, Connection, DatagramProtocol, DatagramTransport, Error, EventLoop, LoopFuture,
    ProcessProtocol, ProcessTransport, Promise, Protocol, Result, Timeout, TimeoutKind, Transport,
    TransportHandle, WaterMarks,
};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::reports;
use crate::serving::{LIMIT, address, collect_reports, run, until};

type Act = fn(&dyn Transport) -> Result;

/// Acts when it receives something, and keeps why it was closed.
struct Session {
    act: Act,
    reason: Rc<RefCell<Option<CloseReason>>>,
}

impl Session {
    fn new(act: Act) -> Self {
        Self { act, reason: Rc::default() }
    }
}

impl Protocol for Session {
    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        (self.act)(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        let reason = transport.close_reason();
        match (&reason, error) {
            (Some(CloseReason::Failed(kept)), Some(told)) => {
                assert_eq!(kept.to_string(), told.to_string());
            }
            (Some(CloseReason::Local | CloseReason::Peer), None) => {}
            _ => panic!("{reason:?} beside {error:?}"),
        }
        *self.reason.borrow_mut() = reason;
        Ok(())
    }
}

/// What the exception handler is told of a session in memory that acts so.
fn reported(act: Act) -> Vec<String> {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let (_near, far) = pair(&event_loop, 64, Session::new(act), Session::new(|_| Ok(()))).unwrap();
    far.handle().write(b"go");
    settle(&event_loop).unwrap();
    assert!(far.handle().is_closing(), "the callback's error ends the connection");
    reports.take()
}

#[test]
fn an_error_can_be_told_to_everybody_who_waits() {
    struct Client(Vec<Promise<()>>);
    impl Protocol for Client {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
            let error = error.expect("it was reset");
            for promise in self.0.drain(..) {
                let _ = promise.set_error(error.clone());
            }
            Ok(())
        }
    }
    let event_loop = memory_loop();
    let (promises, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| event_loop.create_future()).unzip();
    let (near, _far) = pair(&event_loop, 64, Client(promises), Session::new(|_| Ok(()))).unwrap();
    near.handle().set_timeout(Timeout::Idle, Some(Duration::from_secs(1)));
    advance(&event_loop, Duration::from_secs(2)).unwrap();
    for future in futures {
        let error = event_loop.run_until_complete(future).unwrap().unwrap_err();
        assert_eq!(error.timeout_kind(), Some(TimeoutKind::Idle));
    }
}

#[test]
fn text_and_any_error_complete_a_promise() {
    fn completed(set: impl FnOnce(Promise<()>)) -> Error {
        let event_loop = memory_loop();
        let (promise, future): (_, LoopFuture<()>) = event_loop.create_future();
        set(promise);
        event_loop.run_until_complete(future).unwrap().unwrap_err()
    }
    let text = completed(|promise| promise.set_error("no luck").unwrap());
    assert!(text.is_application());
    assert_eq!(text.to_string(), "no luck");
    let text = completed(|promise| promise.set_error(format!("{} lucks", 0)).unwrap());
    assert_eq!(text.to_string(), "0 lucks");
    let refused = std::io::Error::from(ErrorKind::ConnectionRefused);
    let io = completed(|promise| promise.set_error(refused).unwrap());
    assert_eq!(io.io_kind(), Some(ErrorKind::ConnectionRefused));
    let own = completed(|promise| promise.set_error(Error::timeout(Timeout::User)).unwrap());
    assert_eq!(own.timeout_kind(), Some(TimeoutKind::User));
}

#[test]
fn a_report_names_the_protocol_the_peer_and_the_callback() {
    let acts: [(Act, &str); 2] = [
        (|_| Err("asked to".into()), "failed in data_received: asked to"),
        (|_| panic!("asked to"), "panicked in data_received: asked to"),
    ];
    for (act, expected) in acts {
        run(async |event_loop: EventLoop| {
            let reports = collect_reports(&event_loop);
            let server = event_loop.create_server(move || Session::new(act), "127.0.0.1:0").await?;
            let mut client = TcpStream::connect(address(&server))?;
            let peer = client.local_addr()?;
            client.write_all(b"go")?;
            until(&event_loop, "the report", || !reports.borrow().is_empty()).await;
            let name = std::any::type_name::<Session>();
            assert_eq!(*reports.borrow(), [format!("{name} ({peer}) {expected}")]);
            Ok(())
        });
    }
}

#[test]
fn a_report_says_which_transport_it_was_where_the_peer_has_no_address() {
    let name = std::any::type_name::<Session>();
    let told = reported(|_| Err("no".into()));
    let [only] = &told[..] else { panic!("{told:?}") };
    assert!(only.starts_with(&format!("{name} (transport ")), "{only}");
    assert!(only.ends_with(") failed in data_received: no"), "{only}");

    // What was installed as `Buffered(x)` is called `x`.
    struct Owner;
    impl wharf::BufferedProtocol for Owner {
        fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
            Err("no room".into())
        }

        fn buffer_updated(&mut self, _: &dyn Transport, _: usize) -> Result {
            Ok(())
        }
    }
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let buffered = wharf::Buffered(Owner);
    let (_near, far) = pair(&event_loop, 64, buffered, Session::new(|_| Ok(()))).unwrap();
    far.handle().write(b"go");
    settle(&event_loop).unwrap();
    let told = reports.take();
    let name = std::any::type_name::<Owner>();
    assert!(told[0].starts_with(&format!("{name} (transport ")), "{told:?}");
    assert!(told[0].ends_with(") failed in get_buffer: no room"), "{told:?}");
}

#[test]
fn reports_of_endpoints_and_processes_name_their_protocols_too() {
    struct Beat;
    impl DatagramProtocol for Beat {
        fn datagram_received(
            &mut self,
            _: &dyn DatagramTransport,
            data: &[u8],
            _: &wharf::Address,
        ) -> Result {
            match data {
                b"junk" => Err(Error::protocol_violation("no heartbeat").into()),
                _ => Err("skipped".into()),
            }
        }
    }
    struct Child;
    impl ProcessProtocol for Child {
        fn connection_made(&mut self, _: &dyn ProcessTransport) -> Result {
            Err("unwanted".into())
        }
    }
    run(async |event_loop: EventLoop| {
        let reports = collect_reports(&event_loop);
        let endpoint =
            event_loop.create_datagram_endpoint(|| Beat).local_address("127.0.0.1:0").await?;
        let local = endpoint.handle().info().local_address().cloned().expect("an address");
        let sender = std::net::UdpSocket::bind("127.0.0.1:0")?;
        for data in [&b"junk"[..], b"beat"] {
            sender.send_to(data, local.as_ip().expect("an IP address"))?;
        }
        until(&event_loop, "a report", || !reports.borrow().is_empty()).await;
        let name = std::any::type_name::<Beat>();
        let expected = format!("{name} (at {local}) failed in datagram_received: skipped");
        assert_eq!(reports.take(), [expected], "whoever sends junk does not fill the log");

        let process = event_loop.subprocess_exec(|| Child, "true").await?;
        let (name, pid) = (std::any::type_name::<Child>(), process.handle().pid());
        until(&event_loop, "a report", || !reports.borrow().is_empty()).await;
        let expected = format!("{name} (process {pid}) failed in connection_made: unwanted");
        assert_eq!(reports.take(), [expected]);
        Ok(())
    });
}

#[test]
fn any_error_that_a_callback_returns_is_the_applications_and_reported() {
    let acts: [Act; 4] = [
        |_| Err("no".into()),
        |_| {
            std::fs::read("/no/such/file")?;
            Ok(())
        },
        |_| {
            "x".parse::<u32>()?;
            Ok(())
        },
        |transport| {
            transport.set_write_buffer_limits(WaterMarks { low: 2, high: 1 })?;
            Ok(())
        },
    ];
    for act in acts {
        assert_eq!(reported(act).len(), 1);
    }
    let told = reported(acts[1]);
    assert!(told[0].ends_with(": No such file or directory (os error 2)"), "{told:?}");

    let mut recorder = Recorder::new(|| Session::new(acts_on_disk)).unwrap();
    recorder.event_loop().set_exception_handler(|_, _| {});
    let reason = recorder.with(|session, _| Rc::clone(&session.reason)).unwrap();
    recorder.receive(b"go").unwrap();
    let Some(CloseReason::Failed(error)) = reason.take() else { panic!("it failed") };
    assert!(error.is_application());
    assert_eq!(error.io_kind(), Some(ErrorKind::NotFound));
}

fn acts_on_disk(_: &dyn Transport) -> Result {
    std::fs::read("/no/such/file")?;
    Ok(())
}

#[test]
fn a_protocol_violation_ends_the_connection_and_is_not_reported() {
    let act: Act = |_| Err(Error::protocol_violation("a line of junk").into());
    assert!(reported(act).is_empty());
    let event_loop = memory_loop();
    let session = Session::new(act);
    let reason = Rc::clone(&session.reason);
    let (near, far) = pair(&event_loop, 64, session, Session::new(|_| Ok(()))).unwrap();
    far.handle().write(b"go");
    settle(&event_loop).unwrap();
    let Some(CloseReason::Failed(error)) = reason.take() else { panic!("it failed") };
    assert!(error.is_protocol_violation() && !error.is_application());
    assert_eq!(format!("{error:#}"), "a line of junk");
    assert!(matches!(near.handle().close_reason(), Some(CloseReason::Failed(_))));
}

#[test]
fn an_error_that_ended_a_connection_is_not_reported_when_it_is_handed_back() {
    /// Returns what it is told, and leaves it for others.
    struct HandsBack(Rc<RefCell<Option<Error>>>);
    impl Protocol for HandsBack {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            // What ended the other connection: the upstream of a proxy, say.
            match self.0.take() {
                Some(error) => Err(error.into()),
                None => Err("the program's own".into()),
            }
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
            let Some(error) = error else { return Ok(()) };
            *self.0.borrow_mut() = Some(error.clone());
            Err(error.clone().into())
        }
    }
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let slot = Rc::new(RefCell::new(None));
    let joined = || {
        let silent = Session::new(|_| Ok(()));
        pair(&event_loop, 64, HandsBack(Rc::clone(&slot)), silent).unwrap()
    };
    let (upstream, _kept) = joined();
    upstream.handle().set_timeout(Timeout::Idle, Some(Duration::from_secs(1)));
    advance(&event_loop, Duration::from_secs(2)).unwrap();
    assert!(slot.borrow().is_some());
    let (_near, far) = joined();
    far.handle().write(b"go");
    settle(&event_loop).unwrap();
    assert!(far.handle().is_closing());
    assert_eq!(reports.take(), [""; 0]);

    // One of the program's own is reported once, though it is handed back as well.
    slot.take();
    let (_near, far) = joined();
    far.handle().write(b"go");
    settle(&event_loop).unwrap();
    let told = reports.take();
    assert!(told.len() == 1 && told[0].contains("the program's own"), "{told:?}");
}

#[test]
fn a_detached_task_that_fails_is_reported_and_one_that_is_awaited_is_not() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    async fn failing(text: &'static str) -> Result {
        Err(text.into())
    }
    event_loop.create_task(failing("detached")).named("one").detach();
    event_loop.create_task(async { Ok::<(), std::io::Error>(()) }).detach();
    event_loop.create_task(async { 7 }).detach();
    let awaited = event_loop.create_task(failing("awaited"));
    let output = event_loop.run_until_complete(awaited).unwrap().unwrap();
    assert_eq!(output.unwrap_err().to_string(), "awaited");
    drop(event_loop.create_task(failing("dropped")));
    settle(&event_loop).unwrap();
    let told = reports.take();
    let place = concat!("the detached task `one` (", file!(), ":");
    assert!(told.len() == 1 && told[0].starts_with(place), "{told:?}");
    assert!(told[0].ends_with(") failed: detached"), "{told:?}");
}

/// Why the near end of a pair is closed, as `connection_lost` saw it and as its handle says afterwards.
fn close_reason(end: impl FnOnce(&Connection<Session>, &Connection<Session>)) -> CloseReason {
    let event_loop = memory_loop();
    event_loop.set_exception_handler(|_, _| {});
    let session = Session::new(|_| Err("no".into()));
    let kept = Rc::clone(&session.reason);
    let (near, far) = pair(&event_loop, 64, session, Session::new(|_| Ok(()))).unwrap();
    let handle: TransportHandle = near.handle().clone();
    assert!(handle.close_reason().is_none());
    end(&near, &far);
    advance(&event_loop, Duration::from_secs(60)).unwrap();
    let later = handle.close_reason().expect("it is closed");
    let first = kept.take().expect("connection_lost was called");
    assert_eq!(first.to_string(), later.to_string());
    let refused = near.with(|_, _| ()).unwrap_err();
    assert!(refused.is_closed());
    assert_eq!(format!("{refused:#}"), later.to_string(), "what cannot be done says why");
    later
}

#[test]
fn a_protocol_can_tell_its_own_close_from_the_peers_end() {
    let local = |end: fn(&Connection<Session>)| close_reason(|near, _| end(near));
    for end in [
        (|near| near.handle().close()) as fn(&Connection<Session>),
        |near| near.handle().abort(),
        |near| {
            near.handle().write(&[7; 1000]);
            near.handle().close();
            near.handle().abort();
        },
    ] {
        assert!(matches!(local(end), CloseReason::Local));
    }
    let peer = close_reason(|_, far| far.handle().close());
    assert!(matches!(peer, CloseReason::Peer), "{peer:?}");
    assert_eq!(peer.to_string(), "the peer closed the connection");
    let idle = close_reason(|near, _| {
        near.handle().set_timeout(Timeout::Idle, Some(Duration::from_secs(1)));
    });
    let CloseReason::Failed(error) = idle else { panic!("{idle:?}") };
    assert_eq!(error.timeout_kind(), Some(TimeoutKind::Idle));
    let failed = close_reason(|_, far| {
        far.handle().write(b"go");
    });
    assert!(matches!(&failed, CloseReason::Failed(error) if error.is_application()), "{failed:?}");
    assert_eq!(failed.to_string(), "the connection was lost: no");
}

#[test]
fn the_reason_is_the_peers_end_only_if_that_is_what_closed_the_connection() {
    struct Keeps;
    impl Protocol for Keeps {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }

        fn eof_received(&mut self, _: &dyn Transport) -> Result<wharf::Eof> {
            Ok(wharf::Eof::KeepOpen)
        }
    }
    let event_loop = memory_loop();
    let (near, far) = pair(&event_loop, 64, Keeps, Session::new(|_| Ok(()))).unwrap();
    far.handle().write_eof();
    settle(&event_loop).unwrap();
    assert!(near.handle().close_reason().is_none());
    near.handle().close();
    settle(&event_loop).unwrap();
    assert!(matches!(near.handle().close_reason(), Some(CloseReason::Local)));
}

#[test]
fn a_reset_and_a_closed_server_are_told_apart_on_real_sockets() {
    run(async |event_loop: EventLoop| {
        let reason = Rc::new(RefCell::new(None));
        let own = Rc::clone(&reason);
        let factory = move || Session { act: |_| Ok(()), reason: Rc::clone(&own) };
        let server = event_loop.create_server(factory, "127.0.0.1:0").await?;
        let until_closed = async || {
            until(&event_loop, "the end", || reason.borrow().is_some()).await;
            reason.take().expect("it is there")
        };

        let client = TcpStream::connect(address(&server))?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        drop(client);
        let reset = until_closed().await;
        let CloseReason::Failed(error) = reset else { panic!("{reset:?}") };
        assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionReset));

        let client = TcpStream::connect(address(&server))?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        drop(client);
        assert!(matches!(until_closed().await, CloseReason::Peer));

        let mut client = TcpStream::connect(address(&server))?;
        client.set_read_timeout(Some(LIMIT))?;
        until(&event_loop, "a connection", || server.connections() == 1).await;
        server.shutdown(Duration::ZERO).await?;
        assert!(matches!(until_closed().await, CloseReason::Local));
        let _ = client.read(&mut [0]);
        Ok(())
    });
}

#[test]
fn a_reader_that_has_gone_closes_a_pipe_as_its_peer() {
    let event_loop = system_loop();
    let (reader, writer) = std::io::pipe().unwrap();
    let session = Session::new(|_| Ok(()));
    let reason = Rc::clone(&session.reason);
    let opening = event_loop.connect_write_pipe(|| session, writer).start();
    let connection = event_loop.run_until_complete(opening).unwrap().unwrap();
    drop(reader);
    crate::running::run_until(&event_loop, "the end", || reason.borrow().is_some());
    assert!(matches!(reason.take(), Some(CloseReason::Peer)));
    assert!(matches!(connection.handle().close_reason(), Some(CloseReason::Peer)));
}

#[test]
fn main_prints_an_error_that_a_person_can_read() {
    fn shown(failed: Result) -> String {
        // What `main` prints when it returns this.
        format!("Error: {:?}", failed.unwrap_err())
    }
    let connect = memory_loop().run(async |event_loop| {
        event_loop.create_connection(|| Session::new(|_| Ok(())), "10.0.0.1:80").await?;
        Ok(())
    });
    assert_eq!(shown(connect), "Error: could not connect: 10.0.0.1:80: connection refused");
    let parse = "localhost".parse::<std::net::SocketAddr>().map(drop).map_err(Into::into);
    assert_eq!(shown(parse), "Error: invalid socket address syntax");
    assert_eq!(shown(Err("no settings".into())), "Error: no settings");
}
