//! Programs on kernels that do less than they could.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use super::{KernelFault, KernelOptions};
use crate::error::Result;
use crate::event_loop::EventLoop;
use crate::protocol::Protocol;
use crate::sim::{Check, Fault, Faults, LinkOptions, Script, Simulation, TraceEvent};
use crate::{Error, Transport};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Everything of which programs are told nothing, as often as not.
fn rough() -> KernelOptions {
    KernelFault::ALL.into_iter().fold(KernelOptions::new(), |options, fault| {
        let is_told = matches!(fault, KernelFault::NoBuffers | KernelFault::NoDescriptors);
        options.fault(fault, if is_told { 0.0 } else { 0.5 })
    })
}

/// What kernels have done, by the first words.
fn done(simulation: &Simulation) -> BTreeSet<String> {
    let events = simulation.trace().events();
    let done = events.iter().filter_map(|event| match event {
        TraceEvent::Kernel { what, .. } => {
            let words = what.split_whitespace().take_while(|word| word.parse::<u64>().is_err());
            Some(words.collect::<Vec<_>>().join(" "))
        }
        _ => None,
    });
    done.collect()
}

/// Sends back what it gets.
struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

async fn echo(event_loop: EventLoop) -> Result {
    let server = event_loop.create_server(|| Echo, "0.0.0.0:7").await?;
    Ok(server.wait_closed().await?)
}

/// Sends `count` bytes, ends its side, and looks at what comes back.
async fn ask(event_loop: &EventLoop, address: &str, count: u32) -> Result {
    let (mut reader, writer) = loop {
        match event_loop.open_connection(address).await {
            Ok(connection) => break connection,
            Err(error) if error.source_is(Errno::MFILE) => event_loop.sleep(MS).await,
            Err(error) => return Err(error.into()),
        }
    };
    let sent: Vec<u8> = (0..count).flat_map(u32::to_be_bytes).collect();
    let send = async {
        writer.write_all(&sent).await?;
        writer.write_eof();
        Ok::<_, crate::Failure>(())
    };
    let mut received = Vec::new();
    let receive = async {
        loop {
            match reader.read_chunk().await? {
                [] => return Ok::<_, crate::Failure>(()),
                chunk => received.extend_from_slice(chunk),
            }
        }
    };
    let (sent_it, received_it) = futures_lite::future::zip(send, receive).await;
    sent_it?;
    received_it?;
    assert!(sent.starts_with(&received), "other bytes");
    // One that is turned away gets nothing.
    if received.len() == sent.len() { Ok(()) } else { Err("an early end".into()) }
}

trait SourceIs {
    fn source_is(&self, errno: Errno) -> bool;
}

impl SourceIs for Error {
    /// Of a connect, each attempt has an error of its own.
    fn source_is(&self, errno: Errno) -> bool {
        let text = std::io::Error::from(errno).to_string();
        format!("{self:#}").contains(&text)
    }
}

#[test]
fn whatever_kernels_do_streams_bring_what_was_sent() {
    let seen = std::sync::Mutex::new(BTreeSet::new());
    let scenario = |simulation: &Simulation| {
        simulation.kernels(rough());
        simulation.links(LinkOptions::new().latency(MS..=5 * MS).split(0.1));
        let server = simulation.host("server");
        server.serve(echo);
        // Within a host and from without.
        server.start(async |event_loop| ask(&event_loop, "127.0.0.1:7", 5_000).await);
        for name in ["one", "other"] {
            let client = simulation.host(name);
            client.start(async |event_loop| ask(&event_loop, "server:7", 50_000).await);
        }
        simulation.limit(600 * SECOND);
        simulation.run()?;
        seen.lock().unwrap().extend(done(simulation));
        Ok(())
    };
    Check::new().seeds(20).run(scenario);
    let seen = seen.into_inner().unwrap();
    for what in
        ["accept would block", "read moves", "read would block", "write moves", "write would block"]
    {
        assert!(seen.contains(what), "{what}: {seen:?}");
    }
}

#[test]
fn whatever_kernels_do_datagrams_arrive_or_their_sender_is_told() {
    let seen = std::sync::Mutex::new(BTreeSet::new());
    let scenario = |simulation: &Simulation| {
        simulation.kernels(rough().fault(KernelFault::NoBuffers, 0.2));
        let received = Rc::new(RefCell::new(BTreeSet::new()));
        let kept = Rc::clone(&received);
        simulation.host("server").serve(async move |event_loop| {
            let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
            while let Some(datagram) = socket.next().await {
                kept.borrow_mut().insert(datagram?.0[0]);
            }
            Ok(())
        });
        let refused = Rc::new(Cell::new(0));
        let counted = Rc::clone(&refused);
        simulation.host("client").start(async move |event_loop| {
            let mut socket = event_loop.open_datagram_endpoint().peer_address("server:9").await?;
            for number in 0..100_u8 {
                socket.send(&[number]).await?;
            }
            // What was not sent is told to who receives.
            while let Ok(Some(outcome)) = crate::timeout(SECOND, socket.next()).await {
                let error = outcome.map(drop).unwrap_err();
                assert!(error.source_is(Errno::NOBUFS), "{error:#}");
                counted.set(counted.get() + 1);
            }
            Ok(())
        });
        simulation.run()?;
        seen.lock().unwrap().extend(done(simulation));
        assert!(refused.get() > 0, "{}", refused.get());
        assert_eq!(received.borrow().len() + refused.get(), 100);
        Ok(())
    };
    Check::new().seeds(20).run(scenario);
    let seen = seen.into_inner().unwrap();
    for what in ["receive would block", "receive moves", "send would block", "send finds no buffer"]
    {
        assert!(seen.contains(what), "{what}: {seen:?}");
    }
}

#[test]
fn who_is_out_of_descriptors_accepts_when_there_are_some_again() {
    let simulation = Simulation::new(1);
    let server = simulation.host("server");
    // One that listens, one in reserve, and two that are accepted.
    server.set_kernel(KernelOptions::new().descriptors(4));
    server.serve(echo);
    server.start(async |event_loop| {
        event_loop.sleep(SECOND).await;
        for _ in 0..2 {
            let error = event_loop.open_connection("127.0.0.1:7").await.map(drop).unwrap_err();
            assert!(error.source_is(Errno::MFILE), "{error:#}");
            let error = event_loop.create_server(|| Echo, "0.0.0.0:8").await.map(drop).unwrap_err();
            assert!(error.source_is(Errno::MFILE), "{error:#}");
        }
        Ok(())
    });
    simulation.host("first").start(async |event_loop| {
        let first = event_loop.open_connection("server:7").await?;
        let second = event_loop.open_connection("server:7").await?;
        event_loop.sleep(5 * SECOND).await;
        drop((first, second));
        Ok(())
    });
    let turned_away = Rc::new(Cell::new(0));
    for number in 0..5 {
        let counted = Rc::clone(&turned_away);
        simulation.host(&format!("client{number}")).start(async move |event_loop| {
            event_loop.sleep(2 * SECOND).await;
            while ask(&event_loop, "server:7", 1).await.is_err() {
                counted.set(counted.get() + 1);
                event_loop.sleep(100 * MS).await;
            }
            Ok(())
        });
    }
    simulation.limit(60 * SECOND);
    simulation.run().unwrap();
    assert!(simulation.elapsed() >= 5 * SECOND && turned_away.get() > 5, "{}", turned_away.get());
    let short = "server: an incoming connection failed: accepting pauses: the system is short";
    assert!(simulation.trace().to_string().contains(short), "{}", simulation.trace());
}

/// In which order things are done that are due at one instant.
fn order(seed: u64, shuffled: bool) -> Vec<(char, usize)> {
    let simulation = Simulation::new(seed);
    simulation.shuffle(shuffled);
    let done = Rc::new(RefCell::new(Vec::new()));
    let server = simulation.host("server");
    let kept = Rc::clone(&done);
    server.serve(async move |event_loop| {
        let listener = event_loop.listen("0.0.0.0:7").await?;
        loop {
            let (mut reader, _writer) = listener.accept().await?;
            let kept = Rc::clone(&kept);
            let serve = async move {
                while let Ok(Some(line)) = reader.read_line().await {
                    let number = line.parse().unwrap_or(usize::MAX);
                    kept.borrow_mut().push(('s', number));
                }
            };
            event_loop.create_task(serve).detach();
        }
    });
    for number in 0..5 {
        let done = Rc::clone(&done);
        simulation.host(&format!("client{number}")).start(async move |event_loop| {
            let (_reader, writer) = event_loop.open_connection("server:7").await?;
            event_loop.sleep(SECOND).await;
            done.borrow_mut().push(('c', number));
            for _ in 0..2 {
                writer.write_all(format!("{number}\n").as_bytes()).await?;
            }
            event_loop.sleep(SECOND).await;
            Ok(())
        });
    }
    simulation.run().unwrap();
    done.take()
}

#[test]
fn what_happens_at_one_instant_happens_in_any_order_that_follows_from_the_seed() {
    let of = |which: char, order: &[(char, usize)]| -> Vec<usize> {
        order.iter().filter(|(who, _)| *who == which).map(|(_, number)| *number).collect()
    };
    assert_eq!(of('c', &order(1, false)), [0, 1, 2, 3, 4]);
    let orders: Vec<_> = (1..=20).map(|seed| order(seed, true)).collect();
    for which in ['c', 's'] {
        let distinct: BTreeSet<_> = orders.iter().map(|order| of(which, order)).collect();
        assert!(distinct.len() > 10, "{distinct:?}");
    }
    assert_eq!(order(3, true), orders[2]);
}

#[test]
fn kernels_have_faults_by_script_and_at_random() {
    let text = "1 short-reads server 0.5; 2 short-reads server 0; 3 no-buffers server 1; 4 recover";
    let script: Script = text.parse().unwrap();
    assert_eq!(script.events()[0].1, Fault::Kernel("server".into(), KernelFault::ShortReads, 0.5));
    assert_eq!(script.to_string(), text);
    assert!("1 short server 0.5".parse::<Script>().is_err());
    let seen = |simulation: &Simulation| {
        simulation.host("server").serve(echo);
        simulation.host("client").start(async |event_loop| {
            loop {
                // Where descriptors are short, it is turned away.
                let _ = ask(&event_loop, "server:7", 100).await;
                event_loop.sleep(20 * MS).await;
            }
        });
        simulation.run_for(5 * SECOND).unwrap();
        let events = simulation.trace().events();
        let at = events.iter().filter(|event| matches!(event, TraceEvent::Kernel { .. }));
        at.map(TraceEvent::at).collect::<Vec<_>>()
    };
    let simulation = Simulation::new(1);
    simulation.script(script);
    let at = seen(&simulation);
    assert!(at.len() > 5 && at.iter().all(|at| (SECOND..=2 * SECOND).contains(at)), "{at:?}");
    let any = (0..8).any(|seed| {
        let simulation = Simulation::new(seed);
        simulation.faults(Faults::of_kernels().every(200 * MS).until(4 * SECOND));
        seen(&simulation).len() > 20
    });
    assert!(any);
}

#[test]
fn a_connect_to_a_full_backlog_is_sent_again_and_given_up_in_the_end() {
    for (is_resumed, after) in [(true, 3 * SECOND), (false, 127 * SECOND)] {
        let simulation = Simulation::new(1);
        let server = simulation.host("server");
        server.serve(async |event_loop| {
            let server = event_loop.create_server(|| Echo, "0.0.0.0:7").backlog(2).await?;
            Ok(server.wait_closed().await?)
        });
        simulation.run_for(SECOND).unwrap();
        server.pause();
        if is_resumed {
            simulation.after(2_500 * MS, move |_| server.resume());
        }
        let outcomes = Rc::new(RefCell::new(Vec::new()));
        for number in 0..4 {
            let outcomes = Rc::clone(&outcomes);
            simulation.host(&format!("client{number}")).start(async move |event_loop| {
                let began = event_loop.time();
                let connecting = event_loop.open_connection("server:7").timeout(None);
                let failed = connecting.await.map(drop).err().and_then(|error| error.io_kind());
                outcomes.borrow_mut().push((event_loop.time() - began, failed));
                Ok(())
            });
        }
        simulation.run().unwrap();
        let outcomes = outcomes.take();
        let failed = (!is_resumed).then_some(std::io::ErrorKind::TimedOut);
        let at_once = (2 * MS, None);
        assert_eq!(outcomes[..2], [at_once, at_once]);
        assert!(outcomes[2..].iter().all(|(took, how)| *took >= after && *how == failed));
        assert!(outcomes[2..].iter().all(|(took, _)| *took < after + SECOND), "{outcomes:?}");
    }
}

/// How many datagrams of these lengths arrive of 200 each.
fn arriving(options: LinkOptions, lengths: [usize; 2]) -> [usize; 2] {
    let simulation = Simulation::new(1);
    simulation.links(options);
    let received = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&received);
    simulation.host("server").serve(async move |event_loop| {
        let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
        while let Some(datagram) = socket.next().await {
            kept.borrow_mut().push(datagram?.0.len());
        }
        Ok(())
    });
    simulation.host("client").start(async move |event_loop| {
        let socket = event_loop.open_datagram_endpoint().peer_address("server:9").await?;
        for _ in 0..200 {
            for length in lengths {
                socket.send(&vec![0; length]).await?;
            }
            event_loop.sleep(10 * MS).await;
        }
        event_loop.sleep(SECOND).await;
        Ok(())
    });
    simulation.run().unwrap();
    let received = received.take();
    lengths.map(|length| received.iter().filter(|other| **other == length).count())
}

#[test]
fn a_datagram_larger_than_the_mtu_is_lost_with_each_of_its_fragments() {
    let ethernet = LinkOptions::new().mtu(1_500);
    // What fills a packet, and a byte more.
    assert_eq!(arriving(ethernet.clone(), [1_472, 1_473]), [200, 200]);
    assert_eq!(arriving(ethernet.clone().fragments(false), [1_472, 1_473]), [200, 0]);
    let [small, large] = arriving(ethernet.loss(0.1), [100, 14_000]);
    // 0.9, and 0.9 to the power of 10.
    assert!(small > 160 && (40..100).contains(&large), "{small} and {large}");
}
