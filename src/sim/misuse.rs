//! Programs and tests that ask for too much, for nonsense, or at the wrong moment.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::{Check, ClockOffset, Fault, Faults, Host, LinkOptions, Script, Simulation};
use crate::error::Result;
use crate::event_loop::EventLoop;

const SECOND: Duration = Duration::from_secs(1);

async fn echo(event_loop: EventLoop) -> Result {
    let listener = event_loop.listen("0.0.0.0:7").await?;
    loop {
        let (mut reader, writer) = listener.accept().await?;
        let line = reader.read_line().await?.unwrap_or_default().to_owned();
        writer.write_all(format!("{line}\n").as_bytes()).await?;
    }
}

async fn ask(event_loop: &EventLoop) -> Result<String> {
    let (mut reader, writer) = event_loop.open_connection("server:7").await?;
    writer.write_all(b"hello\n").await?;
    Ok(reader.read_line().await?.ok_or("no answer")?.to_owned())
}

/// Does something when it is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn a_script_of_the_scenario_is_made_smaller_and_one_that_cannot_be_ends_the_search() {
    let scenario = |simulation: &Simulation| {
        let script = Script::new()
            .at(SECOND, Fault::Heal)
            .at(SECOND, Fault::Loss(0.5))
            .at(2 * SECOND, Fault::Recover);
        simulation.script(script);
        simulation.run_for(3 * SECOND)?;
        let text = simulation.trace().to_string();
        if text.contains("loss") { Err("lost".into()) } else { Ok(()) }
    };
    let failure = Check::new().seeds(1).threads(1).find(scenario).unwrap_err();
    assert_eq!(failure.script.to_string(), "1 loss 0.5; 2 recover");
    // Another one follows, which is not that of the check.
    let stubborn = |simulation: &Simulation| {
        simulation.run_for(SECOND)?;
        simulation.script(Script::new().at(SECOND, Fault::Loss(f64::NAN)));
        simulation.run_for(2 * SECOND)?;
        Err("always".into())
    };
    let failure = Check::new().seeds(1).threads(1).find(stubborn).unwrap_err();
    assert_eq!(failure.script.events().len(), 1);
}

#[test]
fn times_without_end_are_no_panics() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("server"), simulation.host("client"));
    server.serve(echo);
    client.run(async |event_loop| ask(&event_loop).await).unwrap();
    // The limit comes first.
    assert!(simulation.run_for(Duration::MAX).unwrap_err().to_string().contains("not over"));
    simulation.limit(Duration::MAX);
    for bandwidth in [None, Some(0), Some(1), Some(u64::MAX)] {
        let options = LinkOptions::new().latency(Duration::MAX..=Duration::MAX);
        simulation.links(options.bandwidth(bandwidth));
        let done = Rc::new(Cell::new(false));
        let set = Rc::clone(&done);
        client.serve(async move |event_loop| {
            let asked = crate::timeout(60 * SECOND, ask(&event_loop)).await;
            set.set(!matches!(asked, Ok(Ok(_))));
            Ok(())
        });
        simulation.run_for(61 * SECOND).unwrap();
        assert!(done.get(), "{bandwidth:?}");
    }
    simulation.after(Duration::MAX, |_| unreachable!("time has ended before"));
    simulation.faults(Faults::all().every(Duration::MAX).until(Duration::MAX));
    simulation.run_for(SECOND).unwrap();
    simulation.script(Script::new().at(Duration::MAX, Fault::Heal));
    simulation.run_for(SECOND).unwrap();
}

#[test]
fn faults_without_end_begin_all_the_same() {
    let simulation = Simulation::new(1);
    simulation.host("one");
    simulation.host("other");
    simulation.faults(Faults::all().until(Duration::MAX));
    simulation.run_for(60 * SECOND).unwrap();
    let faults = simulation.trace().script().events().len();
    assert!(faults <= 1_000_000, "{faults}");
}

#[test]
fn clocks_are_set_as_far_as_dates_go() {
    let simulation = Simulation::new(1);
    let host = simulation.host("host");
    let epoch = SystemTime::UNIX_EPOCH;
    host.set_clock(ClockOffset::Behind(Duration::MAX));
    assert_eq!(host.date(), epoch, "no earlier");
    host.set_clock(ClockOffset::Ahead(Duration::MAX));
    assert!(host.date() > epoch + 1_000_000_000 * SECOND);
    for seconds in [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN] {
        simulation.apply(&Fault::Clock("host".into(), seconds));
        assert_eq!(host.date() == epoch, seconds < 0.0, "{seconds}");
    }
    host.set_clock(ClockOffset::Ahead(Duration::ZERO));
    let date = host.date();
    simulation.apply(&Fault::Clock("host".into(), f64::NAN));
    assert_eq!(host.date(), date, "no number is no offset");
}

#[test]
fn hosts_can_end_and_restart_themselves_and_others_anywhere() {
    let acts: [fn(&Host); 4] = [Host::crash, Host::kill, Host::restart, |host| {
        host.kill();
        host.restart();
    }];
    for act in acts {
        let simulation = Simulation::new(1);
        let host = simulation.host("host");
        let (own, acted) = (host.clone(), Rc::new(Cell::new(0)));
        let count = Rc::clone(&acted);
        host.serve(async move |event_loop| {
            if count.replace(count.get() + 1) < 3 {
                let again = own.clone();
                // In drop code too, which runs while the host ends.
                let _on_drop = OnDrop(move || act(&again));
                event_loop.sleep(SECOND).await;
                act(&own);
            }
            event_loop.sleep(SECOND).await;
            Ok(())
        });
        simulation.run_for(10 * SECOND).unwrap();
        assert!(acted.get() >= 1);
        host.restart();
        assert!(host.is_on());
        simulation.run_for(10 * SECOND).unwrap();
    }
}

#[test]
fn a_simulation_may_be_dropped_in_the_middle_of_its_run() {
    type Kept = Rc<RefCell<Option<Simulation>>>;
    let places: [fn(Kept, &Simulation); 3] = [
        |kept, simulation| {
            simulation.after(SECOND, move |_| drop(kept.take()));
        },
        |kept, simulation| {
            simulation.host("host").serve(async move |event_loop| {
                event_loop.sleep(SECOND).await;
                drop(kept.take());
                Ok(())
            });
        },
        |kept, simulation| {
            simulation.host("host").serve(async move |event_loop| {
                let kept = Rc::clone(&kept);
                event_loop.call_later(SECOND, move || {
                    drop(kept.take());
                    panic!("after the end");
                });
                std::future::pending().await
            });
        },
    ];
    for place in places {
        let simulation = Simulation::new(1);
        let clone = simulation.clone();
        place(Rc::new(RefCell::new(Some(simulation))), &clone);
        let _ = clone.run_for(3 * SECOND);
        assert!(clone.hosts().is_empty());
        assert!(clone.run_for(SECOND).is_err());
        assert!(clone.settle().is_err());
    }
}

#[test]
fn drop_code_at_the_end_may_use_hosts_and_the_simulation() {
    let simulation = Simulation::new(1);
    let clone = simulation.clone();
    let host = simulation.host("host");
    let (kept, calls) = (host.clone(), Rc::new(Cell::new(0)));
    let count = Rc::clone(&calls);
    let on_drop = OnDrop(move || {
        count.set(count.get() + 1);
        kept.serve(async |_| Ok(()));
        kept.restart();
        kept.disk();
        clone.host("late").serve(async |_| Ok(()));
        clone.after(SECOND, |_| ());
        clone.end_faults();
        let _ = (clone.run(), clone.settle(), kept.run(async |_| Ok(())));
    });
    host.serve(async move |_| {
        let _ = &on_drop;
        std::future::pending().await
    });
    simulation.run_for(SECOND).unwrap();
    drop(simulation);
    assert_eq!(calls.get(), 1);
    assert!(!host.is_on());
}

#[test]
fn a_program_cannot_run_its_simulation_and_can_run_no_other() {
    let simulation = Simulation::new(1);
    let (clone, host) = (simulation.clone(), simulation.host("host"));
    let inner = host.clone();
    let seen = host.run(async move |_| {
        let other = Simulation::new(2);
        let outcomes = [
            clone.run().is_err(),
            clone.run_for(SECOND).is_err(),
            clone.settle().is_err(),
            inner.run(async |_| Ok(())).is_err(),
            other.run_for(SECOND).is_err(),
        ];
        Ok(outcomes)
    });
    assert_eq!(seen.unwrap(), [true; 5]);
    simulation.run_for(SECOND).unwrap();
}

#[test]
fn two_simulations_of_one_thread_do_not_disturb_each_other() {
    let begin = |seed| {
        let simulation = Simulation::new(seed);
        simulation.links(LinkOptions::new().latency(SECOND / 1000..=SECOND / 20).loss(0.2));
        simulation.host("server").serve(echo);
        simulation.host("client").serve(async |event_loop| {
            loop {
                ask(&event_loop).await?;
            }
        });
        simulation
    };
    let alone = begin(1);
    alone.run_for(20 * SECOND).unwrap();
    let (one, other) = (begin(1), begin(2));
    for _ in 0..20 {
        one.run_for(SECOND).unwrap();
        other.run_for(SECOND).unwrap();
    }
    drop(other);
    let count = one.trace().count();
    assert!(count > 100, "{count}");
    assert_eq!(one.elapsed(), alone.elapsed());
}

#[test]
fn names_of_hosts_are_compared_as_resolvers_do() {
    let simulation = Simulation::new(1);
    let host = simulation.host("server");
    assert_eq!(simulation.host("Server").ipv4(), host.ipv4());
    assert_eq!(simulation.host("SERVER.").ipv4(), host.ipv4());
    simulation.apply(&Fault::Kill("Server".into()));
    assert!(!host.is_on());
    for name in ["", ".", "two words", "a;b", "it's", "a:7", "localhost", "10.0.0.1", "::1"] {
        let made = crate::fence::run(|| Simulation::new(1).host(name).ipv4());
        assert!(made.is_err(), "{name}");
    }
}

#[test]
fn any_text_is_a_script_that_says_what_it_is_or_an_error() {
    let words = [
        "0",
        "1.5",
        "-1",
        "1e300",
        "NaN",
        "inf",
        "-inf",
        "1e-9",
        "18446744073709551615",
        "cut",
        "clog",
        "join",
        "heal",
        "loss",
        "crash",
        "kill",
        "restart",
        "pause",
        "resume",
        "clock",
        "disk",
        "recover",
        "full",
        "rot",
        "well",
        "short-reads",
        "a",
        "b",
        "",
        " ",
        ";",
        ";;",
        "\n",
        "\t",
        "\u{0}",
        "\u{202e}",
        "é",
        "0.5",
        "2",
        "0x1",
        "1_000",
    ];
    let mut random = fastrand::Rng::with_seed(1);
    let mut valid = 0;
    for _ in 0..crate::testing::cases(30_000) {
        let count = random.usize(1..9);
        let text: Vec<&str> = (0..count).map(|_| words[random.usize(..words.len())]).collect();
        let text = text.join(if random.bool() { " " } else { "; " });
        if let Ok(script) = text.parse::<Script>() {
            let again: Script = script.to_string().parse().unwrap();
            assert_eq!(again, script, "{text:?}");
            valid += usize::from(!script.events().is_empty());
        }
    }
    assert!(valid > 50, "{valid}");
    for text in [
        "1 loss NaN",
        "1 loss 2",
        "1 loss -1",
        "1 clock a inf",
        "NaN heal",
        "-1 heal",
        "1e300 heal",
    ] {
        assert!(text.parse::<Script>().is_err(), "{text}");
    }
}

#[test]
fn a_clogged_link_holds_so_many_datagrams() {
    let simulation = Simulation::new(1);
    let received = Rc::new(Cell::new(0));
    let count = Rc::clone(&received);
    simulation.host("sink").serve(async move |event_loop| {
        let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
        while socket.next().await.is_some() {
            count.set(count.get() + 1);
        }
        Ok(())
    });
    let source = simulation.host("source");
    let send = |count: usize| {
        source.run(async move |event_loop| {
            let socket = event_loop.open_datagram_endpoint().peer_address("sink:9").await?;
            for _ in 0..count {
                socket.send(b"hello").await?;
            }
            event_loop.sleep(SECOND).await;
            Ok(())
        })
    };
    for _ in 0..2 {
        received.set(0);
        simulation.apply(&Fault::Clog("source".into(), "sink".into()));
        send(3_000).unwrap();
        simulation.apply(&Fault::Heal);
        simulation.run_for(SECOND).unwrap();
        assert_eq!(received.get(), 1_000);
    }
    send(500).unwrap();
    assert_eq!(received.get(), 1_500);
}
