//! Slips of who writes a test, and whether they are told what was wrong.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Check, Faults, Simulation};
use crate::error::Result;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_fault_of_a_host_that_is_not_is_a_failure() {
    let run = |prepare: &dyn Fn(&Simulation)| {
        let simulation = Simulation::new(1);
        simulation.host("server").serve(async |_| std::future::pending().await);
        prepare(&simulation);
        simulation.run_for(5 * SECOND)
    };
    let error = run(&|simulation| {
        simulation.script("1 kill serevr".parse().unwrap());
    });
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "the network at 1s: `kill serevr`: no host is called `serevr`");
    for faults in [Faults::all().spare("serevr"), Faults::all().disk_of("serevr")] {
        let error = run(&|simulation| {
            simulation.faults(faults.clone());
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("`serevr`, which is no host"), "{error}");
    }
    run(&|simulation| {
        simulation.script("1 kill server; 2 restart server".parse().unwrap());
    })
    .unwrap();
}

#[test]
fn who_is_waited_for_is_told_when_it_takes_too_long() {
    let simulation = Simulation::new(1);
    simulation.limit(60 * SECOND);
    let waits = async |_| std::future::pending().await;
    simulation.host("server").serve(waits);
    simulation.host("quick").start(async |_| Ok(()));
    simulation.host("slow").start(waits);
    simulation.host("dead").start(waits);
    simulation.script("1 kill dead".parse().unwrap());
    let error = simulation.run().unwrap_err().to_string();
    let wanted = "programs have not ended on `slow`, and on `dead`, which is off";
    assert!(error.ends_with(wanted), "{error}");

    let simulation = Simulation::new(1);
    simulation.limit(SECOND);
    let error = simulation.host("slow").run::<()>(waits).unwrap_err().to_string();
    assert!(error.ends_with("the program that `slow` runs has not ended"), "{error}");
}

#[test]
fn a_run_that_has_nothing_to_wait_for_is_a_failure() {
    let simulation = Simulation::new(1);
    simulation.host("client").serve(async |_| Ok(()));
    let error = simulation.run().unwrap_err().to_string();
    assert!(error.contains("none was begun with `start`"), "{error}");
    simulation.host("client").start(async |_| Ok(()));
    simulation.run().unwrap();
    // It was waited for.
    simulation.run().unwrap();
}

#[test]
fn a_program_that_panics_is_told_with_its_place_in_the_test() {
    let simulation = Simulation::new(1);
    simulation.host("client").start(async |_| panic!("broken"));
    let error = simulation.run().unwrap_err().to_string();
    assert!(error.contains(file!()) && error.contains("broken"), "{error}");
}

#[test]
fn what_was_equal_is_told_before_what_differs() {
    let runs = AtomicU64::new(0);
    let scenario = |simulation: &Simulation| {
        simulation.note("first");
        simulation.note("second");
        if runs.fetch_add(1, Ordering::Relaxed) > 0 {
            simulation.note("third");
        }
        Ok(())
    };
    let failure = Check::new().seeds(1).find(scenario).unwrap_err();
    let end = "so more than the seed decides: `the end`, and `0.000000 third`";
    assert!(failure.error.ends_with(end), "{failure}");
    let last: Vec<_> = failure.events.lines().rev().take(2).map(str::trim).collect();
    assert_eq!(last, ["0.000000 second", "0.000000 first"], "{failure}");
}

/// Set for what the test below runs.
const IS_CHILD: &str = "WHARF_SIM_TEST_IS_CHILD";

#[test]
fn environment_variables_of_a_check_are_understood_or_refused() {
    if std::env::var_os(IS_CHILD).is_some() {
        let runs = AtomicU64::new(0);
        return Check::new()
            .seeds(2)
            .threads(1)
            .run(|simulation| quiet_without_loss(simulation, &runs));
    }
    let told = |name: &str, value: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "--nocapture"]);
        child.arg("sim::mistakes::environment_variables_of_a_check_are_understood_or_refused");
        for variable in ["SEED", "SEEDS", "SCRIPT", "TRACE"] {
            child.env_remove(format!("WHARF_SIM_{variable}"));
        }
        let output = child.env(IS_CHILD, "1").env(name, value).output().unwrap();
        assert!(!output.status.success(), "{name}={value}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    for name in ["WHARF_SIM_SEED", "WHARF_SIM_SEEDS"] {
        let text = told(name, "7x");
        assert!(text.contains(&format!("{name} is `7x`: invalid digit")), "{text}");
    }
    let text = told("WHARF_SIM_SCRIPT", "1 kil server");
    assert!(
        text.contains("WHARF_SIM_SCRIPT is `1 kil server`: `1 kil server` is no event"),
        "{text}"
    );
    // For all seeds, if none is given.
    let text = told("WHARF_SIM_SCRIPT", "1 loss 0.5");
    assert!(text.contains("seed 0 has failed: lost"), "{text}");
    assert!(text.contains("again: WHARF_SIM_SEED=0 WHARF_SIM_SCRIPT='1 loss 0.5'"), "{text}");
    // What was found by two runs is found again by two.
    let text = told("WHARF_SIM_SEED", "1");
    assert!(text.contains("two runs with the same seed differ"), "{text}");
}

/// Fails if anything is lost, and does something else in each run.
fn quiet_without_loss(simulation: &Simulation, runs: &AtomicU64) -> Result {
    simulation.run_for(2 * SECOND)?;
    if simulation.trace().to_string().contains("loss") {
        return Err("lost".into());
    }
    simulation.note(format!("run {}", runs.fetch_add(1, Ordering::Relaxed)));
    Ok(())
}
