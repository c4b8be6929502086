//! Numbers and durations of a user's, as small and as large as their types allow.

mod builders;

use std::time::Duration;

use wharf::testing::{self, Recorder};
use wharf::{
    CapacityLimiter, ConnectionBuilder, DropPolicy, EventLoop, Executor, Keepalive, RateGroup,
    RateLimit, ServerBuilder, Timeout, WaterMarks,
};

use crate::loops::{memory_loop, network, system_loop};
use crate::serving::{Echo, Seen, Watcher, address, run_on};

const DURATIONS: [Duration; 4] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(u64::MAX), Duration::MAX];
const SIZES: [usize; 5] = [0, 1, u32::MAX as usize + 1, usize::MAX / 2, usize::MAX];
const COUNTS: [u32; 4] = [0, 1, i32::MAX as u32, u32::MAX];

/// What becomes of a connection with a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is as good as any other.
    Works,
    /// It may end, stand still, or be refused in words.
    IsSane,
}

/// Serves and connects with a setting on both kinds of loops, and has a message echoed.
fn exchange(
    what: &str,
    outcome: Outcome,
    server: impl Fn(ServerBuilder) -> ServerBuilder,
    client: impl Fn(ConnectionBuilder<Watcher>) -> ConnectionBuilder<Watcher>,
) {
    for event_loop in [system_loop(), memory_loop()] {
        run_on(&event_loop, async |event_loop: EventLoop| {
            let seen = Seen::new();
            let begun = async {
                let set = server(event_loop.create_server(|| Echo, "127.0.0.1:0"));
                let server = set.await?;
                let to = address(&server);
                let set = client(event_loop.create_connection(seen.watcher(), to));
                let client = set.await?;
                client.with(|_, transport| transport.write(b"hello"))?;
                Ok::<_, wharf::Error>((server, client))
            };
            match begun.await {
                Err(error) => {
                    assert_eq!(outcome, Outcome::IsSane, "{what}: {error}");
                    assert!(!error.is_panic() && !format!("{error:#}").is_empty(), "{what}");
                }
                Ok(_kept) => {
                    let is_echoed = || *seen.received.borrow() == b"hello";
                    // Long enough where it works, and what stands still need not be waited for.
                    let turns = if outcome == Outcome::Works { 10_000 } else { 20 };
                    for _ in 0..turns {
                        if is_echoed() || seen.lost() > 0 {
                            break;
                        }
                        event_loop.sleep(Duration::from_millis(1)).await;
                    }
                    assert!(outcome == Outcome::IsSane || is_echoed(), "{what}: no echo");
                }
            }
            Ok(())
        });
    }
}

/// What builders are given that makes no sense is refused before anything is opened.
#[test]
fn settings_that_make_no_sense_are_refused_by_builders() {
    let upside_down = WaterMarks { low: 2, high: 1 };
    let event_loop = memory_loop();
    let server = || event_loop.create_server(|| Echo, "127.0.0.1:7");
    for refused in [
        server().max_connections(0),
        server().accept_batch(0),
        server().write_buffer_limits(upside_down),
    ] {
        let error = event_loop.run_until_complete(refused.start()).unwrap().unwrap_err();
        assert!(error.is_invalid(), "{error}");
    }
    let seen = Seen::new();
    let connecting = event_loop
        .create_connection(seen.watcher(), "127.0.0.1:7")
        .write_buffer_limits(upside_down);
    let error = event_loop.run_until_complete(connecting.start()).unwrap().unwrap_err();
    assert!(error.is_invalid() && format!("{error:#}").contains("mark"), "{error}");
}

#[test]
fn numbers_of_connections_and_servers_are_sane_at_both_ends() {
    use Outcome::{IsSane, Works};
    for size in SIZES {
        exchange(
            &format!("buffers of {size}"),
            Works,
            |server| server.send_buffer_size(size).receive_buffer_size(size),
            |client| client.send_buffer_size(size).receive_buffer_size(size),
        );
        exchange(
            &format!("marks and caps of {size}"),
            if size == 0 { IsSane } else { Works },
            |server| {
                server
                    .write_buffer_limits(WaterMarks { low: size, high: size })
                    .write_buffer_cap(Some(size.max(16)))
            },
            |client| {
                client.write_buffer_limits(WaterMarks::from_high(size)).write_buffer_cap(Some(size))
            },
        );
        exchange(
            &format!("{size} connections, families and descriptors"),
            if size == 0 { IsSane } else { Works },
            |server| server.max_connections(size),
            |client| client.interleave(size),
        );
    }
    for count in COUNTS {
        exchange(
            &format!("{count} in the backlog and at once"),
            if count == 0 { IsSane } else { Works },
            |server| server.backlog(count).accept_batch(count),
            |client| client,
        );
        exchange(
            &format!("{count} hops and service"),
            IsSane,
            |server| server.ttl(count).tos(count),
            |client| client.ttl(count).tos(count),
        );
    }
    for duration in DURATIONS {
        for kind in [Timeout::Idle, Timeout::WriteStall, Timeout::Linger] {
            exchange(
                &format!("{kind:?} after {duration:?}"),
                if duration.as_secs() == 0 { IsSane } else { Works },
                |server| server.connection_timeout(kind, Some(duration)),
                |client| client.connection_timeout(kind, Some(duration)),
            );
        }
        exchange(
            &format!("connecting for {duration:?}"),
            if duration.as_secs() == 0 { IsSane } else { Works },
            |server| server,
            |client| client.timeout(Some(duration)).happy_eyeballs_delay(Some(duration)),
        );
        let keepalive = Keepalive::new().time(duration).interval(duration).retries(u32::MAX);
        exchange(
            &format!("keepalive of {duration:?}"),
            IsSane,
            |server| server.keepalive(keepalive),
            |client| client.keepalive(keepalive),
        );
    }
    for bytes in [0, 1, u64::MAX / 2, u64::MAX] {
        let limit = RateLimit::bytes_per_second(bytes).burst(u64::MAX - bytes);
        exchange(
            &format!("{bytes} bytes a second"),
            IsSane,
            |server| server.read_limit(limit).write_limit(limit),
            |client| client.read_limit(limit).write_limit(limit),
        );
    }
}

#[test]
fn numbers_of_loops_timers_and_groups_are_sane_at_both_ends() {
    for size in SIZES {
        let event_loop =
            EventLoop::builder().executor_threads(size).resolver_threads(size).build().unwrap();
        let job = event_loop.run_in_executor(|| 1);
        assert_eq!(event_loop.run_until_complete(job).unwrap().unwrap(), 1);
        assert!(event_loop.shutdown_default_executor(Duration::MAX));
    }
    for duration in DURATIONS {
        for event_loop in [system_loop(), memory_loop()] {
            event_loop.set_exception_handler(|_, _| {});
            event_loop.set_slow_callback_duration(Some(duration));
            let mut timer = event_loop.call_later(duration, || {});
            let _ = timer.reset(duration);
            let far = event_loop.call_at(event_loop.time(), || {});
            drop(event_loop.create_task(event_loop.sleep(duration)));
            testing::step(&event_loop).unwrap();
            drop((timer, far));
        }
    }
    for bytes in [0, 1, u64::MAX] {
        let event_loop = memory_loop();
        let group = RateGroup::new(&event_loop);
        for burst in [0, 1, u64::MAX] {
            let limit = RateLimit::bytes_per_second(bytes).burst(burst);
            group.set_read_limit(Some(limit));
            group.set_write_limit(Some(limit));
            testing::advance(&event_loop, Duration::MAX).unwrap();
        }
    }
}

#[test]
fn numbers_of_threads_and_of_the_end_are_sane_at_both_ends() {
    for size in SIZES {
        let executor = Executor::builder().max_threads(size).queue_limit(size.max(1)).build();
        let event_loop = system_loop();
        let limiter = CapacityLimiter::new(&event_loop, size.max(1));
        let job = event_loop.create_job(|_| 1).executor(&executor.unwrap()).limiter(&limiter);
        assert_eq!(event_loop.run_until_complete(job.into_future()).unwrap().unwrap(), 1);
        limiter.set_total_tokens(size);
        assert_eq!((limiter.total_tokens(), limiter.available_tokens()), (size, size));
        let (sender, mut receiver) = event_loop.create_channel(size);
        assert_eq!(sender.capacity(), size.max(1));
        sender.try_send(2).unwrap();
        assert_eq!(receiver.try_recv(), Some(2));
    }
    for duration in DURATIONS {
        let executor = Executor::builder().max_threads(1).keep_alive(duration).build();
        assert_eq!(executor.is_err(), duration.is_zero());
        let executor = executor.unwrap_or_else(|_| Executor::new(1));
        let event_loop = system_loop();
        event_loop.run_until_complete(event_loop.run_in(&executor, || ())).unwrap().unwrap();
        assert!(executor.shutdown(Duration::MAX));
        let remote = event_loop.remote();
        let thread = std::thread::spawn(move || remote.spawn(async |_| ()).wait_timeout(duration));
        while !thread.is_finished() {
            testing::step(&event_loop).unwrap();
        }
        // However short it was.
        drop(thread.join().unwrap());
        let built = EventLoop::builder().exit_grace(duration).build();
        assert_eq!(built.is_err(), duration.is_zero());
        for event_loop in [event_loop, memory_loop()] {
            run_on(&event_loop, async |event_loop: EventLoop| {
                let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
                event_loop.create_connection(|| Echo, address(&server)).await?;
                Ok(())
            });
            event_loop.close_gracefully(duration).unwrap();
        }
    }
}

#[test]
fn time_in_memory_has_an_end_that_can_be_reached() {
    let event_loop = memory_loop();
    let called = std::rc::Rc::new(std::cell::Cell::new(0));
    for delay in [Duration::from_secs(1), Duration::from_secs(86_400 * 365 * 100), Duration::MAX] {
        let called = std::rc::Rc::clone(&called);
        drop(event_loop.call_later(delay, move || called.set(called.get() + 1)));
    }
    for _ in 0..2 {
        testing::advance(&event_loop, Duration::MAX).unwrap();
        assert_eq!(called.get(), 2, "what is for never does not come");
    }
    let _ = event_loop.time();
    // Nothing can happen any more: that is an error, and no loop for ever.
    let never = event_loop.sleep(Duration::MAX);
    assert!(event_loop.run_until_complete(never).is_err());

    let mut recorder = Recorder::new(|| Echo).unwrap();
    recorder.advance(Duration::MAX).unwrap();
    recorder.advance(Duration::MAX).unwrap();
}

#[test]
fn capacities_in_memory_are_sane_at_both_ends() {
    for size in SIZES {
        let mut recorder = Recorder::with_capacity(size, || Echo).unwrap();
        recorder.receive(b"hello").unwrap();
        assert!(b"hello".starts_with(&recorder.take_sent(size).unwrap()));

        let event_loop = network().capacity(size).datagram_capacity(size).event_loop();
        run_on(&event_loop, async |event_loop: EventLoop| {
            let seen = Seen::new();
            let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
            let client = event_loop.create_connection(seen.watcher(), address(&server)).await?;
            client.with(|_, transport| transport.write(b"hello"))?;
            while *seen.received.borrow() != b"hello" {
                event_loop.sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        });
    }
}

#[test]
fn numbers_of_datagram_endpoints_are_sane_at_both_ends() {
    struct Ignore;
    impl wharf::DatagramProtocol for Ignore {
        fn datagram_received(
            &mut self,
            _: &dyn wharf::DatagramTransport,
            _: &[u8],
            _: &wharf::Address,
        ) -> wharf::Result {
            Ok(())
        }
    }
    for event_loop in [system_loop(), memory_loop()] {
        for size in SIZES {
            for policy in [DropPolicy::Oldest, DropPolicy::Newest, DropPolicy::Refuse] {
                run_on(&event_loop, async |event_loop: EventLoop| {
                    let endpoint = event_loop
                        .create_datagram_endpoint(|| Ignore)
                        .local_address("127.0.0.1:0")
                        .send_buffer_size(size)
                        .receive_buffer_size(size)
                        .write_buffer_limits(WaterMarks { low: size, high: size })
                        .queue_limit(size, policy)
                        .await?;
                    endpoint.with(|_, transport| transport.close())?;
                    Ok(())
                });
            }
        }
    }
}

#[test]
fn ports_in_memory_run_out_with_an_error() {
    run_on(&memory_loop(), async |event_loop: EventLoop| {
        let mut servers = Vec::new();
        let error = loop {
            match event_loop.create_server(|| Echo, "127.0.0.1:0").await {
                Ok(server) => servers.push(server),
                Err(error) => break error,
            }
        };
        assert_eq!(servers.len(), 32_768);
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::AddrInUse));
        let refused = event_loop.create_connection(|| Echo, address(&servers[0])).await.err();
        let attempts = refused.expect("no port is left");
        let kind = attempts.attempts()[0].error.kind();
        assert_eq!(kind, std::io::ErrorKind::AddrNotAvailable);
        // One that is free again is given out again.
        let server = servers.pop().expect("a server");
        let to = address(&servers[0]);
        server.close();
        server.wait_closed().await?;
        event_loop.create_connection(|| Echo, to).await?;
        Ok(())
    });
}

#[cfg(feature = "tls")]
#[test]
fn numbers_of_tls_are_sane_at_both_ends() {
    for size in SIZES {
        drop(wharf::TlsClient::builder().session_cache(size).build());
    }
}
