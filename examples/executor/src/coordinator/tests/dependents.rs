//! Chains, groups and functions over their results.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{World, id, spec};
use crate::coordinator::{Refused, Report, WorkerKey};
use crate::task::{Input, InvalidSpec, Outcome, Spec, State};

fn named(name: &str, after: &[&str], input: Option<Input>) -> Spec {
    let after = after.iter().map(|name| id(name)).collect();
    Spec { id: Some(id(name)), after, input, retries: 0, ..spec("a") }
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.into()).unwrap()
}

/// Ends whatever runs: what it is called, what it got, and how it ends.
fn run(world: &mut World, worker: WorkerKey, returned: impl Fn(&str) -> Report) -> Vec<String> {
    let mut ran = Vec::new();
    for (_, task) in world.assigned() {
        ran.push(format!("{} {}", task.id, task.spec.args));
        let report = returned(task.id.as_str());
        world.coordinator.reported(worker, task.fence, report, world.now).unwrap();
    }
    ran
}

fn ok(text: &str) -> Report {
    Report::Succeeded(json(text))
}

fn outcome(world: &World, name: &str) -> Option<Outcome> {
    world.coordinator.find(&id(name)).unwrap().unwrap().1.outcome()
}

#[test]
fn a_chain_hands_on_results_also_through_a_restart() {
    let mut world = World::new();
    world.submit(named("1", &[], None));
    world.submit(named("2", &["1"], Some(Input::Result)));
    world.submit(Spec { args: json("[7]"), ..named("3", &["2"], Some(Input::Result)) });
    let mut ran = Vec::new();
    for _ in 0..3 {
        let worker = world.join(1, &["a"]);
        ran.extend(run(&mut world, worker, |name| ok(&format!(r#""of {name}""#))));
        world.coordinator.worker_left(worker, world.now).unwrap();
        world.commit();
        world.restart();
    }
    assert_eq!(ran, ["1 null", r#"2 "of 1""#, r#"3 ["of 2",[7]]"#]);
    assert_eq!(outcome(&world, "3"), Some(Outcome::Succeeded));
}

#[test]
fn a_function_over_a_group_gets_its_results_in_order() {
    let mut world = World::new();
    let worker = world.join(9, &["a"]);
    for name in ["1", "2", "3"] {
        world.submit(named(name, &[], None));
    }
    world.submit(named("5", &["3", "1", "2"], Some(Input::Results)));
    world.submit(named("4", &[], Some(Input::Results)));
    let ran = run(&mut world, worker, ok);
    assert_eq!(ran, ["1 null", "2 null", "3 null", "4 []"]);
    // One that fails is tried again with the same.
    world.commit();
    let failed = world.submit(Spec { retries: 1, ..named("6", &["1"], Some(Input::Results)) });
    assert_eq!(run(&mut world, worker, |_| Report::GivenBack), ["5 [3,1,2]", "6 [1]"]);
    assert_eq!(world.record(failed).spec.input, None);
    assert_eq!(run(&mut world, worker, ok), ["5 [3,1,2]", "6 [1]"]);
}

#[test]
fn who_gets_one_result_comes_after_one_task() {
    let mut world = World::new();
    world.submit(named("1", &[], None));
    world.submit(named("2", &[], None));
    for after in [&[][..], &["1", "2"]] {
        let spec = named("x", after, Some(Input::Result));
        let refused = world.coordinator.submit(spec, world.now).unwrap();
        assert_eq!(refused, Err(Refused::Invalid(InvalidSpec::Input)));
    }
}

#[test]
fn what_does_not_succeed_ends_what_comes_after_it_with_the_cause_and_a_retry_revives_all() {
    let mut world = World::new();
    let worker = world.join(9, &["a"]);
    world.submit(named("1", &[], None));
    world.submit(named("other", &[], None));
    world.submit(named("2", &["1"], Some(Input::Result)));
    world.submit(named("3", &["2", "other"], Some(Input::Results)));
    run(&mut world, worker, |_| Report::Failed("no".into()));
    for name in ["2", "3"] {
        let (_, record) = world.coordinator.find(&id(name)).unwrap().unwrap();
        assert_eq!(record.outcome(), Some(Outcome::Failed));
        assert_eq!(record.error.as_deref(), Some("it comes after 1, which has failed: no"));
        assert_eq!((&record.cause, record.attempts), (&Some(id("1")), 0));
    }
    world.commit();
    world.restart();
    let worker = world.join(9, &["a"]);
    let retry = |world: &mut World, name: &str| {
        let (key, _) = world.coordinator.find(&id(name)).unwrap().unwrap();
        world.coordinator.retry(key, world.now).unwrap().is_some()
    };
    // What ended because of another is not tried without it.
    assert!(!retry(&mut world, "2"));
    assert!(retry(&mut world, "1"));
    assert_eq!(run(&mut world, worker, ok), ["1 null"]);
    assert_eq!(run(&mut world, worker, ok), ["2 1"]);
    // 3 comes after one more that has failed.
    let (_, three) = world.coordinator.find(&id("3")).unwrap().unwrap();
    assert_eq!(three.cause, Some(id("other")));
    assert!(retry(&mut world, "other"));
    assert_eq!(run(&mut world, worker, |_| ok("0")), ["other null"]);
    assert_eq!(run(&mut world, worker, ok), ["3 [2,0]"]);
}

#[test]
fn what_is_cancelled_or_too_late_ends_what_comes_after_it_as_well() {
    let mut world = World::new();
    let deadline = Some(world.now.wall.after(Duration::from_secs(1)));
    let cancelled = world.submit(named("1", &[], None));
    world.submit(Spec { deadline, ..named("2", &[], None) });
    world.submit(named("after-1", &["1"], Some(Input::Result)));
    world.submit(named("after-2", &["2"], None));
    world.coordinator.cancel(cancelled, world.now).unwrap();
    world.pass(Duration::from_secs(1));
    assert_eq!(outcome(&world, "after-1"), Some(Outcome::Cancelled));
    assert_eq!(outcome(&world, "after-2"), Some(Outcome::Failed));
    let error = world.coordinator.find(&id("after-2")).unwrap().unwrap().1.error.clone();
    let expected = "it comes after 2, which has failed: its deadline has passed";
    assert_eq!(error.as_deref(), Some(expected));
    assert!(world.coordinator.retry(cancelled, world.now).unwrap().is_some());
    let worker = world.join(9, &["a"]);
    assert_eq!(run(&mut world, worker, |_| ok("1")), ["1 null"]);
    assert_eq!(run(&mut world, worker, |_| ok("1")), ["after-1 1"]);
}

#[test]
fn a_result_that_is_wanted_does_not_expire_before() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    world.submit(Spec { keep: 1_000, ..named("1", &[], None) });
    run(&mut world, worker, |_| ok("1"));
    world.coordinator.worker_left(worker, world.now).unwrap();
    world.submit(named("slow", &[], None));
    let child = world.submit(named("child", &["1", "slow"], Some(Input::Results)));
    world.pass(Duration::from_secs(60));
    world.commit();
    world.restart();
    world.pass(Duration::from_secs(60));
    assert!(world.coordinator.find(&id("1")).unwrap().is_some());
    let worker = world.join(1, &["a"]);
    run(&mut world, worker, |_| ok("2"));
    world.pass(Duration::ZERO);
    assert!(world.coordinator.find(&id("1")).unwrap().is_none());
    assert_eq!(run(&mut world, worker, |_| ok("3")), ["child [1,2]"]);
    assert_eq!(world.record(child).outcome(), Some(Outcome::Succeeded));
}

#[test]
fn results_that_are_too_large_together_are_an_error() {
    let mut world = World::new();
    let worker = world.join(9, &["a"]);
    let large = format!(r#""{}""#, "x".repeat(600_000));
    world.submit(named("1", &[], None));
    let child = world.submit(named("2", &["1", "1"], Some(Input::Results)));
    world.submit(named("3", &["2"], None));
    run(&mut world, worker, |_| ok(&large));
    let error = "what those before it returned is too large: arguments have at most 1048576 bytes";
    assert_eq!(world.record(child).error.as_deref(), Some(error));
    assert_eq!(outcome(&world, "3"), Some(Outcome::Failed));
}

#[test]
fn the_end_of_one_of_many_costs_the_same_however_many_there_are() {
    let mut world = World::new();
    let names: Vec<_> = (0..10_000).map(|number| format!("t{number}")).collect();
    for name in &names {
        world.submit(named(name, &[], None));
    }
    let after: Vec<_> = names.iter().map(String::as_str).collect();
    let last = world.submit(named("last", &after, Some(Input::Results)));
    world.commit();
    let worker = world.join(1, &["a"]);
    for _ in 0..9_999 {
        assert_eq!(run(&mut world, worker, |_| ok("1")).len(), 1);
        let batch = world.commit().unwrap();
        assert!(batch.changes.iter().all(|(key, _)| *key != last), "it was written again");
    }
    assert!(matches!(world.record(last).state, State::Blocked { parents: 10_000 }));
    run(&mut world, worker, |_| ok("1"));
    let [(_, task)] = world.assigned().try_into().unwrap();
    assert_eq!(task.spec.args.get().len(), 2 * 10_000 + 1);
}
