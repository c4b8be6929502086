//! Programs that store.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::{Disk, DiskFault};
use crate::error::Result;
use crate::event_loop::EventLoop;
use crate::sim::{Check, Fault, Faults, Host, Simulation};

const SECOND: Duration = Duration::from_secs(1);

fn with_host(seed: u64) -> (Simulation, Host, Disk) {
    let simulation = Simulation::new(seed);
    let host = simulation.host("host");
    let disk = host.disk();
    (simulation, host, disk)
}

/// Runs something that stores, and then crashes the machine.
fn crash(seed: u64, store: impl AsyncFn(Disk) -> Result + 'static) -> (Simulation, Disk) {
    let (simulation, host, disk) = with_host(seed);
    let own = disk.clone();
    host.serve(async move |_| {
        store(own.clone()).await?;
        pending().await
    });
    simulation.run_for(SECOND).unwrap();
    host.crash();
    (simulation, disk)
}

#[test]
fn what_was_synced_is_there_after_a_crash_and_of_the_rest_any_part() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let store = async |disk: Disk| {
            let file = disk.open("x")?;
            file.write_all_at(&[1; 1024], 0)?;
            file.sync()?;
            // In the middle of a sector, and up to the middle of the third.
            file.write_all_at(&[2; 1024], 256)?;
            Ok(())
        };
        let (_, disk) = crash(seed, store);
        let found = disk.contents("x").unwrap();
        assert!(found[..256].iter().all(|byte| *byte == 1), "it was synced: {found:?}");
        assert!(found[1024..].iter().all(|byte| [0, 2].contains(byte)), "{found:?}");
        let second = &found[512..1024];
        let torn = second.iter().position(|byte| *byte == 1).unwrap_or(512);
        assert!(second[..torn].iter().all(|byte| *byte == 2), "{second:?}");
        assert!(second[torn..].iter().all(|byte| *byte == 1), "{second:?}");
        let is_torn = (1..512).contains(&torn);
        seen.insert((found[511], found[512], found.len() > 1024, is_torn));
    }
    // Each alone, all, none.
    for part in
        [(1, 1, false, false), (2, 2, true, false), (2, 1, false, false), (1, 2, false, false)]
    {
        assert!(seen.contains(&part), "{part:?} of {seen:?}");
    }
    assert!(seen.iter().any(|(.., is_torn)| *is_torn), "{seen:?}");
}

#[test]
fn what_a_crash_leaves_follows_from_the_seed_and_not_from_the_order_of_writes() {
    let left = |seed, mut order: Vec<u64>, is_reversed: bool| {
        if is_reversed {
            order.reverse();
        }
        let store = async move |disk: Disk| {
            let file = disk.open("x")?;
            for place in &order {
                file.write_all_at(&[*place as u8 + 1; 4096], place * 4096)?;
            }
            Ok(())
        };
        crash(seed, store).1.contents("x")
    };
    let order: Vec<u64> = (0..16).collect();
    let all: BTreeSet<_> = (0..30)
        .map(|seed| {
            let first = left(seed, order.clone(), false);
            assert_eq!(first, left(seed, order.clone(), true), "seed {seed}");
            first
        })
        .collect();
    assert!(all.len() > 10, "{} different", all.len());
}

#[test]
fn a_killed_program_loses_nothing_that_it_has_written_and_writes_nothing_more() {
    struct WritesWhenDropped(super::DiskFile);
    impl Drop for WritesWhenDropped {
        fn drop(&mut self) {
            assert!(self.0.write_all_at(b"too late", 0).is_err());
        }
    }
    let (simulation, host, disk) = with_host(1);
    let own = disk.clone();
    host.serve(async move |_| {
        let file = own.open("x")?;
        if file.is_empty()? {
            file.write_all_at(b"written", 0)?;
        }
        let _file = WritesWhenDropped(file);
        pending().await
    });
    simulation.run_for(SECOND).unwrap();
    for _ in 0..3 {
        host.restart();
        simulation.run_for(SECOND).unwrap();
        assert_eq!(disk.contents("x").unwrap(), b"written");
    }
    host.crash();
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_when_there_is_room() {
    let (simulation, host, disk) = with_host(1);
    disk.set_capacity(3 * 4096);
    let used = disk.clone();
    let own = disk.clone();
    host.run(async move |_| {
        let file = own.open("x")?;
        // Zeros that nobody has written take no space.
        file.set_len(1 << 20)?;
        assert_eq!(file.write_at(&[7; 5 * 4096], 100)?, 3 * 4096 - 100);
        let full = file.write_at(b"more", 3 * 4096).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        file.write_all_at(&[8; 4096], 0)?;
        own.set_capacity(None);
        file.write_all_at(b"more", 3 * 4096)?;
        file.set_len(4096)?;
        Ok(())
    })
    .unwrap();
    assert_eq!(used.used(), 4096);
    simulation.apply(&Fault::Disk("host".into(), DiskFault::Full));
    let own = disk.clone();
    host.run(async move |_| {
        let file = own.open("x")?;
        file.write_all_at(b"there is room in what is used", 0)?;
        let full = file.write_at(b"more", 4096).unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        Ok(())
    })
    .unwrap();
    simulation.apply(&Fault::Recover);
    let outcome = host.run(async move |_| Ok(disk.open("x")?.write_at(b"more", 4096)?));
    assert_eq!(outcome.unwrap(), 4);
}

#[test]
fn a_sync_that_fails_may_show_until_a_crash_what_is_lost() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let shown = Rc::new(Cell::new(false));
        let told = Rc::clone(&shown);
        let (simulation, host, disk) = with_host(seed);
        simulation.apply(&Fault::Disk("host".into(), DiskFault::SyncFailing));
        let own = disk.clone();
        host.run(async move |_| {
            let file = own.open("x")?;
            file.write_all_at(b"written", 0)?;
            assert!(file.sync().is_err());
            told.set(own.contents("x").is_some_and(|found| found == b"written"));
            Ok(())
        })
        .unwrap();
        simulation.apply(&Fault::Disk("host".into(), DiskFault::Well));
        let own = disk.clone();
        // It has nothing to do: the system has forgotten that it was not written.
        host.run(async move |_| Ok(own.open("x")?.sync()?)).unwrap();
        host.crash();
        let is_there = disk.contents("x").unwrap() == b"written";
        seen.insert((shown.get(), is_there));
    }
    for case in [(true, true), (true, false), (false, false)] {
        assert!(seen.contains(&case), "{case:?} of {seen:?}");
    }
}

/// Appends numbers to a file, and says each to the others once it is synced.
async fn store(event_loop: EventLoop, disk: &Disk, said: &RefCell<Vec<u8>>) -> Result {
    let mut file = disk.open("numbers")?;
    loop {
        let found = disk.contents("numbers").unwrap_or_default();
        // The last that is whole: each is written twice.
        let pairs = found.chunks_exact(2).take_while(|pair| pair[0] == pair[1] && pair[0] != 0);
        let count = pairs.count();
        let number = u8::try_from(count + 1)?;
        let written = file.write_all_at(&[number; 2], 2 * count as u64).and_then(|()| file.sync());
        match written {
            Ok(()) => said.borrow_mut().push(number),
            Err(_) => {
                file = loop {
                    event_loop.sleep(SECOND).await;
                    if let Ok(file) = disk.open("numbers") {
                        break file;
                    }
                }
            }
        }
        event_loop.sleep(SECOND).await;
    }
}

#[test]
fn programs_that_sync_before_they_speak_survive_faults_of_the_disk_and_those_that_do_not_are_found()
{
    let scenario = |simulation: &Simulation, syncs: bool| {
        let host = simulation.host("host");
        let disk = host.disk();
        let said = Rc::new(RefCell::new(Vec::new()));
        let (own, saying) = (disk.clone(), Rc::clone(&said));
        host.serve(async move |event_loop| {
            if syncs {
                return store(event_loop, &own, &saying).await;
            }
            let file = own.open("numbers")?;
            loop {
                let number =
                    u8::try_from(own.contents("numbers").unwrap_or_default().len() / 2 + 1)?;
                if file.write_all_at(&[number; 2], 2 * u64::from(number) - 2).is_ok() {
                    saying.borrow_mut().push(number);
                }
                event_loop.sleep(SECOND).await;
            }
        });
        simulation.run_for(40 * SECOND)?;
        host.crash();
        let found = disk.contents("numbers").unwrap_or_default();
        let most = said.borrow().iter().copied().max().unwrap_or_default();
        let kept = found.chunks(2).take(usize::from(most)).enumerate();
        for (index, pair) in kept {
            if pair != [index as u8 + 1; 2] {
                return Err(format!("{} was said and is not there: {found:?}", index + 1).into());
            }
        }
        if found.len() < 2 * usize::from(most) {
            return Err("the end is lost".into());
        }
        Ok(())
    };
    // No failing syncs: a program that shall survive those must write again what it has written.
    let check = Check::new().seeds(100).threads(1).faults(Faults::all().disk_of("host"));
    let failure = check.find(|simulation: &Simulation| scenario(simulation, false)).unwrap_err();
    assert!(
        failure.error.contains("is not there") || failure.error.contains("is lost"),
        "{failure}"
    );
    let syncs = |simulation: &Simulation| {
        let fails = Fault::Disk("host".into(), DiskFault::PowerFailing);
        for time in [5, 12, 20] {
            let (fails, begins) = (fails.clone(), Fault::Restart("host".into()));
            simulation.after(time * SECOND, move |simulation| simulation.apply(&fails));
            simulation.after((time + 4) * SECOND, move |simulation| simulation.apply(&begins));
        }
        scenario(simulation, true)
    };
    Check::new().seeds(100).threads(1).run(syncs);
}

#[test]
fn power_that_fails_in_a_sync_ends_the_host_and_nothing_leaves_it() {
    let (simulation, host, disk) = with_host(3);
    let heard = Rc::new(Cell::new(0));
    let hears = Rc::clone(&heard);
    simulation.host("peer").serve(async move |event_loop| {
        let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
        while socket.next().await.is_some() {
            hears.set(hears.get() + 1);
        }
        Ok(())
    });
    let begun = Rc::new(Cell::new(0));
    let begins = Rc::clone(&begun);
    host.serve(async move |event_loop| {
        begins.set(begins.get() + 1);
        let file = disk.open("x")?;
        let socket = event_loop.open_datagram_endpoint().peer_address("peer:9").await?;
        loop {
            event_loop.sleep(SECOND).await;
            file.write_all_at(b"x", 0)?;
            let synced = file.sync();
            // Also when it has failed: nobody hears it.
            socket.send(b"synced").await?;
            synced?;
        }
    });
    simulation.run_for(3 * SECOND + SECOND / 2).unwrap();
    assert_eq!(heard.get(), 3);
    simulation.apply(&Fault::Disk("host".into(), DiskFault::PowerFailing));
    simulation.run_for(SECOND).unwrap();
    assert!(!host.is_on());
    assert_eq!(heard.get(), 3);
    host.restart();
    simulation.run_for(2 * SECOND + SECOND / 2).unwrap();
    assert_eq!((begun.get(), heard.get()), (2, 5));
}

#[test]
fn a_bit_that_has_changed_is_seen_and_a_disk_that_fails_says_so() {
    let (simulation, host, disk) = with_host(1);
    let own = disk.clone();
    host.run(async move |_| {
        let file = own.open("x")?;
        file.write_all_at(&[0; 1000], 0)?;
        Ok(file.sync()?)
    })
    .unwrap();
    simulation.apply(&Fault::Disk("host".into(), DiskFault::Rot));
    let ones: u32 = disk.contents("x").unwrap().iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(ones, 1);
    host.crash();
    assert!(disk.contents("x").unwrap().iter().any(|byte| *byte != 0), "it is on the disk");
    host.restart();
    simulation.apply(&Fault::Disk("host".into(), DiskFault::Failing));
    let own = disk.clone();
    let failed = host.run(async move |_| Ok(own.open("x").unwrap_err().to_string())).unwrap();
    assert!(failed.contains("fails"), "{failed}");
    let text = "1 disk a power-failing; 2 disk a well";
    assert_eq!(text.parse::<crate::sim::Script>().unwrap().to_string(), text);
    assert!("1 disk a wet".parse::<crate::sim::Script>().is_err());
}

#[test]
fn jobs_take_their_time_and_what_they_store_is_there_before() {
    let (simulation, host, disk) = with_host(1);
    host.set_job_time(SECOND..=2 * SECOND);
    let own = disk.clone();
    host.serve(async move |event_loop| {
        let file = own.open("x")?;
        let job = event_loop.run_in_executor(move || file.write_all_at(b"x", 0));
        job.await??;
        assert!(event_loop.run_in_executor(|| 1).await? == 1);
        Ok(())
    });
    simulation.run_for(SECOND / 2).unwrap();
    assert_eq!(disk.contents("x").unwrap(), b"x");
    let ended = |simulation: &Simulation| simulation.trace().to_string().contains("has ended");
    simulation.run_for(SECOND).unwrap();
    assert!(!ended(&simulation), "two jobs take two seconds at least");
    simulation.run_for(3 * SECOND).unwrap();
    assert!(ended(&simulation));
}

#[test]
fn names_that_were_not_synced_may_be_lost_after_a_crash_the_last_first() {
    for is_synced in [false, true] {
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let store = async move |disk: Disk| {
                for (name, byte) in [("new", 1), ("old", 2), ("other", 3)] {
                    let file = disk.open(name)?;
                    file.write_all_at(&[byte], 0)?;
                    file.sync()?;
                }
                let open = disk.open("other")?;
                disk.rename("new", "old")?;
                disk.remove("other")?;
                assert_eq!(disk.names(), ["old"]);
                // Who has opened it goes on with it.
                open.write_all_at(&[4], 1)?;
                assert_eq!(open.len()?, 2);
                assert!(disk.rename("new", "old").is_err() && disk.remove("other").is_err());
                if is_synced {
                    disk.sync()?;
                }
                Ok(())
            };
            let (_, disk) = crash(seed, store);
            let found = disk.names().join(" ");
            let old = if found.contains("new") { 2 } else { 1 };
            assert_eq!(disk.contents("old").unwrap(), [old]);
            assert!(disk.rename("old", "x").is_err() && disk.sync().is_err(), "it is off");
            seen.insert(found);
        }
        let all = ["new old other", "old", "old other"].map(str::to_owned);
        let wanted = if is_synced { BTreeSet::from(["old".to_owned()]) } else { all.into() };
        assert_eq!(seen, wanted);
    }
}

#[test]
fn a_file_is_replaced_as_a_whole_if_it_is_synced_before_it_has_its_name() {
    let replace = async |disk: &Disk, version: u8, is_careful: bool| -> Result {
        let file = disk.open("new")?;
        file.set_len(0)?;
        file.write_all_at(&[version; 600], 0)?;
        if is_careful {
            file.sync()?;
        }
        disk.rename("new", "state")?;
        disk.sync()?;
        Ok(())
    };
    let outcomes = [true, false].map(|is_careful| {
        (0..100).all(|seed| {
            let (simulation, host, disk) = with_host(seed);
            let done = Rc::new(Cell::new(0));
            let (own, told) = (disk.clone(), Rc::clone(&done));
            host.serve(async move |event_loop| {
                for version in 1.. {
                    replace(&own, version, is_careful).await?;
                    told.set(version);
                    event_loop.sleep(SECOND / 10).await;
                }
                Ok(())
            });
            simulation.run_for(SECOND / 20 * (seed % 7 + 1) as u32).unwrap();
            simulation.apply(&Fault::Disk("host".into(), DiskFault::PowerFailing));
            simulation.run_for(SECOND).unwrap();
            assert!(!host.is_on());
            let found = disk.contents("state").unwrap();
            // What was told of is there, or what was being stored.
            let version = found.first().copied().unwrap_or_default();
            let is_known = version == done.get() || version == done.get() + 1;
            is_known && found == [version; 600]
        })
    });
    assert_eq!(outcomes, [true, false]);
}
