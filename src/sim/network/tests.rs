//! What reports about other simulators have said of networks, tried here.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::driver::MulticastInterface;
use crate::error::Result;
use crate::event_loop::EventLoop;
use crate::sim::{Check, ClockOffset, Faults, Host, LinkOptions, Script, Simulation};
use crate::transport::DatagramTransport as _;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Accepts connections, and keeps them.
async fn accept(event_loop: EventLoop) -> Result {
    let listener = event_loop.listen("0.0.0.0:7").await?;
    let mut kept = Vec::new();
    loop {
        kept.push(listener.accept().await?);
    }
}

fn script(text: &str) -> Script {
    text.parse().unwrap()
}

#[test]
fn nothing_of_a_machine_that_has_crashed_is_sent_after_its_restart() {
    for cut in ["cut", "clog"] {
        let simulation = Simulation::new(1);
        simulation.host("server").serve(async |event_loop| {
            let listener = event_loop.listen("0.0.0.0:7").await?;
            loop {
                let (reader, writer) = listener.accept().await?;
                event_loop.sleep(1_100 * MS).await;
                writer.write_all(b"of a former life\n").await?;
                drop((reader, writer));
            }
        });
        // It was to be sent again 0.2 s later.
        let faults = "1 cut server client; 1.2 crash server; 1.25 restart server; 1.26 heal";
        simulation.script(script(&faults.replace("cut", cut)));
        let heard = simulation.host("client").run(async |event_loop| {
            let (mut reader, writer) = event_loop.open_connection("server:7").await?;
            let first = crate::timeout(60 * SECOND, reader.read_line()).await;
            assert!(first.is_err(), "{first:?}");
            writer.write_all(b"who is there?\n").await?;
            Ok(reader.read_line().await.map(|_| ()).map_err(|error| error.io_kind()))
        });
        assert_eq!(heard.unwrap(), Err(Some(ErrorKind::ConnectionReset)), "{cut}");
    }
}

#[test]
fn a_connect_whose_answer_was_lost_with_its_machine_is_asked_for_again() {
    let connect = |faults: &str| {
        let simulation = Simulation::new(1);
        simulation.host("server").serve(accept);
        simulation.script(script(faults));
        let outcome = simulation.host("client").run(async |event_loop| {
            event_loop.sleep(MS).await;
            let connecting = event_loop.open_connection("server:7").timeout(None);
            Ok(connecting.await.map(|_| ()).map_err(|error| error.io_kind()))
        });
        (outcome.unwrap(), simulation.elapsed())
    };
    let (outcome, after) =
        connect("0 cut server client; 0.5 crash server; 5 restart server; 5 heal");
    assert_eq!(outcome, Ok(()));
    assert!(after > 5 * SECOND && after < 10 * SECOND, "{after:?}");
    let (outcome, after) = connect("0 cut server client; 0.5 crash server");
    assert_eq!(outcome, Err(Some(ErrorKind::TimedOut)));
    assert!(after >= 127 * SECOND && after < 130 * SECOND, "{after:?}");
}

#[test]
fn who_waits_for_room_hears_of_a_crash() {
    let write = |faults: &str, pause: Duration| {
        let simulation = Simulation::new(1);
        simulation.host("server").serve(async move |event_loop| {
            let listener = event_loop.listen("0.0.0.0:7").await?;
            let (mut reader, _writer) = listener.accept().await?;
            loop {
                reader.read(&mut [0; 1_000]).await?;
                event_loop.sleep(pause).await;
            }
        });
        simulation.script(script(faults));
        let outcome = simulation.host("client").run(async |event_loop| {
            let (_reader, writer) = event_loop.open_connection("server:7").await?;
            let written = writer.write_all(&[7; 4_000_000]).await;
            Ok(written.map_err(|error| error.io_kind()))
        });
        (outcome.unwrap(), simulation.elapsed())
    };
    let (outcome, after) = write("2 crash server; 3 restart server", 3_600 * SECOND);
    assert_eq!(outcome, Err(Some(ErrorKind::ConnectionReset)));
    assert!(after > 3 * SECOND && after < 5 * SECOND, "{after:?}");
    // Also if the news of room was lost before, and with it all that the machine would have said.
    for faults in ["2 crash server", "1 cut server client; 1.5 crash server"] {
        let (outcome, after) = write(faults, 20 * MS);
        assert_eq!(outcome, Err(Some(ErrorKind::TimedOut)), "{faults}");
        assert!(after > 900 * SECOND && after < 940 * SECOND, "{faults}: {after:?}");
    }
}

#[test]
fn a_machine_whose_program_was_killed_can_crash() {
    let simulation = Simulation::new(1);
    simulation.host("server").serve(accept);
    simulation.script(script("1 kill server; 3 crash server"));
    let client = simulation.host("client");
    for expected in [ErrorKind::ConnectionRefused, ErrorKind::TimedOut] {
        simulation.run_for(2 * SECOND).unwrap();
        let outcome = client.run(async |event_loop| {
            let connecting = event_loop.open_connection("server:7").timeout(None);
            Ok(connecting.await.map(|_| ()).map_err(|error| error.io_kind()))
        });
        assert_eq!(outcome.unwrap(), Err(Some(expected)));
    }
}

const LENGTH: usize = 100_000;

fn byte(index: usize) -> u8 {
    (index % 251) as u8
}

/// Streams from a client to a server, and how long each was.
fn stream(simulation: &Simulation, time: Duration) -> Result<Vec<usize>> {
    simulation.links(LinkOptions::new().latency(MS..=700 * MS).loss(0.05).split(0.3));
    let lengths = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&lengths);
    simulation.host("server").serve(async move |event_loop| {
        let listener = event_loop.listen("0.0.0.0:7").await?;
        loop {
            let (mut reader, _writer) = listener.accept().await?;
            let kept = Rc::clone(&kept);
            let receive = async move {
                let (mut buffer, mut length) = ([0; 4_096], 0);
                while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                    for (index, found) in buffer[..count].iter().enumerate() {
                        assert_eq!(*found, byte(length + index), "at {}", length + index);
                    }
                    length += count;
                }
                kept.borrow_mut().push(length);
            };
            event_loop.create_task(receive).detach();
        }
    });
    simulation.host("client").serve(async |event_loop| {
        let all: Vec<u8> = (0..LENGTH).map(byte).collect();
        let connecting = event_loop.open_connection("server:7").timeout(None);
        // Without a server, or cut short.
        let Ok((_reader, writer)) = connecting.await else { return Ok(()) };
        if writer.write_all(&all).await.is_ok() {
            writer.write_eof();
            event_loop.sleep(3_000 * SECOND).await;
        }
        Ok(())
    });
    simulation.run_for(time)?;
    Ok(lengths.take())
}

#[test]
fn streams_are_whole_whatever_links_do() {
    let faults = Faults::of_links().every(300 * MS).until(10 * SECOND);
    Check::new().seeds(10).faults(faults).run(|simulation| {
        let lengths = stream(simulation, 600 * SECOND)?;
        if lengths == [LENGTH] { Ok(()) } else { Err(format!("{lengths:?}").into()) }
    });
}

#[test]
fn what_comes_of_a_stream_is_a_beginning_of_it_whatever_happens() {
    let faults = Faults::all().every(300 * MS).until(10 * SECOND);
    Check::new().seeds(10).faults(faults).run(|simulation| {
        let lengths = stream(simulation, 600 * SECOND)?;
        if lengths.iter().all(|length| *length <= LENGTH) { Ok(()) } else { Err("more".into()) }
    });
}

#[test]
fn datagrams_to_groups_and_broadcasts_pass_over_links() {
    let group: SocketAddr = "239.1.1.1:9".parse().unwrap();
    let everybody: SocketAddr = "255.255.255.255:9".parse().unwrap();
    for (to, bound) in [(group, "0.0.0.0:9"), (group, "239.1.1.1:9"), (everybody, "0.0.0.0:9")] {
        let simulation = Simulation::new(1);
        simulation.links(LinkOptions::new().latency(50 * MS..=50 * MS));
        let heard = Rc::new(RefCell::new(Vec::new()));
        let (kept, clock) = (Rc::clone(&heard), simulation.clone());
        simulation.host("receiver").serve(async move |event_loop| {
            let socket = event_loop.open_datagram_endpoint().local_address(bound);
            let mut socket = socket.await?;
            if to.ip().is_multicast() {
                socket.transport().join_multicast(to.ip(), MulticastInterface::Any)?;
            }
            while let Some(datagram) = socket.next().await {
                kept.borrow_mut().push((datagram?.0[0], clock.elapsed()));
            }
            Ok(())
        });
        let deaf = Rc::new(Cell::new(true));
        let hears = Rc::clone(&deaf);
        simulation.host("deaf").serve(async move |event_loop| {
            let mut socket =
                event_loop.open_datagram_endpoint().local_address("127.0.0.1:9").await?;
            if to.ip().is_multicast() {
                socket.transport().join_multicast(to.ip(), MulticastInterface::Any)?;
            }
            while socket.next().await.is_some() {
                hears.set(false);
            }
            Ok(())
        });
        simulation.host("sender").start(async move |event_loop| {
            let socket = event_loop.open_datagram_endpoint().broadcast(true);
            let socket = socket.local_address("0.0.0.0:9").await?;
            for number in 1..=3 {
                event_loop.sleep(SECOND).await;
                socket.send_to(&[number], &to.into()).await?;
            }
            event_loop.sleep(SECOND).await;
            Ok(())
        });
        simulation.script(script("1.5 cut sender receiver; 2.5 heal"));
        simulation.run().unwrap();
        let expected = [(1, 1_050 * MS), (3, 3_050 * MS)];
        assert_eq!(*heard.borrow(), expected, "to {to}, at {bound}");
        assert!(deaf.get(), "a loopback address of another host was reached from {to}");
    }
}

#[test]
fn sockets_at_every_address_send_from_that_of_their_host() {
    let simulation = Simulation::new(1);
    let server = simulation.host("server");
    server.serve(accept);
    let heard = Rc::new(Cell::new(false));
    let hears = Rc::clone(&heard);
    server.serve(async move |event_loop| {
        let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
        while socket.next().await.is_some() {
            hears.set(true);
        }
        Ok(())
    });
    simulation.host("client").start(async |event_loop| {
        event_loop.sleep(MS).await;
        let connecting = event_loop.open_connection("server:7").local_address("0.0.0.0:5555");
        let (_reader, writer) = connecting.await?;
        let own = writer.info().local_address().map(ToString::to_string);
        assert_eq!(own.as_deref(), Some("10.0.0.2:5555"));
        let connecting = event_loop.open_connection("server:7").local_address("127.0.0.1:0");
        let error = connecting.await.map(|_| ()).unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::InvalidInput));
        let socket = event_loop.open_datagram_endpoint().local_address("127.0.0.1:0").await?;
        let server: SocketAddr = "10.0.0.1:9".parse()?;
        // Whether it is told at once is the endpoint's to say.
        let _ = socket.send_to(b"from nowhere", &server.into()).await;
        Ok(())
    });
    simulation.run().unwrap();
    // There and back: what comes from every address passes over the link, too.
    assert_eq!(simulation.elapsed(), 3 * MS);
    simulation.run_for(SECOND).unwrap();
    assert!(!heard.get());
}

#[test]
fn a_port_of_every_address_is_no_other_sockets() {
    let in_use = Some(ErrorKind::AddrInUse);
    let simulation = Simulation::new(1);
    let listens = async move |event_loop: EventLoop| {
        for (one, other) in [("0.0.0.0:7", "10.0.0.1:7"), ("127.0.0.1:8", "0.0.0.0:8")] {
            let kept = event_loop.listen(one).await?;
            let second = event_loop.listen(other).await.map(|_| ()).unwrap_err();
            assert_eq!(second.io_kind(), in_use, "{other} beside {one}");
            let _socket = event_loop.open_datagram_endpoint().local_address(one).await?;
            let second = event_loop.open_datagram_endpoint().local_address(other).await;
            assert_eq!(second.map(|_| ()).unwrap_err().io_kind(), in_use, "{other} beside {one}");
            drop(kept);
            event_loop.sleep(MS).await;
            event_loop.listen(other).await?;
        }
        let _all = event_loop.listen("0.0.0.0:9").await?;
        event_loop.listen("[::]:9").await?;
        event_loop.listen("10.0.0.1:10").await?;
        Ok(())
    };
    simulation.host("one").run(listens).unwrap();
    let other = simulation.host("other").run(async |event_loop| {
        event_loop.listen("0.0.0.0:7").await?;
        Ok(())
    });
    other.unwrap();
}

#[test]
fn a_link_has_options_of_its_own_both_ways() {
    let simulation = Simulation::new(1);
    let [one, other, third] = ["one", "other", "third"].map(|name| simulation.host(name));
    simulation.link(&one, &other, LinkOptions::new().latency(50 * MS..=50 * MS));
    simulation.links(LinkOptions::new().latency(2 * MS..=2 * MS));
    one.serve(accept);
    other.serve(accept);
    let connect = |from: &Host, address: &'static str| {
        let began = simulation.elapsed();
        let open = async move |event_loop: EventLoop| {
            let _connection = event_loop.open_connection(address).await?;
            Ok(())
        };
        from.run(open).unwrap();
        simulation.elapsed() - began
    };
    assert_eq!(connect(&one, "other:7"), 100 * MS);
    assert_eq!(connect(&other, "one:7"), 100 * MS);
    assert_eq!(connect(&third, "one:7"), 4 * MS);
}

#[test]
fn a_callback_of_the_test_that_panics_ends_the_simulation() {
    let simulation = Simulation::new(1);
    simulation.after(SECOND, |_| panic!("an assertion"));
    let error = simulation.run_for(2 * SECOND).unwrap_err().to_string();
    assert!(
        error.starts_with("the simulation at 1s: ") && error.ends_with("an assertion"),
        "{error}"
    );
}

#[test]
fn programs_that_let_no_time_pass_end_the_simulation() {
    let simulation = Simulation::new(1);
    simulation.patience(1_000);
    let program = async |event_loop: EventLoop| {
        event_loop.sleep(SECOND).await;
        loop {
            event_loop.sleep(Duration::ZERO).await;
        }
    };
    simulation.host("impatient").start(program);
    let error = simulation.run().unwrap_err().to_string();
    assert!(error.starts_with("at 1s: ") && error.contains("time does not pass"), "{error}");
    // Two that answer each other over links that take no time.
    let simulation = Simulation::new(1);
    simulation.patience(1_000);
    simulation.links(LinkOptions::new().latency(Duration::ZERO..=Duration::ZERO));
    for (name, peer) in [("first", "10.0.0.2:9"), ("second", "10.0.0.1:9")] {
        simulation.host(name).serve(async move |event_loop| {
            let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
            let peer = peer.parse::<SocketAddr>()?.into();
            event_loop.sleep(SECOND).await;
            socket.send_to(b"you first", &peer).await?;
            while socket.next().await.is_some() {
                socket.send_to(b"no, you", &peer).await?;
            }
            Ok(())
        });
    }
    let error = simulation.run_for(2 * SECOND).unwrap_err().to_string();
    assert!(error.starts_with("at 1s: ") && error.contains("time does not pass"), "{error}");
}

#[test]
fn times_that_are_too_long_are_the_longest() {
    let simulation = Simulation::new(1);
    let host = simulation.host("a");
    host.set_clock(ClockOffset::Ahead(Duration::MAX));
    assert!(host.date() > std::time::SystemTime::UNIX_EPOCH);
    simulation.run_for(SECOND).unwrap();
    let error = simulation.run_for(Duration::MAX).unwrap_err().to_string();
    assert!(error.contains("it was not over after 3600s"), "{error}");
}
