//! `kill -9` of a coordinator while it is replaced, and of both ends of a backup.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use futures_util::future::join;
use rustix::process::Signal;
use wharf_executor::store::{DiskStore, Store as _};
use wharf_executor::task::TaskId;
use wharf_test_support::program::Program;

use crate::support::{Place, listening, run, start};

/// How often each is killed; `WHARF_EXECUTOR_KILLS` says another number.
fn rounds() -> u64 {
    std::env::var("WHARF_EXECUTOR_KILLS").map_or(2, |text| text.parse().expect("a number"))
}

/// Within the time that what is killed takes, at random.
fn soon(most: u64) -> Duration {
    Duration::from_micros(fastrand::u64(..most))
}

/// The next coordinator, when the one that was killed is gone: only one has the store.
fn follow(place: &Place, killed: Program) -> Program {
    let ending = killed.end();
    assert_eq!(ending.code, None, "{}", ending.errors);
    place.serve(&[])
}

#[test]
fn a_coordinator_that_is_killed_while_it_is_replaced_has_lost_nothing() {
    let place = Place::new();
    let coordinator = place.serve(&[]);
    listening(&coordinator);
    let _worker = place.work(&["--slots", "2"]);
    run(async |event_loop| {
        let client = place.client(&event_loop);
        let is_over = Cell::new(false);
        let load = async {
            let mut submitted = Vec::new();
            while !is_over.get() {
                submitted.push(client.submit("sleep", &1).await.expect("taken"));
            }
            submitted
        };
        let kills = async {
            let mut coordinator = coordinator;
            for round in 0..rounds() {
                coordinator.signal(Signal::USR2);
                if round % 2 == 0 {
                    // The successor has the store, or is about to.
                    coordinator.line_with(&event_loop, "listening on ").await;
                    event_loop.sleep(soon(3_000)).await;
                } else {
                    event_loop.sleep(soon(150_000)).await;
                }
                coordinator.signal(Signal::KILL);
                coordinator = follow(&place, coordinator);
                coordinator.line_with(&event_loop, "listening on ").await;
            }
            is_over.set(true);
            coordinator
        };
        let (submitted, coordinator) = join(load, kills).await;
        for task in submitted {
            let record = task.ended().await?;
            assert!(record.error.is_none() && record.result.is_some(), "{record:?}");
        }
        coordinator.signal(Signal::TERM);
        let ending = coordinator.end();
        assert_eq!(ending.code, Some(0), "{}", ending.errors);
        Ok(())
    });
}

#[test]
fn of_a_backup_that_is_killed_no_file_of_its_name_is_there_and_the_store_is_whole() {
    let place = Place::new();
    let coordinator = place.serve(&[]);
    listening(&coordinator);
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("copy");
    let out_text = out.to_str().unwrap();
    run(async |event_loop| {
        let client = place.client(&event_loop);
        let mut ids = Vec::<TaskId>::new();
        let text = "x".repeat(1_000_000);
        for _ in 0..3 {
            ids.push(client.submit("nobody-runs-this", &text).await?.id().clone());
        }
        let (mut halves, mut wholes) = (0, 0);
        let mut coordinator = coordinator;
        for round in 0..rounds() {
            let backup = start(&["backup", "--connect", &place.address(), "--out", out_text]);
            let parts = || -> Vec<_> {
                let entries = fs::read_dir(directory.path()).unwrap();
                entries.map(|entry| entry.unwrap().path()).collect()
            };
            // It begins before the first part comes, and ends soon after the last one.
            while parts().is_empty() {
                event_loop.sleep(Duration::from_millis(1)).await;
            }
            event_loop.sleep(soon(300_000)).await;
            let killed = if round % 2 == 0 { &backup } else { &coordinator };
            killed.signal(Signal::KILL);
            if round % 2 == 1 {
                coordinator = follow(&place, coordinator);
                coordinator.line_with(&event_loop, "listening on ").await;
            }
            let ending = backup.end();
            if out.exists() {
                wholes += 1;
                let copy = DiskStore::open(&out)?;
                for id in &ids {
                    assert!(copy.key_of(id)?.is_some(), "{id:?} is not in the copy");
                }
            } else {
                halves += 1;
                assert_ne!(ending.code, Some(0), "{}", ending.errors);
            }
            for path in parts() {
                let name = path.file_name().unwrap().to_str().unwrap();
                // Only what was killed itself cannot clean up.
                let is_part = name.ends_with(".partial") && round % 2 == 0;
                assert!(name == "copy" || is_part, "{name}");
                fs::remove_file(path)?;
            }
            let kept = fs::read_dir(place.path("data"))?;
            let kept: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(kept, ["tasks.redb"]);
            for id in &ids {
                client.find(id.clone()).status().await?;
            }
        }
        eprintln!("{halves} were not finished, {wholes} were");
        Ok(())
    });
}
