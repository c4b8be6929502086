//! A coordinator that is replaced while it works.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::join4;
use rustix::process::Signal;
use wharf_executor::client::{Client, ClientOptions};

use crate::support::{Place, is_there, listening, run, until_it_runs};

/// How many tasks; `WHARF_EXECUTOR_TASKS` says another number.
fn count() -> usize {
    std::env::var("WHARF_EXECUTOR_TASKS").map_or(600, |text| text.parse().expect("a number"))
}

#[test]
fn a_restart_under_load_refuses_nobody_loses_nothing_and_runs_nothing_twice() {
    let place = Place::new();
    let coordinator = place.serve(&["--listen", "127.0.0.1:0"]);
    let (unix, tcp) = (listening(&coordinator), listening(&coordinator));
    let _worker = place.work(&["--slots", "4"]);
    run(async |event_loop| {
        let of_tcp = Client::start(&event_loop, [&*tcp], ClientOptions::default())?;
        let of_unix = place.client(&event_loop);
        let long = of_unix.submit("sleep", &3_000).await?;
        until_it_runs(&long).await;
        let (left, slowest) = (Cell::new(count()), Cell::new(Duration::ZERO));
        let submitted = RefCell::new(Vec::new());
        // Each of them submits without a pause, and none sees an error.
        let submit = async |client: &Client| {
            while left.get() > 0 {
                left.set(left.get() - 1);
                let began = Instant::now();
                // Nobody is refused, at any moment.
                event_loop.open_connection(&*tcp).await.expect("it listens");
                let task = client.submit("sha256", &left.get().to_string()).await.expect("taken");
                slowest.set(slowest.get().max(began.elapsed()));
                submitted.borrow_mut().push(task);
            }
        };
        let restart = async {
            for _ in 0..2 {
                let from = left.get();
                while left.get() > 0 && left.get() + count() / 4 > from {
                    wharf::yield_now().await;
                }
                coordinator.signal(Signal::USR2);
                coordinator.line_with(&event_loop, &unix).await;
                coordinator.line_with(&event_loop, &tcp).await;
            }
        };
        join4(submit(&of_tcp), submit(&of_tcp), submit(&of_unix), restart).await;
        let submitted = submitted.into_inner();
        assert_eq!(submitted.len(), count());
        for task in submitted.iter().chain([&long]) {
            let record = task.ended().await?;
            assert_eq!((record.attempts, record.error.is_none()), (1, true), "{record:?}");
        }
        eprintln!("{} tasks; the slowest submit took {:?}", count(), slowest.get());
        Ok(())
    });
    coordinator.signal(Signal::TERM);
    let ending = coordinator.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    assert!(!is_there(&place.path("socket")), "it goes with the last of them");
}

#[test]
fn a_successor_that_does_not_like_its_options_changes_nothing() {
    let place = Place::new();
    std::fs::write(place.path("token"), "secret").unwrap();
    let coordinator = place.serve(&["--token-file", &place.text("token")]);
    listening(&coordinator);
    std::fs::remove_file(place.path("token")).unwrap();
    coordinator.signal(Signal::USR2);
    run(async |event_loop| {
        let token = Some("secret".into());
        let options = ClientOptions { token, ..ClientOptions::default() };
        let client = Client::start(&event_loop, [place.address()], options)?;
        client.submit("sleep", &1).await?;
        Ok(())
    });
    coordinator.signal(Signal::TERM);
    let ending = coordinator.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    assert!(
        ending.errors.contains("no restart: ") && ending.errors.contains("token"),
        "{}",
        ending.errors
    );
}

#[test]
fn a_coordinator_that_drains_does_so_after_a_restart() {
    let place = Place::new();
    let coordinator = place.serve(&[]);
    let address = listening(&coordinator);
    run(async |event_loop| {
        let client = place.client(&event_loop);
        for drains in [true, false] {
            client.drain(drains).await?;
            coordinator.signal(Signal::USR2);
            coordinator.line_with(&event_loop, &address).await;
            assert_eq!(client.submit("sleep", &1).await.is_err(), drains);
        }
        Ok(())
    });
}
