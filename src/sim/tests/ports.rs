//! Ports: whose they are, when none is left, and who has them after the end of a connection.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::event_loop::EventLoop;
use crate::sim::{Host, KernelOptions, Simulation};
use crate::streams::{StreamReader, StreamWriter};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Ends connections when their clients do.
async fn hold(event_loop: EventLoop, port: u16) -> Result {
    let listener = event_loop.listen(("0.0.0.0", port)).await?;
    loop {
        let (mut reader, writer) = listener.accept().await?;
        let held = async move {
            while let Ok(Some(_)) = reader.read_line().await {}
            writer.close();
        };
        event_loop.create_task(held).detach();
    }
}

/// Ends connections at once.
async fn hang_up(event_loop: EventLoop) -> Result {
    let listener = event_loop.listen("0.0.0.0:9").await?;
    loop {
        let (_, writer) = listener.accept().await?;
        writer.close();
    }
}

/// A server that holds connections to ports 7 and 8 and hangs up at 9, and a client.
fn hosts(seed: u64) -> (Simulation, Host, Host) {
    let simulation = Simulation::new(seed);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    for port in [7, 8] {
        server.serve(async move |event_loop| hold(event_loop, port).await);
    }
    server.serve(hang_up);
    (simulation, server, client)
}

async fn open(event_loop: &EventLoop, to: &str) -> Result<(StreamReader, StreamWriter), Error> {
    event_loop.open_connection(to).await
}

async fn open_from(event_loop: &EventLoop, from: &str, to: &str) -> Result<StreamWriter, Error> {
    let (_, writer) = event_loop.open_connection(to).local_address(from).await?;
    Ok(writer)
}

fn port_of(writer: &StreamWriter) -> u16 {
    writer.info().local_address().and_then(|address| address.as_ip()).map_or(0, |ip| ip.port())
}

#[track_caller]
fn assert_kind<T>(outcome: Result<T, Error>, kind: ErrorKind) {
    assert_eq!(outcome.err().and_then(|error| error.io_kind()), Some(kind));
}

fn few_ports(count: u16) -> KernelOptions {
    KernelOptions::new().ephemeral_ports(40_000..=39_999 + count)
}

#[test]
fn each_host_has_ports_of_its_own_and_none_is_given_out_twice_to_one_address() {
    let (simulation, ..) = hosts(1);
    for name in ["a", "b"] {
        let client = simulation.host(name);
        client.set_kernel(few_ports(3));
        let program = async |event_loop: EventLoop| {
            let mut kept = Vec::new();
            for to in ["server:7", "server:8"] {
                let mut ports = Vec::new();
                for _ in 0..3 {
                    let streams = event_loop.open_connection(to).reset_on_close(true).await?;
                    ports.push(port_of(&streams.1));
                    kept.push(streams);
                }
                ports.sort_unstable();
                assert_eq!(ports, [40_000, 40_001, 40_002]);
                assert_kind(open(&event_loop, to).await, ErrorKind::AddrNotAvailable);
            }
            assert_kind(event_loop.listen("0.0.0.0:0").await, ErrorKind::AddrInUse);
            // At another address all are free, but for what is at every address.
            let _local = event_loop.listen("127.0.0.1:0").await?;
            // Those of datagrams are others.
            let endpoint = || event_loop.open_datagram_endpoint().local_address("0.0.0.0:0");
            let _endpoints = [endpoint().await?, endpoint().await?, endpoint().await?];
            assert_kind(endpoint().await, ErrorKind::AddrInUse);
            // A reset frees its port at once.
            kept.pop().ok_or("none is kept")?.1.abort();
            event_loop.sleep(MS).await;
            open(&event_loop, "server:8").await?;
            Ok(())
        };
        client.run(program).unwrap();
    }
    // As Linux, unless it is told otherwise.
    let usual = simulation.host("usual");
    let port = usual.run(async |event_loop| Ok(port_of(&open(&event_loop, "server:7").await?.1)));
    assert!((32_768..=60_999).contains(&port.unwrap()));
    let none = simulation.host("none");
    none.set_kernel(few_ports(0));
    none.run(async |event_loop| {
        assert_kind(open(&event_loop, "server:7").await, ErrorKind::AddrNotAvailable);
        Ok(())
    })
    .unwrap();
}

#[test]
fn who_ends_a_connection_first_keeps_its_port_for_a_minute() {
    let (_simulation, _, client) = hosts(1);
    client.set_kernel(few_ports(1));
    client
        .run(async |event_loop| {
            // The server is first: it is the one that keeps the addresses.
            for _ in 0..3 {
                let (mut reader, writer) = open(&event_loop, "server:9").await?;
                assert_eq!(reader.read_line().await?, None);
                writer.close();
                event_loop.sleep(10 * MS).await;
            }
            open(&event_loop, "server:7").await?.1.close();
            for wait in [SECOND, 58 * SECOND] {
                event_loop.sleep(wait).await;
                assert_kind(open(&event_loop, "server:7").await, ErrorKind::AddrNotAvailable);
            }
            // To another address it is free.
            open(&event_loop, "server:8").await?.1.abort();
            event_loop.sleep(2 * SECOND).await;
            open(&event_loop, "server:7").await?.1.abort();
            Ok(())
        })
        .unwrap();
    // Within a machine a second is enough.
    client.serve(async |event_loop| hold(event_loop, 7).await);
    client
        .run(async |event_loop| {
            open(&event_loop, "127.0.0.1:7").await?.1.close();
            event_loop.sleep(SECOND / 2).await;
            assert_kind(open(&event_loop, "127.0.0.1:7").await, ErrorKind::AddrNotAvailable);
            event_loop.sleep(SECOND).await;
            open(&event_loop, "127.0.0.1:7").await?;
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_connection_that_was_closed_and_that_its_peer_does_not_end_has_its_port_for_a_minute() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    server.serve(async |event_loop| {
        let listener = event_loop.listen("0.0.0.0:7").await?;
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await?);
        }
    });
    client.set_kernel(few_ports(1));
    client
        .run(async |event_loop| {
            open(&event_loop, "server:7").await?.1.close();
            event_loop.sleep(55 * SECOND).await;
            assert_kind(open(&event_loop, "server:7").await, ErrorKind::AddrNotAvailable);
            event_loop.sleep(10 * SECOND).await;
            // The server still has the other end of the first, which it hears of now.
            let before = event_loop.time();
            open(&event_loop, "server:7").await?;
            assert!(event_loop.time() - before >= SECOND);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_port_whose_connections_were_ended_is_bound_again_if_both_allow_that() {
    for (before, after) in [(false, false), (false, true), (true, false), (true, true)] {
        let simulation = Simulation::new(1);
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        client.start(async |event_loop| {
            event_loop.sleep(SECOND).await;
            let (mut reader, _writer) = open(&event_loop, "server:7").await?;
            assert_eq!(reader.read_line().await?, None);
            Ok(())
        });
        server
            .run(async move |event_loop| {
                let listener = event_loop.listen("0.0.0.0:7").reuse_address(before).await?;
                let (_, writer) = listener.accept().await?;
                writer.close();
                event_loop.sleep(SECOND).await;
                drop(listener);
                event_loop.sleep(SECOND).await;
                let again = event_loop.listen("0.0.0.0:7").reuse_address(after).await;
                assert_eq!(again.is_ok(), before && after, "{before} {after}");
                match again {
                    Ok(listener) => drop(listener),
                    other => assert_kind(other, ErrorKind::AddrInUse),
                }
                event_loop.sleep(SECOND).await;
                // At another address nobody has it.
                event_loop.listen("127.0.0.1:7").reuse_address(false).await?;
                event_loop.sleep(60 * SECOND).await;
                event_loop.listen("0.0.0.0:7").reuse_address(false).await?;
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn a_kernel_keeps_the_ports_of_a_killed_program_and_forgets_them_in_a_crash() {
    for is_crash in [false, true] {
        let simulation = Simulation::new(1);
        let (server, client) = (simulation.host("server"), simulation.host("client"));
        let outcomes: Rc<RefCell<Vec<_>>> = Rc::default();
        let told = Rc::clone(&outcomes);
        server.serve(async move |event_loop| {
            let listener = event_loop.listen("0.0.0.0:7").reuse_address(false).await;
            told.borrow_mut().push(listener.as_ref().err().and_then(Error::io_kind));
            let Ok(listener) = listener else { return Ok(()) };
            let _kept = listener.accept().await?;
            std::future::pending().await
        });
        client.serve(async |event_loop| {
            let (mut reader, _writer) = open(&event_loop, "server:7").await?;
            assert!(reader.read_line().await.is_ok_and(|line| line.is_none()));
            Ok(())
        });
        simulation.run_for(SECOND).unwrap();
        if is_crash {
            server.crash();
        } else {
            server.kill();
        }
        simulation.run_for(SECOND).unwrap();
        server.restart();
        simulation.run_for(SECOND).unwrap();
        let again = if is_crash { None } else { Some(ErrorKind::AddrInUse) };
        assert_eq!(*outcomes.borrow(), [None, again]);
    }
}

#[test]
fn connections_from_a_port_of_the_programs_choice_are_told_apart_by_both_addresses() {
    let (_simulation, _, client) = hosts(1);
    client
        .run(async |event_loop| {
            let from = "10.0.0.2:5000";
            let first = open_from(&event_loop, from, "server:7").await?;
            let again = open_from(&event_loop, from, "server:7").await;
            assert_kind(again, ErrorKind::AddrNotAvailable);
            let other = open_from(&event_loop, from, "server:8").await?;
            other.abort();
            let strict = event_loop.listen("0.0.0.0:5000").reuse_address(false).await;
            assert_kind(strict, ErrorKind::AddrInUse);
            // Both allow it.
            let listener = event_loop.listen("0.0.0.0:5000").await?;
            let from_listener = open_from(&event_loop, from, "server:8").await;
            assert_kind(from_listener, ErrorKind::AddrInUse);
            drop(listener);
            first.close();
            event_loop.sleep(SECOND).await;
            // Timestamps tell it from the first.
            open_from(&event_loop, from, "server:7").await?.abort();
            // Who let the kernel choose did not allow it.
            let (_reader, chosen) = open(&event_loop, "server:7").await?;
            let from = format!("10.0.0.2:{}", port_of(&chosen));
            assert_kind(open_from(&event_loop, &from, "server:8").await, ErrorKind::AddrInUse);
            let there = event_loop.listen(from).await;
            assert_kind(there, ErrorKind::AddrInUse);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_connection_of_a_former_life_is_reset_when_its_addresses_are_used_again() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    let ends: Rc<RefCell<Vec<_>>> = Rc::default();
    let told = Rc::clone(&ends);
    server.serve(async move |event_loop| {
        let listener = event_loop.listen("0.0.0.0:7").await?;
        loop {
            let (mut reader, writer) = listener.accept().await?;
            let told = Rc::clone(&told);
            let held = async move {
                let end = reader.read_line().await.map(|line| line.map(str::to_owned));
                told.borrow_mut().push(end.map_err(|error| error.io_kind()));
                drop(writer);
            };
            event_loop.create_task(held).detach();
        }
    });
    let took: Rc<RefCell<Vec<_>>> = Rc::default();
    let times = Rc::clone(&took);
    client.serve(async move |event_loop| {
        let before = event_loop.time();
        let writer = open_from(&event_loop, "10.0.0.2:5000", "server:7").await?;
        times.borrow_mut().push(event_loop.time() - before);
        if times.borrow().len() == 2 {
            writer.write_all(b"hello\n").await?;
        }
        std::future::pending::<()>().await;
        drop(writer);
        Ok(())
    });
    simulation.run_for(SECOND).unwrap();
    client.crash();
    simulation.run_for(SECOND).unwrap();
    client.restart();
    simulation.run_for(5 * SECOND).unwrap();
    // The first request is answered for the former connection, and sent again after a second.
    assert_eq!(*took.borrow(), [2 * MS, SECOND + 3 * MS]);
    let reset = Err(Some(ErrorKind::ConnectionReset));
    assert_eq!(*ends.borrow(), [reset, Ok(Some("hello".to_owned()))]);
}
