//! The settings of what is opened, beside connections and servers over TCP.

use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use wharf::testing::{self, Recorder, pair};
use wharf::{
    ConnectionBuilder, EventLoop, PipeBuilder, ProcessProtocol, ProcessTransport, RateGroup,
    RateLimit, Timeout, WaterMarks, relay,
};

use super::{COUNTS, DURATIONS, Outcome, SIZES, exchange};
use crate::loops::{memory_loop, network, settle, system_loop};
use crate::serving::{Echo, Seen, Watcher, address, run_on, until};

const KINDS: [Timeout; 3] = [Timeout::Idle, Timeout::WriteStall, Timeout::Linger];

struct Silent;

impl ProcessProtocol for Silent {}

#[test]
fn resets_and_received_descriptors_are_sane_at_both_ends() {
    for on in [false, true] {
        exchange(
            &format!("reset on close: {on}"),
            Outcome::Works,
            |server| server.reset_on_close(on),
            |client| client.reset_on_close(on),
        );
    }
    let event_loop = system_loop();
    for most in SIZES {
        run_on(&event_loop, async |event_loop: EventLoop| {
            let (near, far) = UnixStream::pair()?;
            let seen = Seen::new();
            let receiving = |builder: ConnectionBuilder<Watcher>| builder.receive_descriptors(most);
            let opened = receiving(event_loop.create_connection_on(seen.watcher(), near)).await;
            let Ok(client) = opened else { return Ok(()) };
            let _far = event_loop.create_connection_on(|| Echo, far).await?;
            client.with(|_, transport| transport.write(b"hello"))?;
            until(&event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
            Ok(())
        });
        exchange(
            &format!("{most} descriptors"),
            Outcome::IsSane,
            |server| server.receive_descriptors(most),
            |client| client.receive_descriptors(most),
        );
    }
}

#[test]
fn numbers_of_relays_are_sane_at_both_ends() {
    for after in DURATIONS {
        for event_loop in [system_loop(), memory_loop()] {
            let seen = Seen::new();
            let (client, a) = pair(&event_loop, 64, seen.watcher()(), Echo).unwrap();
            let (b, _server) = pair(&event_loop, 64, Echo, Echo).unwrap();
            let joined = relay(&a, &b).idle_timeout(Some(after)).start();
            let is_refused = joined.is_done() && after.is_zero();
            if is_refused {
                continue;
            }
            client.with(|_, transport| transport.write(b"hello")).unwrap();
            for _ in 0..1_000 {
                testing::step(&event_loop).unwrap();
            }
            if after >= Duration::from_secs(1) {
                assert_eq!(*seen.received.borrow(), b"hello", "{after:?}");
                assert!(!joined.is_done(), "{after:?}");
            }
        }
    }
}

#[test]
fn numbers_of_pipes_are_sane_at_both_ends() {
    let event_loop = system_loop();
    let exchange =
        |what: &str, works: bool, set: &dyn Fn(PipeBuilder<Watcher>) -> PipeBuilder<Watcher>| {
            run_on(&event_loop, async |event_loop: EventLoop| {
                let (reader, writer) = std::io::pipe()?;
                let (here, there) = (Seen::new(), Seen::new());
                let reading = set(event_loop.connect_read_pipe(here.watcher(), reader)).await;
                let writing = set(event_loop.connect_write_pipe(there.watcher(), writer)).await;
                let (Ok(_reading), Ok(writing)) = (reading, writing) else {
                    assert!(!works, "{what}: refused");
                    return Ok(());
                };
                let _ = writing.with(|_, transport| transport.write(b"hello"));
                let is_there = || *here.received.borrow() == b"hello";
                if works {
                    until(&event_loop, what, is_there).await;
                } else {
                    event_loop.sleep(Duration::from_millis(2)).await;
                }
                Ok(())
            });
        };
    for size in SIZES {
        exchange(&format!("marks and caps of {size}"), size > 0, &|pipe| {
            pipe.write_buffer_limits(WaterMarks { low: size, high: size })
                .write_buffer_cap(Some(size.max(16)))
        });
    }
    for after in DURATIONS {
        for kind in KINDS {
            exchange(&format!("{kind:?} after {after:?}"), after.as_secs() > 0, &|pipe| {
                pipe.connection_timeout(kind, Some(after))
            });
        }
        exchange(&format!("a timeout of {after:?}"), !after.is_zero(), &|pipe| {
            pipe.timeout(Some(after))
        });
    }
    for bytes in [0, 1, u64::MAX / 2, u64::MAX] {
        let limit = RateLimit::bytes_per_second(bytes).burst(u64::MAX - bytes);
        let group = RateGroup::new(&event_loop);
        group.set_read_limit(Some(limit));
        group.set_write_limit(Some(limit));
        exchange(&format!("{bytes} bytes a second"), false, &|pipe| {
            pipe.read_limit(limit).write_limit(limit).rate_group(&group)
        });
    }
    // A FIFO that nobody reads: however long it is waited for.
    let path = std::env::temp_dir().join(format!("wharf-extreme-{}", std::process::id()));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    for after in DURATIONS {
        let opening = event_loop
            .connect_write_fifo(Seen::new().watcher(), &path)
            .timeout(Some(after))
            .start();
        let pause = event_loop.sleep(Duration::from_millis(5));
        event_loop.run_until_complete(pause).unwrap();
        if after >= Duration::from_secs(1) {
            assert!(!opening.is_done(), "{after:?}");
        } else {
            let result = event_loop.run_until_complete(opening).unwrap();
            assert!(!result.unwrap_err().is_panic(), "{after:?}");
        }
    }
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn no_builder_takes_a_duration_of_zero() {
    #[track_caller]
    fn refused<T>(what: &str, result: std::result::Result<T, wharf::Error>) {
        let Err(error) = result else { panic!("{what}: it was taken") };
        assert!(error.is_invalid(), "{what}: {error:#}");
        assert!(format!("{error:#}").ends_with("must not be zero"), "{what}: {error:#}");
    }
    let zero = Some(Duration::ZERO);
    let timeouts =
        [Timeout::Idle, Timeout::WriteStall, Timeout::Linger, Timeout::Closing, Timeout::User];
    let keepalives = [
        wharf::Keepalive::new().time(Duration::ZERO),
        wharf::Keepalive::new().interval(Duration::ZERO),
    ];
    let event_loop = system_loop();
    run_on(&event_loop, async |event_loop: EventLoop| {
        let server = || event_loop.create_server(|| Echo, "127.0.0.1:0");
        let client = || event_loop.create_connection(|| Echo, "127.0.0.1:9");
        for timeout in timeouts {
            refused("a server", server().connection_timeout(timeout, zero).await);
            refused("a client", client().connection_timeout(timeout, zero).await);
            let (reader, _writer) = std::io::pipe()?;
            let pipe = event_loop.connect_read_pipe(|| Echo, reader);
            refused("a pipe", pipe.connection_timeout(timeout, zero).await);
        }
        for keepalive in keepalives {
            refused("a server", server().keepalive(keepalive).await);
            refused("a client", client().keepalive(keepalive).await);
        }
        refused("a connect", client().timeout(zero).await);
        refused("a race", client().happy_eyeballs_delay(zero).await);
        let fifo = event_loop.connect_write_fifo(|| Echo, "/no/such/fifo");
        refused("a FIFO", fifo.timeout(zero).await);
        refused("a program", event_loop.run_shell("true").timeout(Duration::ZERO).await);
        let (_, a) = pair(&event_loop, 64, Echo, Echo)?;
        let (b, _) = pair(&event_loop, 64, Echo, Echo)?;
        refused("a relay", relay(&a, &b).idle_timeout(zero).start().await);
        Ok(())
    });
}

#[test]
fn numbers_of_processes_are_sane_at_both_ends() {
    let event_loop = system_loop();
    run_on(&event_loop, async |event_loop: EventLoop| {
        for size in SIZES {
            let cat = event_loop
                .subprocess_exec(|| Silent, "cat")
                .write_buffer_limits(WaterMarks { low: size, high: size })
                .write_buffer_cap(Some(size))
                .await?;
            cat.handle().kill()?;
            cat.wait().await?;
            let output = event_loop.run_shell("echo hello").output_limit(size).await;
            match output {
                Ok(output) => assert_eq!(output.stdout, b"hello\n"[..], "{size}"),
                Err(error) => assert!(size < 6 && !error.is_panic(), "{size}: {error}"),
            }
        }
        for after in DURATIONS {
            let output = event_loop.run_shell("echo hello").timeout(after).await;
            match output {
                Ok(output) => assert_eq!(output.stdout, b"hello\n"[..], "{after:?}"),
                Err(error) => {
                    assert!(after.as_secs() == 0 && !error.is_panic(), "{after:?}: {error}");
                }
            }
        }
        #[cfg(feature = "extra-fds")]
        for number in [i32::MIN, -1, 0, 2, i32::MAX] {
            let fd = wharf::ChildFd::new(number);
            let refused = event_loop.subprocess_exec(|| Silent, "true").extra_output(fd).await;
            assert!(!refused.unwrap_err().is_panic(), "{number}");
        }
        Ok(())
    });
}

#[test]
fn numbers_of_testing_are_sane_at_both_ends() {
    let far = Duration::from_secs(1 << 40);
    let dates = [SystemTime::UNIX_EPOCH.checked_sub(far), SystemTime::UNIX_EPOCH.checked_add(far)];
    for date in dates.into_iter().flatten().chain([SystemTime::UNIX_EPOCH]) {
        for seed in [0, u64::MAX] {
            let event_loop = network().date(date).urgent_data(seed).event_loop();
            run_on(&event_loop, async |event_loop: EventLoop| {
                let seen = Seen::new();
                let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
                let client = event_loop.create_connection(seen.watcher(), address(&server)).await?;
                client.with(|_, transport| transport.write(b"hello"))?;
                until(&event_loop, "the echo", || *seen.received.borrow() == b"hello").await;
                Ok(())
            });
        }
    }
    for size in SIZES {
        for event_loop in [system_loop(), memory_loop()] {
            let seen = Seen::new();
            let (near, _far) = pair(&event_loop, size, seen.watcher()(), Echo).unwrap();
            near.with(|_, transport| transport.write(b"hello")).unwrap();
            settle(&event_loop).unwrap();
            assert_eq!(*seen.received.borrow(), b"hello", "{size}");
        }
        let mut recorder = Recorder::with_capacity(size, || Echo).unwrap();
        assert!(recorder.receive(&[7; 100]).unwrap() <= 100);
        recorder.advance(Duration::ZERO).unwrap();
        assert!(recorder.take_sent(0).unwrap().is_empty());
    }
    for count in COUNTS {
        // A slow loop is built with it, not run for so long.
        drop(EventLoop::builder().executor_threads(count as usize).build().unwrap());
    }
}

#[cfg(feature = "tls")]
#[test]
fn numbers_of_tls_connections_are_sane_at_both_ends() {
    use wharf::{TlsServer, TlsVersion};

    use crate::encryption::{SERVER, Tls};

    let own = |server: wharf::TlsServerBuilder| server.identity(SERVER.identity()).build();
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let tls = Tls::new(version);
        for after in DURATIONS {
            exchange(
                &format!("{version} timeouts of {after:?}"),
                if after.as_secs() == 0 { Outcome::IsSane } else { Outcome::Works },
                |server| {
                    let tls = tls.server.clone();
                    server.tls(tls.handshake_timeout(after).shutdown_timeout(after))
                },
                |client| {
                    let tls = tls.client.clone().server_name("server.test");
                    client.tls(tls.handshake_timeout(after).shutdown_timeout(after))
                },
            );
            match own(TlsServer::builder().ticket_lifetime(Some(after))) {
                Err(error) => assert!(!error.is_panic() && !format!("{error:#}").is_empty()),
                Ok(server) => exchange(
                    &format!("{version} tickets for {after:?}"),
                    Outcome::Works,
                    |builder| builder.tls(&server),
                    |client| client.tls(tls.client.clone().server_name("server.test")),
                ),
            }
        }
        for bytes in COUNTS {
            let server = own(TlsServer::builder().max_early_data(bytes)).unwrap();
            for early in [0, 1, 100_000] {
                exchange(
                    &format!("{version} {early} bytes of early data, {bytes} allowed"),
                    Outcome::IsSane,
                    |builder| builder.tls(&server),
                    |client| {
                        let tls = tls.client.clone().server_name("server.test");
                        client.tls(tls).early_data(vec![7; early])
                    },
                );
            }
        }
    }
}
