//! The handshake of connects and servers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::advance;
use wharf::{
    RateLimit, Timeout, TimeoutKind, TlsClient, TlsServer, TlsVersion, Transport, with_info,
};

use super::{Stage, VERSIONS, distrusting, logs, trusting};
use crate::encryption::SERVER;
use crate::loops::{network, settle, system_loop};
use crate::probe::{Call, Log, Probe, assert_rules_were_kept};

// 229.
#[test]
fn a_client_speaks_as_soon_as_it_is_connected() {
    let stage = Stage::new();
    let raw = Log::new();
    let probe = raw.clone();
    stage.serve_plain(move || Probe::new(&probe));
    let connecting = stage
        .event_loop
        .create_connection(|| Probe::new(&Log::new()), "10.0.0.1:443")
        .tls(trusting())
        .start();
    settle(&stage.event_loop).unwrap();
    // The header of a record with a handshake message, which is a hello.
    assert_eq!(raw.received()[..3], [22, 3, 1]);
    assert_eq!(raw.received()[5], 1);
    drop(connecting);
}

// 230, 258.
#[test]
fn connection_made_comes_after_the_handshake_and_knows_what_was_agreed_on() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let infos = Rc::new(RefCell::new(Vec::new()));
        let noting = |log: &Log| {
            let infos = Rc::clone(&infos);
            Probe::new(log).on_made(move |transport| {
                infos.borrow_mut().push(transport.info());
                Ok(())
            })
        };
        let (near, far) = logs();
        stage.join(noting(&near), noting(&far));
        let handle = near.handle();
        handle.abort();
        stage.run_until("the end", || near.is_lost() && far.is_lost());
        for info in infos.take() {
            let tls = info.tls().expect("TLS");
            assert_eq!(tls.version(), Some(version));
            assert!(tls.cipher_suite().unwrap().starts_with("TLS"));
            assert_eq!(tls.server_name(), None, "an address is not sent");
            assert!(!tls.is_resumed());
            assert!(tls.key_exchange().is_some());
            assert!(info.peer_address().is_some());
        }
    }
}

// 230.
#[test]
fn peers_know_each_others_certificates_names_and_protocols() {
    let stage = Stage::new();
    let server = TlsServer::builder()
        .identity(SERVER.identity())
        .client_ca_pem(&crate::encryption::CLIENT.chain)
        .allow_anonymous_clients(true)
        .alpn(["two", "one"])
        .build()
        .unwrap();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&seen);
    let serving = stage
        .event_loop
        .create_server(
            with_info(move |info| {
                let tls = info.tls().ok_or("no TLS")?;
                let name = tls.server_name().map(str::to_owned);
                told.borrow_mut().push((name, tls.alpn_protocol().map(<[u8]>::to_vec)));
                Ok(Probe::new(&Log::new()))
            }),
            "10.0.0.1:443",
        )
        .tls(server);
    let _server = stage.event_loop.run_until_complete(serving.start()).unwrap().unwrap();
    let client = TlsClient::builder()
        .pin_certificate_pem(&SERVER.chain)
        .alpn(["one", "two"])
        .build()
        .unwrap()
        .server_name("server.test");
    let connection = stage.connect_by(client, Probe::new(&Log::new())).unwrap();
    settle(&stage.event_loop).unwrap();
    let info = connection.handle().info();
    let tls = info.tls().unwrap();
    assert_eq!(tls.alpn_protocol(), Some(&b"two"[..]));
    assert_eq!(tls.peer_certificates().len(), 1);
    assert_eq!(tls.server_name(), Some("server.test"));
    assert_eq!(*seen.borrow(), [(Some("server.test".to_owned()), Some(b"two".to_vec()))]);
}

// 231.
#[test]
fn data_that_comes_with_the_end_of_the_handshake_follows_connection_made() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let server = TlsServer::builder().identity(SERVER.identity()).alpn(["two", "one"]);
        let serving = server.build().unwrap();
        let (near, far) = logs();
        let seen = Rc::new(RefCell::new(Vec::new()));
        // Whoever speaks first says its turn, and so does what hears it.
        let speaks_first = |log: &Log, name: &'static str| {
            let (seen, heard) = (Rc::clone(&seen), Rc::clone(&seen));
            let tick = |transport: &dyn Transport| transport.event_loop().statistics().ticks;
            Probe::new(log)
                .on_made(move |transport| {
                    let info = transport.info();
                    let tls = info.tls().expect("TLS, inside connection_made");
                    assert_eq!(tls.alpn_protocol(), Some(&b"two"[..]), "{name}");
                    seen.borrow_mut().push((name, "made", tick(transport)));
                    transport.write(b"first");
                    Ok(())
                })
                .on_data(move |transport, _| {
                    heard.borrow_mut().push((name, "data", tick(transport)));
                    Ok(())
                })
        };
        let mut of_server = Some(speaks_first(&far, "server"));
        let server = stage
            .event_loop
            .create_server(move || of_server.take().unwrap(), "10.0.0.1:443")
            .tls(serving);
        let _server = stage.event_loop.run_until_complete(server.start()).unwrap().unwrap();
        let client = TlsClient::builder()
            .pin_certificate_pem(&SERVER.chain)
            .alpn(["one", "two"])
            .min_version(version)
            .max_version(version)
            .build()
            .unwrap();
        let _client = stage.connect_by(client, speaks_first(&near, "client")).unwrap();
        stage.run_until("both greetings", || {
            near.received() == b"first" && far.received() == b"first"
        });
        assert_eq!(near.order(), [Call::Made, Call::Data]);
        assert_eq!(far.order(), [Call::Made, Call::Data]);
        // The side that ends the handshake is the client under TLS 1.3, and the server under 1.2: its
        // first words come in one piece with that end.
        let hears = if version == TlsVersion::Tls13 { "server" } else { "client" };
        let ticks: Vec<u64> =
            seen.borrow().iter().filter(|(name, ..)| *name == hears).map(|entry| entry.2).collect();
        assert_eq!(ticks.len(), 2);
        assert_eq!(ticks[0], ticks[1], "{version:?}: not with the end of the handshake");
    }
}

// 232.
#[test]
fn a_handshake_that_takes_too_long_is_the_connects_error() {
    let stage = Stage::new();
    let raw = Log::new();
    let probe = raw.clone();
    stage.serve_plain(move || Probe::new(&probe));
    let log = Log::new();
    let begun = stage.event_loop.time();
    let error = stage.connect(Probe::new(&log)).unwrap_err();
    assert_eq!(error.timeout_kind(), Some(TimeoutKind::TlsHandshake));
    assert_eq!(stage.event_loop.time() - begun, Duration::from_secs(10));
    let begun = stage.event_loop.time();
    let hasty = trusting().handshake_timeout(Duration::from_millis(70));
    assert!(stage.connect_by(hasty, Probe::new(&log)).unwrap_err().is_timeout());
    assert_eq!(stage.event_loop.time() - begun, Duration::from_millis(70));
    assert!(log.calls().is_empty() && stage.reports.take().is_empty());
    let never = trusting().handshake_timeout(Duration::ZERO);
    assert!(stage.connect_by(never, Probe::new(&log)).unwrap_err().is_invalid());
}

// 232, 236: differs.
#[test]
fn a_server_lets_no_handshake_take_longer_than_its_deadline_and_says_so() {
    let stage = Stage::new();
    let (server, errors) = stage.serve(|| Probe::new(&Log::new()));
    let raw = Log::new();
    stage.connect_plain(Probe::new(&raw));
    // A byte now and then does not put it off.
    for byte in [22, 3, 1, 2, 0, 1, 0, 1, 0xfc] {
        raw.handle().write(&[byte]);
        advance(&stage.event_loop, Duration::from_secs(1)).unwrap();
    }
    let dribbler = Log::new();
    stage.connect_plain(Probe::new(&dribbler));
    settle(&stage.event_loop).unwrap();
    assert_eq!(server.connections(), 2);
    advance(&stage.event_loop, Duration::from_secs(11)).unwrap();
    assert_eq!((server.connections(), errors.borrow().len()), (0, 2));
    assert!(errors.borrow()[1].contains("took too long"), "{errors:?}");
    assert!(raw.is_lost() && dribbler.is_lost());
}

#[test]
fn the_protocols_own_deadline_counts_from_the_end_of_the_handshake() {
    let stage = Stage::new();
    let log = Log::new();
    let served = log.clone();
    let serving = stage
        .event_loop
        .create_server(move || Probe::new(&served), "10.0.0.1:443")
        .tls(&stage.tls.server)
        .connection_timeout(Timeout::User, Some(Duration::from_secs(5)));
    let _server = stage.event_loop.run_until_complete(serving.start()).unwrap().unwrap();
    let begun = stage.event_loop.time();
    // Slow enough for a handshake of some seconds.
    let connecting = stage
        .event_loop
        .create_connection(|| Probe::new(&Log::new()), "10.0.0.1:443")
        .tls(stage.tls.client.clone())
        .write_limit(RateLimit::bytes_per_second(100).burst(10));
    let connecting = connecting.start();
    while !log.is_made() {
        assert!(stage.event_loop.time() - begun < Duration::from_secs(20));
        advance(&stage.event_loop, Duration::from_millis(10)).unwrap();
    }
    let took = stage.event_loop.time() - begun;
    assert!(took > Duration::from_secs(1), "it was no slow handshake: {took:?}");
    advance(&stage.event_loop, Duration::from_millis(4_900)).unwrap();
    assert!(!log.is_lost());
    advance(&stage.event_loop, Duration::from_millis(200)).unwrap();
    assert_eq!(log.cause().unwrap().timeout, Some(TimeoutKind::User));
    drop(connecting);
}

// 233.
#[test]
fn an_end_during_the_handshake_is_the_connects_error() {
    let stage = Stage::new();
    stage.serve_plain(|| {
        Probe::new(&Log::new()).on_data(|transport, _| {
            transport.close();
            Ok(())
        })
    });
    let log = Log::new();
    let error = stage.connect(Probe::new(&log)).unwrap_err();
    assert!(error.is_truncated() && error.is_tls(), "{error}");
    assert!(log.calls().is_empty());
    assert_eq!(log.drops(), 1);
    drop(stage);
    assert_rules_were_kept();
}

// 234, 236: differs.
#[test]
fn a_certificate_that_is_not_trusted_is_the_connects_error_and_the_server_hears_why() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let (server, errors) = stage.serve(|| Probe::new(&Log::new()));
        let error = stage.connect_by(distrusting(), Probe::new(&Log::new())).unwrap_err();
        assert!(error.is_tls() && !error.is_truncated(), "{error}");
        assert!(format!("{error:#}").contains("certificate"), "{error}");
        settle(&stage.event_loop).unwrap();
        assert_eq!(server.connections(), 0);
        let errors = errors.borrow();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains("alert") && errors[0].contains("connection from"), "{errors:?}");
    }
}

// 236: differs.
#[test]
fn garbage_is_an_accept_error_of_which_one_a_second_is_reported() {
    let stage = Stage::new();
    let serving = stage
        .event_loop
        .create_server(|| Probe::new(&Log::new()), "10.0.0.1:443")
        .tls(&stage.tls.server);
    let server = stage.event_loop.run_until_complete(serving.start()).unwrap().unwrap();
    for _ in 0..50 {
        let raw = Log::new();
        stage.connect_plain(Probe::new(&raw));
        raw.handle().write(b"GET / HTTP/1.1\r\n\r\n");
        stage.run_until("the end", || raw.is_lost());
        // The alert that says that this is no TLS.
        assert_eq!(raw.received().first(), Some(&21));
    }
    assert_eq!(server.connections(), 0);
    let reports = stage.reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("is not TLS"), "{reports:?}");

    // A second later it is another one's turn.
    advance(&stage.event_loop, Duration::from_secs(1)).unwrap();
    for _ in 0..2 {
        let raw = Log::new();
        stage.connect_plain(Probe::new(&raw));
        raw.handle().write(b"GET / HTTP/1.1\r\n\r\n");
        stage.run_until("the end", || raw.is_lost());
    }
    assert_eq!(stage.reports.take().len(), 1);
}

// 235.
#[test]
fn a_connect_that_is_given_up_in_the_handshake_leaves_nothing() {
    let stage = Stage::new();
    let raw = Log::new();
    let probe = raw.clone();
    stage.serve_plain(move || Probe::new(&probe));
    let before = stage.event_loop.statistics();
    let log = Log::new();
    let own = log.clone();
    let connecting = stage
        .event_loop
        .create_connection(move || Probe::new(&own), "10.0.0.1:443")
        .tls(trusting())
        .start();
    settle(&stage.event_loop).unwrap();
    assert!(raw.received_len() > 0 && !connecting.is_done());
    drop(connecting);
    stage.run_until("the end", || raw.is_lost());
    let after = stage.event_loop.statistics();
    assert_eq!((after.timers, after.tasks), (before.timers, before.tasks));
    assert!(log.calls().is_empty() && stage.reports.take().is_empty());
}

#[test]
fn a_factory_that_fails_after_the_handshake_fails_the_connection() {
    let stage = Stage::new();
    let serving = stage
        .event_loop
        .create_server(with_info(|_| Err::<Probe, _>("not today".into())), "10.0.0.1:443")
        .tls(&stage.tls.server);
    let server = stage.event_loop.run_until_complete(serving.start()).unwrap().unwrap();
    let log = Log::new();
    stage.connect(Probe::new(&log)).expect("the handshake is done");
    stage.run_until("the end", || log.is_lost());
    assert!(log.cause().unwrap().is_truncated);
    assert_eq!(server.connections(), 0);
    let reports = stage.reports.take();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("not today"), "{reports:?}");

    // Whoever asked to be told of accept errors is, instead of the exception handler.
    let errors = Rc::new(RefCell::new(Vec::new()));
    for panics in [false, true] {
        let told = Rc::clone(&errors);
        let serving = stage
            .event_loop
            .create_server(
                with_info(move |info| {
                    assert!(info.tls().is_some(), "the handshake is done");
                    assert!(!panics, "no protocol at all");
                    Err::<Probe, _>("not today".into())
                }),
                "10.0.0.1:444",
            )
            .on_accept_error(move |error| told.borrow_mut().push(format!("{error:#}")))
            .tls(&stage.tls.server);
        let told = stage.event_loop.run_until_complete(serving.start()).unwrap().unwrap();
        let log = Log::new();
        let probe = Probe::new(&log);
        let connecting = stage.event_loop.create_connection(|| probe, "10.0.0.1:444");
        let connecting = connecting.tls(trusting()).start();
        stage.event_loop.run_until_complete(connecting).unwrap().expect("a handshake");
        stage.run_until("the end", || log.is_lost());
        assert!(log.cause().unwrap().is_truncated);
        assert_eq!(told.connections(), 0);
        told.close();
        settle(&stage.event_loop).unwrap();
    }
    let errors = errors.take();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].contains("not today") && errors[1].contains("no protocol at all"));
    assert_eq!(stage.reports.take(), [""; 0]);

    fn panicking() -> Probe {
        panic!("no protocol")
    }
    let connecting = stage.event_loop.create_connection(panicking, "10.0.0.1:443").tls(trusting());
    let error = stage.event_loop.run_until_complete(connecting.start()).unwrap().unwrap_err();
    assert!(error.is_panic());
    settle(&stage.event_loop).unwrap();
    assert_eq!(server.connections(), 0);
}

#[test]
fn handshakes_count_as_connections_and_end_with_the_server() {
    let stage = Stage::new();
    let serving = stage
        .event_loop
        .create_server(|| Probe::new(&Log::new()), "10.0.0.1:443")
        .max_connections(2)
        .tls(&stage.tls.server);
    let server = stage.event_loop.run_until_complete(serving.start()).unwrap().unwrap();
    let raws = [Log::new(), Log::new(), Log::new()];
    for raw in &raws {
        stage.connect_plain(Probe::new(raw));
    }
    settle(&stage.event_loop).unwrap();
    assert_eq!(server.connections(), 2);
    let shutdown = server.shutdown(Duration::from_secs(60));
    let begun = stage.event_loop.time();
    assert_eq!(stage.event_loop.run_until_complete(shutdown).unwrap().unwrap(), 0);
    assert_eq!(stage.event_loop.time(), begun, "nobody is to be waited for");
}

#[test]
fn a_storm_of_handshakes_leaves_turns_to_those_that_are_connected() {
    let stage = Stage::new();
    let accepted = Rc::new(Cell::new(0));
    let count = Rc::clone(&accepted);
    let (server, _) = stage.serve(move || {
        count.set(count.get() + 1);
        Probe::new(&Log::new()).echoing()
    });
    let old = Log::new();
    stage.connect(Probe::new(&old)).unwrap();
    stage.run_until("the first one", || server.connections() == 1);
    let storm: Vec<_> = (0..40)
        .map(|_| {
            stage
                .event_loop
                .create_connection(|| Probe::new(&Log::new()), "10.0.0.1:443")
                .tls(trusting())
                .start()
        })
        .collect();
    // The one that is connected has its echo long before the storm is over.
    for _ in 0..8 {
        let before = old.received_len();
        old.handle().write(b"ping");
        let mut turns = 0;
        while old.received_len() == before {
            wharf::testing::step(&stage.event_loop).unwrap();
            turns += 1;
            assert!(turns <= 4, "the echo took {turns} turns");
        }
    }
    assert!(accepted.get() < 20, "{} handshakes meanwhile", accepted.get());
    stage.run_until("the end of the storm", || storm.iter().all(|connect| connect.is_done()));
    stage.run_until("all of them", || server.connections() == 41);
    let failed = storm.iter().filter_map(|connect| connect.take_result()).filter(Result::is_err);
    assert_eq!(failed.count(), 0);
}

#[test]
fn the_second_connection_is_a_resumed_one() {
    for version in VERSIONS {
        let stage = Stage::with(version);
        let (_server, _) = stage.serve(|| Probe::new(&Log::new()).echoing());
        for resumes in [false, true, true] {
            let log = Log::new();
            let connection = stage.connect(Probe::new(&log)).unwrap();
            // Tickets of TLS 1.3 come after the handshake.
            log.handle().write(b"ticket, please");
            stage.run_until("the echo", || log.received_len() == 14);
            let info = connection.handle().info();
            assert_eq!(info.tls().unwrap().is_resumed(), resumes, "{version}");
            assert_eq!(info.tls().unwrap().peer_certificates().len(), 1);
            log.handle().close();
            stage.run_until("the end", || log.is_lost());
        }
    }
}

#[test]
fn a_default_server_name_stands_where_no_other_was_set() {
    for (client, name) in [
        (trusting().default_server_name("one.test"), "one.test"),
        (trusting().server_name("own.test").default_server_name("one.test"), "own.test"),
        (trusting().default_server_name("one.test").default_server_name("two.test"), "one.test"),
        (trusting().default_server_name("one.test").server_name("own.test"), "own.test"),
    ] {
        let stage = Stage::new();
        let _serving = stage.serve(|| Probe::new(&Log::new()));
        let connection = stage.connect_by(client, Probe::new(&Log::new())).unwrap();
        assert_eq!(connection.handle().info().tls().unwrap().server_name(), Some(name));
    }
}

#[test]
fn certificates_are_checked_by_the_loops_clock() {
    let mut parameters = rcgen::CertificateParams::new(vec!["server.test".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2030, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2031, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let identity = wharf::TlsIdentity::from_pem(certificate.pem(), key.serialize_pem());
    let server = TlsServer::builder().identity(identity).check_dates(false).build().unwrap();
    let client = TlsClient::builder().ca_pem(certificate.pem()).build().unwrap();
    let client = client.server_name("server.test");
    for (year, is_good) in [(2029, false), (2030, true), (2031, false)] {
        let days = (year - 1970) * 365 + (year - 1969) / 4 + 100;
        let date = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        let event_loop = network().date(date).event_loop();
        event_loop.set_exception_handler(|_, _| {});
        let serving =
            event_loop.create_server(|| Probe::new(&Log::new()), "10.0.0.1:443").tls(&server);
        let _server = event_loop.run_until_complete(serving.start()).unwrap().unwrap();
        let connecting = event_loop
            .create_connection(|| Probe::new(&Log::new()), "10.0.0.1:443")
            .tls(client.clone());
        let outcome = event_loop.run_until_complete(connecting.start()).unwrap();
        assert_eq!(outcome.is_ok(), is_good, "{year}: {outcome:?}");
    }
}

#[test]
fn an_accepted_socket_from_elsewhere_is_served_under_tls() {
    let event_loop = system_loop();
    let tls = crate::encryption::Tls::new(TlsVersion::Tls13);
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let (client, server) = logs();
    let (own, other) = (client.clone(), server.clone());
    let accepting = event_loop
        .connect_accepted_socket(move || Probe::new(&other).echoing(), far)
        .tls(&tls.server);
    let connecting =
        event_loop.create_connection_on(move || Probe::new(&own), near).tls(&tls.client);
    let accepting = accepting.start();
    event_loop.run_until_complete(connecting.start()).unwrap().expect("a connection");
    event_loop.run_until_complete(accepting).unwrap().expect("the other end");
    client.handle().write(b"hello");
    crate::running::run_until(&event_loop, "the echo", || client.received() == b"hello");
}
