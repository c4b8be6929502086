//! Coordinator, workers and clients, as they run for real, on simulated machines, links and disks.
//!
//! `WHARF_SIM_SEEDS=10000 cargo test --release -p wharf-executor --test simulation` tries more seeds; a failure says how it
//! is run again.
#![forbid(unsafe_code)]

mod checker;
mod client;
mod cluster;
mod disk;
mod plan;
mod store;

use std::time::Duration;

use wharf::sim::{Check, Fault, Faults, Script, Simulation};
use wharf_executor::client::{Client, ClientOptions};

use cluster::{ADDRESS, COORDINATOR, Cluster};
use plan::Plan;

#[test]
fn whatever_happens_to_machines_links_and_disks_each_acknowledged_task_ends_once() {
    let faults = Faults::all().until(Duration::from_secs(40)).disk_of(COORDINATOR);
    Check::new().seeds(8).faults(faults).run(|simulation| Cluster::new(simulation).run());
}

#[test]
fn without_faults_no_task_is_given_to_two_workers() {
    Check::new().seeds(2).run(|simulation| Cluster::without_faults(simulation).run());
}

/// What the tests above look for is found.
#[test]
fn a_disk_that_says_it_has_synced_and_has_not_is_found() {
    let fails = |seed| {
        let simulation = Simulation::new(seed);
        let script = "15 crash coordinator; 16 restart coordinator".parse();
        simulation.script(script.unwrap());
        Cluster::on_a_disk_that_lies(&simulation).run().err()
    };
    let failure = (0..20).find_map(fails).expect("it is found").to_string();
    // It is found by what is lost, and not because nothing goes on.
    assert!(!failure.contains("was not over"), "{failure}");
}

#[test]
fn a_client_that_only_waits_notices_that_the_machine_of_its_coordinator_was_off() {
    let simulation = Simulation::new(1);
    let _cluster = Cluster::new(&simulation);
    simulation.host("client").start(async |event_loop| {
        let client = Client::start(&event_loop, [ADDRESS], ClientOptions::default())?;
        let plan = Plan { fails: 0, for_good: false, millis: 3_000, writes: false };
        let task = client.submit("waits", &plan).await?;
        task.outcome().await?;
        Ok(())
    });
    let script = Script::new()
        .at(Duration::from_secs(2), Fault::Crash(COORDINATOR.into()))
        .at(Duration::from_secs(9), Fault::Restart(COORDINATOR.into()));
    simulation.script(script).limit(Duration::from_secs(120));
    simulation.run().unwrap();
    assert!(simulation.elapsed() > Duration::from_secs(9));
}
