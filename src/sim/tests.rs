//! Simulations of small programs.

mod keep_alive;
mod ports;
mod resets;
mod signals;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::{Check, ClockOffset, Fault, Faults, Host, LinkOptions, Script, Simulation};
use crate::error::{Failure, Result};
use crate::event_loop::EventLoop;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Sends back each line.
async fn echo(event_loop: EventLoop) -> Result {
    let listener = event_loop.listen("0.0.0.0:7").await?;
    loop {
        let (mut reader, writer) = listener.accept().await?;
        event_loop
            .create_task(async move {
                // Whoever breaks off is gone.
                while let Ok(Some(line)) = reader.read_line().await {
                    if writer.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                        break;
                    }
                }
            })
            .detach();
    }
}

async fn ask(event_loop: &EventLoop, line: &str) -> Result<String> {
    let (mut reader, writer) = event_loop.open_connection("server:7").await?;
    writer.write_all(format!("{line}\n").as_bytes()).await?;
    let answer = reader.read_line().await?.ok_or("no answer")?;
    Ok(answer.to_owned())
}

fn with_server(seed: u64) -> (Simulation, Host, Host) {
    let simulation = Simulation::new(seed);
    let server = simulation.host("server");
    server.serve(echo);
    let client = simulation.host("client");
    (simulation, server, client)
}

#[test]
fn equal_seeds_run_equally_and_others_do_not() {
    let run = |seed| {
        let (simulation, _, client) = with_server(seed);
        simulation.links(LinkOptions::new().latency(MS..=50 * MS).loss(0.1).split(0.5));
        client
            .run(async |event_loop| {
                for _ in 0..20 {
                    ask(&event_loop, "hello").await?;
                }
                Ok(())
            })
            .unwrap();
        (simulation.trace().fingerprint(), simulation.trace().to_string())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}

#[test]
fn a_stream_survives_a_partition_of_minutes_and_not_one_of_twenty() {
    for (minutes, survives) in [(5, true), (20, false)] {
        let (simulation, server, client) = with_server(1);
        let cut = Rc::new(Cell::new(false));
        let is_cut = Rc::clone(&cut);
        let outcome = Rc::new(RefCell::new(None));
        let told = Rc::clone(&outcome);
        client.start(async move |event_loop| {
            let (mut reader, writer) = event_loop.open_connection("server:7").await?;
            writer.write_all(b"one\n").await?;
            assert_eq!(reader.read_line().await?, Some("one"));
            while !is_cut.get() {
                event_loop.sleep(SECOND).await;
            }
            writer.write_all(b"two\n").await?;
            *told.borrow_mut() = Some(reader.read_line().await.map(|line| line.map(str::to_owned)));
            Ok(())
        });
        let script = Script::new()
            .at(SECOND, Fault::Cut("client".into(), "server".into()))
            .at(minutes * 60 * SECOND, Fault::Heal);
        simulation.script(script);
        simulation.after(SECOND, move |_| cut.set(true));
        simulation.run().unwrap();
        let outcome = outcome.take().unwrap();
        if survives {
            assert_eq!(outcome.unwrap().as_deref(), Some("two"));
            // It was sent again some time after the heal: up to two minutes.
            assert!(simulation.elapsed() < (minutes + 3) * 60 * SECOND);
        } else {
            let error = outcome.unwrap_err();
            assert_eq!(error.io_kind(), Some(std::io::ErrorKind::TimedOut), "{error:#}");
            let took = simulation.elapsed();
            assert!(took > 900 * SECOND && took < 940 * SECOND, "{took:?}");
        }
        drop(server);
    }
}

#[test]
fn connects_are_refused_where_nobody_listens_and_time_out_where_nobody_is() {
    let simulation = Simulation::new(1);
    let client = simulation.host("client");
    let server = simulation.host("server");
    let refused = client
        .run(async |event_loop| {
            let outcome = event_loop.open_connection("server:7").await;
            Ok(outcome.map(|_| ()).unwrap_err().io_kind())
        })
        .unwrap();
    assert_eq!(refused, Some(std::io::ErrorKind::ConnectionRefused));
    assert_eq!(simulation.elapsed(), 2 * MS);
    server.crash();
    let kind = client
        .run(async |event_loop| {
            let connecting = event_loop.open_connection("server:7").timeout(None);
            Ok(connecting.await.map(|_| ()).unwrap_err().io_kind())
        })
        .unwrap();
    assert_eq!(kind, Some(std::io::ErrorKind::TimedOut));
    // As Linux: 1 + 2 + 4 + 8 + 16 + 32 + 64 s.
    assert_eq!(simulation.elapsed(), 2 * MS + 127 * SECOND);
}

/// How a client finds out that its server is gone, and when.
fn lose(end: impl Fn(&Host) + 'static) -> (String, Duration) {
    let (simulation, server, client) = with_server(1);
    simulation.after(10 * SECOND, move |_| end(&server));
    let text = client
        .run(async |event_loop| {
            let (mut reader, writer) = event_loop.open_connection("server:7").await?;
            for _ in 0..100 {
                if writer.write_all(b"hello\n").await.is_err() {
                    return Ok("broken pipe".to_owned());
                }
                match reader.read_line().await {
                    Ok(Some(line)) => assert_eq!(line, "hello"),
                    Ok(None) => return Ok("end".to_owned()),
                    Err(error) => return Ok(format!("{:?}", error.io_kind())),
                }
                event_loop.sleep(SECOND).await;
            }
            Ok("nothing".to_owned())
        })
        .unwrap();
    (text, simulation.elapsed())
}

#[test]
fn a_process_that_is_killed_closes_its_connections_and_a_machine_that_crashes_says_nothing() {
    let (how, after) = lose(Host::kill);
    // The end is there before the next line, which is written all the same: the other side may still read.
    assert_eq!(how, "end");
    assert!(after < 12 * SECOND, "{after:?}");
    let (how, after) = lose(Host::crash);
    assert_eq!(how, "Some(TimedOut)");
    assert!(after > 900 * SECOND, "{after:?}");
    // One that is on again answers with a reset.
    let (how, after) = lose(|server| {
        server.crash();
        server.restart();
    });
    assert_eq!(how, "Some(ConnectionReset)");
    assert!(after < 13 * SECOND, "{after:?}");
}

#[test]
fn programs_begin_anew_when_their_host_is_restarted() {
    let (simulation, server, client) = with_server(1);
    assert_eq!(client.run(async |event_loop| ask(&event_loop, "one").await).unwrap(), "one");
    server.restart();
    assert_eq!(client.run(async |event_loop| ask(&event_loop, "two").await).unwrap(), "two");
    assert_eq!((server.starts(), client.starts()), (2, 1));
    assert!(simulation.elapsed() < SECOND);
}

#[test]
fn a_host_that_stands_still_answers_later() {
    let (simulation, server, client) = with_server(1);
    simulation.run_for(SECOND).unwrap();
    server.pause();
    simulation.after(4 * SECOND, move |_| server.resume());
    assert_eq!(client.run(async |event_loop| ask(&event_loop, "one").await).unwrap(), "one");
    assert!(simulation.elapsed() >= 5 * SECOND && simulation.elapsed() < 6 * SECOND);
}

#[test]
fn what_waits_on_a_clogged_link_arrives_as_soon_as_it_passes_again() {
    let (simulation, server, client) = with_server(1);
    simulation.apply(&Fault::Clog("client".into(), "server".into()));
    simulation.after(5 * SECOND, |simulation| simulation.apply(&Fault::Heal));
    assert_eq!(client.run(async |event_loop| ask(&event_loop, "one").await).unwrap(), "one");
    assert_eq!(simulation.elapsed(), 5 * SECOND + 4 * MS);
    drop(server);
}

#[test]
fn what_was_sent_before_what_is_lost_arrives_in_time() {
    let (simulation, server, client) = with_server(1);
    simulation.links(LinkOptions::new().latency(100 * MS..=100 * MS));
    let (cut, heal) = (Fault::Cut("client".into(), "server".into()), Fault::Heal);
    simulation.script(Script::new().at(350 * MS, cut).at(550 * MS, heal));
    let answered = client.run(async |event_loop| {
        let (mut reader, writer) = event_loop.open_connection("server:7").await?;
        event_loop.sleep(100 * MS).await;
        // At 300 ms, and at 360 ms, when the link is cut.
        writer.write_all(b"one\n").await?;
        event_loop.sleep(60 * MS).await;
        writer.write_all(b"two\n").await?;
        let mut answers = Vec::new();
        for _ in 0..2 {
            let answer = reader.read_line().await?.map(str::to_owned);
            answers.push((answer.ok_or("no answer")?, event_loop.time()));
        }
        Ok(answers)
    });
    let [(one, first), (two, second)] = answered.unwrap().try_into().unwrap();
    assert_eq!((one.as_str(), two.as_str()), ("one", "two"));
    // At 500 ms. What was lost is sent again after 200 ms, when the link is whole.
    assert_eq!(second - first, 260 * MS);
    drop(server);
}

#[test]
fn waiting_for_a_clogged_link_is_no_loss_however_often_links_change() {
    let (simulation, server, client) = with_server(1);
    for second in 1..=60 {
        simulation.after(second * SECOND, |simulation| {
            simulation.apply(&Fault::Clog("client".into(), "server".into()));
        });
    }
    simulation.after(61 * SECOND, |simulation| simulation.apply(&Fault::Heal));
    let outcome = client.run(async |event_loop| {
        let (mut reader, writer) = event_loop.open_connection("server:7").await?;
        event_loop.sleep(2 * SECOND).await;
        writer.write_all(b"one\n").await?;
        Ok(reader.read_line().await?.map(str::to_owned))
    });
    assert_eq!(outcome.unwrap().as_deref(), Some("one"));
    assert!(simulation.elapsed() < 62 * SECOND);
    drop(server);
}

#[test]
fn loopback_and_unix_sockets_stay_within_a_host() {
    let (simulation, server, client) = with_server(1);
    let reach = async |event_loop: &EventLoop, address: &'static str| {
        event_loop.open_connection(address).await.map(|_| ()).map_err(|error| error.io_kind())
    };
    server
        .run(async move |event_loop| {
            reach(&event_loop, "127.0.0.1:7").await.unwrap();
            reach(&event_loop, "10.0.0.1:7").await.unwrap();
            Ok(())
        })
        .unwrap();
    assert_eq!(simulation.elapsed(), Duration::ZERO);
    client
        .run(async move |event_loop| {
            let refused = Err(Some(std::io::ErrorKind::ConnectionRefused));
            assert_eq!(reach(&event_loop, "127.0.0.1:7").await, refused);
            assert_eq!(reach(&event_loop, "10.0.0.1:7").await, Ok(()));
            let unreachable = Err(Some(std::io::ErrorKind::HostUnreachable));
            assert_eq!(reach(&event_loop, "10.9.9.9:7").await, unreachable);
            Ok(())
        })
        .unwrap();
}

#[test]
fn datagrams_are_lost_doubled_and_overtake_each_other() {
    let simulation = Simulation::new(3);
    simulation.links(LinkOptions::new().latency(MS..=100 * MS).loss(0.2).duplication(0.2));
    let received = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&received);
    simulation.host("server").serve(async move |event_loop| {
        let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
        while let Some(datagram) = socket.next().await {
            kept.borrow_mut().push(datagram?.0[0]);
        }
        Ok(())
    });
    let client = simulation.host("client");
    client.start(async |event_loop| {
        let socket = event_loop.open_datagram_endpoint().peer_address("server:9").await?;
        for number in 0..100_u8 {
            socket.send(&[number]).await?;
            event_loop.sleep(10 * MS).await;
        }
        Ok(())
    });
    simulation.run().unwrap();
    simulation.run_for(SECOND).unwrap();
    let received = received.take();
    let mut distinct = received.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 60 && distinct.len() < 95, "{}", distinct.len());
    assert!(received.len() > distinct.len() + 5, "{}", received.len());
    assert!(!received.is_sorted());
}

#[test]
fn a_link_of_limited_bandwidth_takes_its_time_and_is_shared() {
    let (simulation, server, client) = with_server(1);
    simulation.links(LinkOptions::new().bandwidth(100_000));
    let line = "x".repeat(50_000);
    for _ in 0..2 {
        let line = line.clone();
        client.start(async move |event_loop| {
            let (mut reader, writer) = event_loop.open_connection("server:7").await?;
            writer.write_all(format!("{line}\n").as_bytes()).await?;
            reader.read_line().await?;
            Ok(())
        });
    }
    simulation.run().unwrap();
    let took = simulation.elapsed();
    assert!(took >= SECOND && took < 3 * SECOND, "{took:?}");
    drop(server);
}

#[test]
fn wall_clocks_differ_and_timers_do_not_follow_them() {
    let simulation = Simulation::new(1);
    let (one, other) = (simulation.host("one"), simulation.host("other"));
    assert_eq!(one.date(), other.date());
    other.set_clock(ClockOffset::Behind(3_600 * SECOND));
    assert_eq!(one.date().duration_since(other.date()).unwrap(), 3_600 * SECOND);
    let before = other.date();
    let sleeps = async |event_loop: EventLoop| {
        event_loop.sleep(SECOND).await;
        Ok(())
    };
    other.run(sleeps).unwrap();
    assert_eq!(other.date().duration_since(before).unwrap(), SECOND);
}

#[test]
fn a_program_that_fails_and_a_callback_that_panics_end_the_simulation() {
    let simulation = Simulation::new(1);
    simulation.host("a").start(async |event_loop| {
        event_loop.sleep(SECOND).await;
        Err("on purpose".into())
    });
    assert_eq!(simulation.run().unwrap_err().to_string(), "a at 1s: on purpose");
    let simulation = Simulation::new(1);
    simulation.host("b").start(async |event_loop| {
        event_loop.call_later(SECOND, || panic!("a bug"));
        event_loop.sleep(2 * SECOND).await;
        Ok(())
    });
    let error = simulation.run().unwrap_err().to_string();
    assert!(error.starts_with("b at 1s: ") && error.ends_with("a bug"), "{error}");
}

#[test]
fn a_simulation_that_cannot_go_on_or_goes_on_for_ever_says_so() {
    let simulation = Simulation::new(1);
    simulation.host("a").start(async |event_loop| {
        let (_promise, never) = event_loop.create_future::<()>();
        Ok(never.await?)
    });
    simulation.limit(60 * SECOND);
    let error = simulation.run().unwrap_err().to_string();
    assert!(error.contains("it was not over after 60s"), "{error}");
}

#[test]
fn what_fails_is_found_made_small_and_fails_again() {
    // A counter that counts an increment twice when the answer to it was lost.
    let scenario = |simulation: &Simulation| {
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        simulation.host("counter").serve(async move |event_loop| {
            let listener = event_loop.listen("0.0.0.0:7").await?;
            loop {
                let (mut reader, writer) = listener.accept().await?;
                let counted = Rc::clone(&counted);
                event_loop
                    .create_task(async move {
                        if let Ok(Some(_)) = reader.read_line().await {
                            counted.set(counted.get() + 1);
                            let _ = writer.write_all(b"done\n").await;
                        }
                    })
                    .detach();
            }
        });
        let client = simulation.host("client");
        client.start(async |event_loop| {
            for _ in 0..20 {
                loop {
                    let asked = async {
                        let (mut reader, writer) = event_loop.open_connection("counter:7").await?;
                        writer.write_all(b"more\n").await?;
                        Ok::<_, Failure>(reader.read_line().await?.is_some())
                    };
                    if let Ok(Ok(true)) = crate::timeout(SECOND, asked).await {
                        break;
                    }
                    event_loop.sleep(100 * MS).await;
                }
                event_loop.sleep(SECOND).await;
            }
            Ok(())
        });
        simulation.run()?;
        if count.get() == 20 { Ok(()) } else { Err(format!("counted {}", count.get()).into()) }
    };
    let check = Check::new().seeds(1_000).faults(Faults::all().spare("client").spare("counter"));
    let failure = check.find(scenario).unwrap_err();
    // A cut or two, and what ends them.
    assert!(failure.script.events().len() <= 6, "{failure}");
    let simulation = Simulation::new(failure.seed);
    simulation.script(failure.script.to_string().parse().unwrap());
    assert_eq!(scenario(&simulation).unwrap_err().to_string(), failure.error);
    assert_eq!(simulation.trace().tail(40), failure.events);
}

#[test]
fn a_scenario_that_depends_on_more_than_its_seed_is_found() {
    let runs = std::sync::atomic::AtomicU64::new(0);
    let scenario = |simulation: &Simulation| {
        let run = runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        simulation.note(format!("run {run}"));
        Ok(())
    };
    let failure = Check::new().seeds(1).find(scenario).unwrap_err();
    assert!(failure.error.contains("two runs with the same seed differ"), "{failure}");
}

#[test]
fn random_numbers_of_programs_follow_from_the_seed_and_are_others_after_a_restart() {
    let numbers = |seed| {
        let simulation = Simulation::new(seed);
        let (one, other) = (simulation.host("one"), simulation.host("other"));
        let told = Rc::new(RefCell::new(Vec::new()));
        for host in [&one, &other] {
            let told = Rc::clone(&told);
            host.serve(async move |event_loop| {
                told.borrow_mut().extend([event_loop.random_seed(), event_loop.random_seed()]);
                Ok(())
            });
        }
        simulation.run_for(SECOND).unwrap();
        let told_again = Rc::clone(&told);
        one.restart();
        one.serve(async move |event_loop| {
            told_again.borrow_mut().push(event_loop.random_seed());
            Ok(())
        });
        simulation.run_for(SECOND).unwrap();
        told.take()
    };
    let first = numbers(1);
    assert_eq!(first, numbers(1));
    let all: std::collections::BTreeSet<u64> = first.into_iter().chain(numbers(2)).collect();
    assert_eq!(all.len(), 10, "{all:?}");
}
