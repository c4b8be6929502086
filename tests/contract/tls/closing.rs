//! The end of a connection with TLS.

use std::time::Duration;

use wharf::testing::advance;
use wharf::{Transport, WriteStatus};

use super::{Stage, VERSIONS, logs, trusting};
use crate::loops::settle;
use crate::probe::{Call, Log, Probe};

// 245: differs.
#[test]
fn one_side_can_end_and_the_other_go_on() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(Probe::new(&near), Probe::new(&far).half_open());
    assert!(near.handle().can_write_eof());
    near.handle().write(b"question");
    near.handle().write_eof();
    stage.run_until("the end of the question", || far.count(Call::Eof) == 1);
    assert_eq!(far.received(), b"question");
    far.handle().write(b"answer");
    stage.run_until("the answer", || near.received() == b"answer");
    far.handle().close();
    stage.run_until("both ends", || near.is_lost() && far.is_lost());
    assert_eq!((near.cause(), far.cause()), (None, None));
}

// 246: differs.
#[test]
fn an_end_without_close_notify_is_an_error_of_its_own_after_the_data() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let (near, far) = logs();
        let (client, _server) = super::wire::join_by_wire(&stage, &near, &far, |_, _| {});
        stage.run_until("both handshakes", || {
            near.count(Call::TlsEstablished) == 1 && far.count(Call::TlsEstablished) == 1
        });
        far.handle().write(b"all of it?");
        settle(&stage.event_loop).unwrap();
        // The wire is cut behind the client's back.
        client.handle().write_eof();
        stage.run_until("the end", || near.is_lost());
        assert_eq!(near.received(), b"all of it?");
        assert_eq!(near.count(Call::Eof), 0);
        let cause = near.cause().unwrap();
        assert!(cause.is_truncated && cause.is_tls, "{cause:?}");
        assert!(stage.reports.take().is_empty());
    }
}

// 248, 249: differs.
#[test]
fn close_announces_the_end_and_does_not_wait_for_the_peers() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let (near, far) = logs();
        stage.join(Probe::new(&near), Probe::new(&far).half_open());
        near.handle().write(b"last words");
        near.handle().close();
        let begun = stage.event_loop.time();
        stage.run_until("the end of one side", || near.is_lost());
        assert_eq!(stage.event_loop.time(), begun);
        assert_eq!(near.cause(), None);
        stage.run_until("the end at the other", || far.count(Call::Eof) == 1);
        assert_eq!(far.received(), b"last words");
        assert!(!far.is_lost());
    }
}

// 248.
#[test]
fn close_in_the_handshake_ends_it() {
    let stage = Stage::new();
    let (server, errors) = stage.serve(|| Probe::new(&Log::new()));
    let raw = Log::new();
    stage.connect_plain(Probe::new(&raw));
    settle(&stage.event_loop).unwrap();
    assert_eq!(server.connections(), 1);
    server.close_clients();
    stage.run_until("the end", || raw.is_lost());
    assert_eq!(server.connections(), 0);
    assert!(errors.borrow().is_empty(), "{errors:?}");
}

// 251.
#[test]
fn what_was_written_before_close_arrives_at_a_slow_peer() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().write(&vec![9; 500_000]);
    near.handle().close();
    advance(&stage.event_loop, Duration::from_secs(20)).unwrap();
    assert!(!near.is_lost());
    far.handle().resume_reading();
    stage.run_until("both ends", || near.is_lost() && far.is_lost());
    assert_eq!(far.received_len(), 500_000);
    assert_eq!((near.cause(), far.cause()), (None, None));
}

// 252.
#[test]
fn close_works_while_reading_is_paused() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(Probe::new(&near).not_reading(), Probe::new(&far));
    far.handle().write(b"unread");
    settle(&stage.event_loop).unwrap();
    near.handle().close();
    stage.run_until("both ends", || near.is_lost() && far.is_lost());
    assert_eq!((near.cause(), far.cause()), (None, None));
}

// 253.
#[test]
fn abort_says_nothing_and_the_peer_can_tell() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(Probe::new(&near), Probe::new(&far));
    near.handle().abort();
    stage.run_until("both ends", || near.is_lost() && far.is_lost());
    assert_eq!(near.cause(), None);
    assert!(far.cause().unwrap().is_truncated);
}

// 254, 262.
#[test]
fn nothing_is_taken_after_close_and_a_second_close_changes_nothing() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(Probe::new(&near), Probe::new(&far));
    let handle = near.handle();
    handle.close();
    assert_eq!(handle.write(b"late"), WriteStatus::Closed);
    handle.close();
    stage.run_until("both ends", || near.is_lost() && far.is_lost());
    handle.close();
    assert_eq!(handle.write(b"later"), WriteStatus::Closed);
    assert_eq!((handle.write_buffer_size(), near.count(Call::Lost)), (0, 1));
    assert!(far.received().is_empty());
}

// 250, 260: differs.
#[test]
fn data_that_arrives_after_close_is_dropped_and_no_error() {
    let stage = Stage::new();
    let (near, far) = logs();
    stage.join(Probe::new(&near).not_reading(), Probe::new(&far).half_open());
    far.handle().write(&vec![1; 60_000]);
    settle(&stage.event_loop).unwrap();
    near.handle().close();
    stage.run_until("the announcement", || far.count(Call::Eof) == 1);
    far.handle().write(&vec![2; 600_000]);
    far.handle().close();
    stage.run_until("both ends", || near.is_lost() && far.is_lost());
    assert_eq!((near.received_len(), near.cause(), far.cause()), (0, None, None));
}

#[test]
fn alerts_say_what_the_peer_says() {
    let stage = Stage::new();
    // A server that wants a certificate, which TLS 1.3 says after the client is done.
    let server = wharf::TlsServer::builder()
        .identity(crate::encryption::SERVER.identity())
        .client_ca_pem(&crate::encryption::CLIENT.chain)
        .build()
        .unwrap();
    let serving =
        stage.event_loop.create_server(|| Probe::new(&Log::new()), "10.0.0.1:443").tls(server);
    let _server = stage.event_loop.run_until_complete(serving.start()).unwrap().unwrap();
    let log = Log::new();
    stage.connect_by(trusting(), Probe::new(&log)).expect("done for the client");
    stage.run_until("the refusal", || log.is_lost());
    let cause = log.cause().unwrap();
    assert!(cause.is_tls && !cause.is_truncated, "{cause:?}");
    assert!(cause.text.contains("certificate_required"), "{}", cause.text);
}

// 248, 249: differs.
#[test]
fn close_waits_for_the_peers_end_if_it_is_asked_to_and_not_for_ever() {
    for answers in [true, false] {
        let stage = Stage::new();
        let (near, far) = logs();
        let log = far.clone();
        let mut probe = Some(Probe::new(&far));
        let (_server, _) = stage.serve(move || {
            let probe = probe.take().expect("one connection");
            if answers { probe } else { probe.half_open() }
        });
        let client = trusting().shutdown_timeout(Duration::from_secs(3));
        stage.connect_by(client, Probe::new(&near)).unwrap();
        stage.run_until("the other end", || log.is_made());
        far.handle().write(b"on its way");
        near.handle().close();
        let begun = stage.event_loop.time();
        advance(&stage.event_loop, Duration::from_millis(2_900)).unwrap();
        assert_eq!(near.is_lost(), answers);
        if !answers {
            far.handle().write(b"ignored");
        }
        advance(&stage.event_loop, Duration::from_millis(200)).unwrap();
        assert!(near.is_lost() && stage.event_loop.time() - begun < Duration::from_secs(4));
        let timeout = near.cause().and_then(|cause| cause.timeout);
        assert_eq!(timeout, (!answers).then_some(wharf::TimeoutKind::TlsShutdown));
        assert_eq!(near.received_len(), 0);
    }
}

/// Records of TLS that make no sense, one after the other.
const GARBAGE: &[u8] = &[23, 3, 3, 0, 5, 1, 2, 3, 4, 5];

// 250: the way of a fuzzer, which says something wrong and goes on.
#[test]
fn an_alert_arrives_at_a_client_that_goes_on_writing() {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::thread;

    use crate::serving::{address, run, until};

    run(async |event_loop| {
        let tls = crate::encryption::Tls::new(wharf::TlsVersion::Tls13);
        let server = event_loop
            .create_server(|| Probe::new(&Log::new()), "127.0.0.1:0")
            .tls(&tls.server)
            .on_accept_error(|_| {})
            .await?;
        let address = address(&server);
        let client = thread::spawn(move || {
            let mut socket = TcpStream::connect(address).expect("a connection");
            for _ in 0..100 {
                socket.write_all(GARBAGE).expect("nobody minds");
                // The delay is the subject: the server has failed meanwhile.
                thread::sleep(Duration::from_millis(2));
            }
            let mut said = Vec::new();
            socket.read_to_end(&mut said).expect("an orderly end");
            said
        });
        until(&event_loop, "the client's end", || client.is_finished()).await;
        let said = client.join().expect("a client");
        assert_eq!((said.first(), said.get(5)), (Some(&21), Some(&2)), "{said:?} is a fatal alert");
        Ok(())
    });
}

// 108: every proxy that waits for its backend meets this.
#[test]
fn a_paused_server_whose_tickets_find_nobody_delivers_what_was_said_before() {
    use std::rc::Rc;

    use wharf::{Protocol, Result};

    use crate::serving::{Seen, address, run, until};

    struct Paused(Rc<Seen>);

    impl Protocol for Paused {
        fn connection_made(&mut self, transport: &dyn Transport) -> Result {
            self.0.handles.borrow_mut().push(transport.handle());
            transport.pause_reading();
            Ok(())
        }

        fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
            self.0.received.borrow_mut().extend_from_slice(data);
            Ok(())
        }

        fn connection_lost(&mut self, _: &dyn Transport, _: Option<&wharf::Error>) -> Result {
            self.0.lost.borrow_mut().push(None);
            Ok(())
        }
    }

    // A client that is gone at once: by an orderly end, and by a reset.
    for resets in [false, true] {
        run(async |event_loop| {
            let seen = Seen::new();
            let own = Rc::clone(&seen);
            let server = event_loop
                .create_server(move || Paused(Rc::clone(&own)), "127.0.0.1:0")
                .tls(&crate::encryption::Tls::new(wharf::TlsVersion::Tls13).server)
                .await?;
            let address = address(&server);
            let client = std::thread::spawn(move || said_and_gone(address, resets));
            until(&event_loop, "the handshake", || !seen.handles.borrow().is_empty()).await;
            until(&event_loop, "the client's end", || client.is_finished()).await;
            client.join().expect("a client");
            event_loop.sleep(Duration::from_millis(20)).await;
            assert_eq!(seen.lost(), 0, "paused, with input waiting");
            seen.handles.borrow()[0].resume_reading();
            until(&event_loop, "the end", || seen.lost() == 1).await;
            assert_eq!(*seen.received.borrow(), b"ping", "resets: {resets}");
            Ok(())
        });
    }
}

/// A client by rustls alone: says something, and closes its socket without reading the tickets.
fn said_and_gone(address: std::net::SocketAddr, waits_for_tickets: bool) {
    use std::io::Write;
    use std::net::TcpStream;
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};

    let mut roots = rustls::RootCertStore::empty();
    let chain = crate::encryption::SERVER.chain.as_bytes();
    roots.add(CertificateDer::from_pem_slice(chain).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("server.test").expect("a name");
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut socket = TcpStream::connect(address).expect("a connection");
    while session.is_handshaking() {
        session.complete_io(&mut socket).expect("a handshake");
    }
    session.writer().write_all(b"ping").expect("room");
    while session.wants_write() {
        session.write_tls(&mut socket).expect("a connection");
    }
    if waits_for_tickets {
        // Unread, they make what follows a reset.
        socket.peek(&mut [0; 1]).expect("tickets");
    }
}
