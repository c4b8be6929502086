use std::time::Duration;

use serde_json::value::RawValue;

use super::{BEGIN, World, id, spec};
use crate::coordinator::{Effect, Refused, Report, Stop};
use crate::store::Store as _;
use crate::task::{MOST_RESULT, Outcome, Piece, Priority, Spec, State, Timestamp};

fn done() -> Report {
    Report::Succeeded(RawValue::from_string("42".into()).unwrap())
}

fn stops(world: &mut World) -> Vec<Stop> {
    world.assigned();
    let stop = |effect: Effect| match effect {
        Effect::Stop { why, .. } => Some(why),
        _ => None,
    };
    world.effects.drain(..).filter_map(stop).collect()
}

/// A timeout and a deadline that are far off would be kept until then, of each task of days.
#[test]
fn what_has_ended_is_due_for_nothing_but_its_expiry() {
    let mut world = World::new();
    let worker = world.join(10, &["a"]);
    const DAY: u64 = 24 * 60 * 60 * 1_000;
    let (timeout, deadline) = (Some(DAY), Some(Timestamp(BEGIN + DAY)));
    for _ in 0..3 {
        let key = world.submit(Spec { timeout, deadline, retries: 0, ..spec("a") });
        let delayed = world.submit(Spec { delay: Some(DAY / 2), deadline, ..spec("a") });
        let [(_, task)] = world.assigned().try_into().unwrap();
        assert_eq!(world.coordinator.clock.len(), 4);
        let failed = Report::Failed("no".into());
        world.coordinator.reported(worker, task.fence, failed, world.now).unwrap().unwrap();
        world.coordinator.cancel(delayed, world.now).unwrap().unwrap();
        assert_eq!(world.coordinator.clock.len(), 0);
        // It is held to its deadline when it is tried again.
        world.coordinator.retry(key, world.now).unwrap().unwrap();
        let [(_, again)] = world.assigned().try_into().unwrap();
        assert_eq!(world.coordinator.clock.len(), 2);
        let failed = Report::Failed("no".into());
        world.coordinator.reported(worker, again.fence, failed, world.now).unwrap().unwrap();
        world.commit();
    }
    assert_eq!(world.coordinator.clock.len(), 0);
}

#[test]
fn a_task_runs_and_its_result_is_recorded() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    let key = world.submit(spec("a"));
    let [(to, task)] = world.assigned().try_into().unwrap();
    assert_eq!((to, task.attempt), (worker, 1));
    let batch = world.coordinator.reported(worker, task.fence, done(), world.now).unwrap();
    assert_eq!(batch, Some(world.commit().unwrap().number));
    let record = world.record(key);
    assert_eq!(record.outcome(), Some(Outcome::Succeeded));
    assert_eq!(record.result.unwrap().get(), "42");
}

#[test]
fn a_second_submit_with_the_same_id_is_the_same_task() {
    let mut world = World::new();
    let named = || Spec { id: Some(id("once")), ..spec("a") };
    let first = world.coordinator.submit(named(), world.now).unwrap().unwrap();
    let second = world.coordinator.submit(named(), world.now).unwrap().unwrap();
    assert_eq!((first.key, false, true), (second.key, first.is_known, second.is_known));
    world.commit();
    world.restart();
    assert_eq!(world.submit(named()), first.key);
    assert_eq!(world.coordinator.queued(), 1);
}

#[test]
fn workers_get_what_they_can_run_up_to_their_capacity_and_take_turns() {
    let mut world = World::new();
    let (one, two, three) =
        (world.join(2, &["a"]), world.join(2, &["a", "b"]), world.join(1, &["c"]));
    for kind in ["a", "b", "a", "b", "a", "b"] {
        world.submit(spec(kind));
    }
    let given = world.assigned();
    let given: Vec<_> = given.iter().map(|(to, task)| (*to, task.spec.kind.as_str())).collect();
    assert_eq!(given, [(one, "a"), (two, "b"), (one, "a"), (two, "b")]);
    assert_eq!((world.coordinator.queued(), world.coordinator.running()), (2, 4));
    let key = world.submit(spec("c"));
    let [(to, task)] = world.assigned().try_into().unwrap();
    assert_eq!((to, &task.id), (three, &world.record(key).id));
}

#[test]
fn a_high_priority_goes_first_and_a_low_one_does_not_wait_for_ever() {
    let mut world = World::new();
    let with = |level| Spec { priority: Priority::new(level).unwrap(), ..spec("a") };
    let low = world.submit(with(0));
    world.skip(Duration::from_secs(8 * 60));
    let high = world.submit(with(9));
    world.skip(Duration::from_secs(2 * 60));
    let late = world.submit(with(9));
    let worker = world.join(1, &["a"]);
    for key in [high, low, late] {
        let [(_, task)] = world.assigned().try_into().unwrap();
        assert!(
            matches!(world.record(key).state, State::Running { fence, .. } if fence == task.fence)
        );
        world.coordinator.reported(worker, task.fence, done(), world.now).unwrap();
    }
}

#[test]
fn a_worker_that_goes_silent_loses_its_tasks_when_its_lease_ends_and_can_record_nothing() {
    let mut world = World::new();
    let silent = world.join(1, &["a"]);
    let key = world.submit(spec("a"));
    let [(_, task)] = world.assigned().try_into().unwrap();
    world.pass(Duration::from_secs(14));
    let other = world.join(1, &["a"]);
    assert_eq!(world.coordinator.running(), 1);
    world.pass(Duration::from_secs(2));
    let [(to, again)] = world.assigned().try_into().unwrap();
    assert_eq!((to, again.attempt, world.record(key).losses), (other, 2, 1));
    assert_ne!(again.fence, task.fence);
    for fence in [task.fence, again.fence] {
        assert_eq!(world.coordinator.reported(silent, fence, done(), world.now).unwrap(), None);
    }
    assert!(world.coordinator.reported(other, again.fence, done(), world.now).unwrap().is_some());
}

#[test]
fn what_a_lost_worker_had_not_begun_does_not_count_as_what_ended_it() {
    let mut world = World::new();
    let (bad, waiting) = (world.submit(spec("a")), world.submit(spec("a")));
    for round in 1..=2 {
        let worker = world.join_with_slots(2, 1, &["a"]);
        let given = world.assigned();
        assert_eq!(given.len(), 2);
        world.coordinator.worker_left(worker, world.now).unwrap();
        assert_eq!((world.record(bad).losses, world.record(waiting).losses), (round, 0));
    }
    let worker = world.join_with_slots(2, 1, &["a"]);
    world.coordinator.worker_left(worker, world.now).unwrap();
    assert_eq!(world.record(bad).outcome(), Some(Outcome::Failed));
    assert!(matches!(world.record(waiting).state, State::Queued { .. }));
}

#[test]
fn a_free_slot_comes_before_a_place_behind_a_task() {
    let mut world = World::new();
    let one = world.join_with_slots(4, 1, &["a"]);
    let two = world.join_with_slots(4, 1, &["a"]);
    let given = |world: &mut World| {
        world.submit(spec("a"));
        let [(to, task)] = world.assigned().try_into().unwrap();
        (to, task.fence)
    };
    let (first, fence) = given(&mut world);
    assert_eq!((first, given(&mut world).0), (one, two));
    world.coordinator.reported(one, fence, done(), world.now).unwrap();
    // Though the other was given something longer ago, when this one gets the next but one.
    assert_eq!((given(&mut world).0, given(&mut world).0), (one, two));
}

#[test]
fn what_waits_behind_a_task_is_called_back_for_a_slot_that_is_free() {
    let mut world = World::new();
    let busy = world.join_with_slots(3, 1, &["a", "b"]);
    let [long, kept, waits] =
        [world.submit(spec("a")), world.submit(spec("b")), world.submit(spec("a"))];
    let given = world.assigned();
    assert_eq!(given.len(), 3);
    let idle = world.join_with_slots(2, 1, &["a"]);
    let recalls = |world: &mut World| {
        world.assigned();
        let recall = |effect: Effect| match effect {
            Effect::Recall { worker, fence } => Some((worker, fence)),
            _ => None,
        };
        world.effects.drain(..).filter_map(recall).collect::<Vec<_>>()
    };
    // One slot, one recall, of the kind that it can run; and it is asked for once.
    assert_eq!(recalls(&mut world), [(busy, given[2].1.fence)]);
    world.coordinator.worker_takes(idle, 2, world.now).unwrap();
    assert_eq!(recalls(&mut world), []);
    world.coordinator.reported(busy, given[2].1.fence, Report::GivenBack, world.now).unwrap();
    let [(to, task)] = world.assigned().try_into().unwrap();
    assert_eq!((to, &task.id), (idle, &world.record(waits).id));
    assert_eq!(world.record(waits).failures, 0);
    for key in [long, kept] {
        assert!(
            matches!(world.record(key).state, State::Running { fence, .. } if fence < task.fence)
        );
    }
}

#[test]
fn a_task_that_runs_for_long_is_never_given_to_a_second_worker() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    let _other = world.join(1, &["a"]);
    world.submit(spec("a"));
    assert_eq!(world.assigned().len(), 1);
    for _ in 0..10_000 {
        world.pass(Duration::from_secs(5));
        world.coordinator.worker_is_alive(worker, world.now);
    }
    assert!(world.assigned().is_empty());
}

#[test]
fn a_task_that_ends_its_workers_is_not_tried_for_ever() {
    let mut world = World::new();
    let key = world.submit(spec("a"));
    for _ in 0..3 {
        let worker = world.join(1, &["a"]);
        assert_eq!(world.assigned().len(), 1);
        world.coordinator.worker_left(worker, world.now).unwrap();
    }
    let record = world.record(key);
    assert_eq!(record.outcome(), Some(Outcome::Failed));
    assert_eq!(record.error.as_deref(), Some("3 workers were lost while it ran, worker last"));
}

#[test]
fn a_failed_task_is_tried_again_ever_later_and_then_is_a_dead_letter_that_can_be_retried() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    let key = world.submit(Spec { retries: 2, ..spec("a") });
    for longest in [1, 2] {
        let [(_, task)] = world.assigned().try_into().unwrap();
        let failed = Report::Failed("no".into());
        world.coordinator.reported(worker, task.fence, failed, world.now).unwrap();
        assert!(world.assigned().is_empty());
        world.pass(Duration::from_millis(longest * 500 - 1));
        assert!(world.assigned().is_empty());
        world.pass(Duration::from_millis(longest * 500 + 1));
    }
    let [(_, task)] = world.assigned().try_into().unwrap();
    world.coordinator.reported(worker, task.fence, Report::Failed("no".into()), world.now).unwrap();
    let record = world.record(key);
    assert_eq!((record.outcome(), record.attempts), (Some(Outcome::Failed), 3));
    assert_eq!(record.error.as_deref(), Some("no"));
    assert!(world.coordinator.retry(key, world.now).unwrap().is_some());
    let [(_, task)] = world.assigned().try_into().unwrap();
    assert_eq!(task.attempt, 4);
}

#[test]
fn a_delayed_task_waits_for_its_time_also_through_a_restart() {
    let mut world = World::new();
    let at = Timestamp(BEGIN + 60_000);
    world.submit(Spec { at: Some(at), ..spec("a") });
    world.commit();
    world.restart();
    world.pass(Duration::from_secs(50));
    world.join(1, &["a"]);
    world.pass(Duration::from_millis(9_999));
    assert!(world.assigned().is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.assigned().len(), 1);
}

#[test]
fn a_task_runs_after_those_it_comes_after_and_not_if_one_fails() {
    let mut world = World::new();
    let worker = world.join(9, &["a"]);
    let named = |name: &str, after: &[&str]| {
        let after = after.iter().map(|name| id(name)).collect();
        Spec { id: Some(id(name)), after, retries: 0, ..spec("a") }
    };
    let unknown = world.coordinator.submit(named("x", &["nobody"]), world.now).unwrap();
    assert_eq!(unknown, Err(Refused::UnknownParent(id("nobody"))));
    for (name, after) in [("1", &[][..]), ("2", &[]), ("3", &["1", "2", "1"]), ("4", &["3"])] {
        world.submit(named(name, after));
    }
    let [(_, one), (_, two)] = world.assigned().try_into().unwrap();
    world.coordinator.reported(worker, one.fence, done(), world.now).unwrap();
    assert!(world.assigned().is_empty());
    world.commit();
    world.coordinator.reported(worker, two.fence, done(), world.now).unwrap();
    let [(_, three)] = world.assigned().try_into().unwrap();
    assert_eq!(three.id, id("3"));
    world
        .coordinator
        .reported(worker, three.fence, Report::Failed("no".into()), world.now)
        .unwrap();
    let (_, four) = world.coordinator.find(&id("4")).unwrap().unwrap();
    assert_eq!(four.outcome(), Some(Outcome::Failed));
    assert_eq!(four.error.as_deref(), Some("it comes after 3, which has failed: no"));
    let refused = world.coordinator.submit(named("5", &["3"]), world.now).unwrap();
    let why = "it comes after 3, which has failed: no";
    assert_eq!(refused, Err(Refused::FailedParent { id: id("3"), why: why.into() }));
    let refused = world.coordinator.submit(named("6", &["4"]), world.now).unwrap();
    assert_eq!(refused.unwrap_err().to_string(), why);
}

#[test]
fn cancelling_reaches_what_waits_and_what_runs() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    let (running, queued) = (world.submit(spec("a")), world.submit(spec("a")));
    let [(_, task)] = world.assigned().try_into().unwrap();
    assert!(world.coordinator.cancel(queued, world.now).unwrap().is_some());
    assert_eq!(world.record(queued).outcome(), Some(Outcome::Cancelled));
    assert!(world.coordinator.cancel(running, world.now).unwrap().is_some());
    assert_eq!(world.coordinator.cancel(running, world.now).unwrap(), None);
    assert_eq!(stops(&mut world), [Stop::Cancelled]);
    world.coordinator.reported(worker, task.fence, Report::Stopped, world.now).unwrap();
    assert_eq!(world.record(running).outcome(), Some(Outcome::Cancelled));
    assert_eq!((world.coordinator.queued(), world.coordinator.running()), (0, 0));
}

#[test]
fn a_deadline_ends_a_task_wherever_it_is() {
    let mut world = World::new();
    let deadline = Some(Timestamp(BEGIN + 1_000));
    let worker = world.join(1, &["a"]);
    let (running, queued) = (
        world.submit(Spec { deadline, ..spec("a") }),
        world.submit(Spec { deadline, ..spec("a") }),
    );
    let [(_, task)] = world.assigned().try_into().unwrap();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.record(queued).outcome(), Some(Outcome::Failed));
    assert_eq!(stops(&mut world), [Stop::TooLong]);
    world.coordinator.reported(worker, task.fence, Report::Stopped, world.now).unwrap();
    assert_eq!(world.record(running).outcome(), Some(Outcome::Failed));
}

#[test]
fn a_deadline_that_passes_while_a_worker_is_gone_ends_what_it_runs_when_it_is_back_or_lost() {
    let mut world = World::new();
    let deadline = Some(Timestamp(BEGIN + 1_000));
    world.join(1, &["a"]);
    let key = world.submit(Spec { deadline, ..spec("a") });
    let [(_, task)] = world.assigned().try_into().unwrap();
    world.commit();
    world.restart();
    world.pass(Duration::from_secs(2));
    assert_eq!(world.record(key).outcome(), None, "its worker may be back");
    let worker = world.join_again(1, &["a"], vec![task.fence]);
    world.pass(Duration::from_secs(1));
    assert_eq!(stops(&mut world), [Stop::TooLong]);
    // It is lost before it has said that it has stopped.
    world.coordinator.worker_left(worker, world.now).unwrap();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.record(key).outcome(), Some(Outcome::Failed));
    world.join(1, &["a"]);
    assert!(world.assigned().is_empty());
}

#[test]
fn what_was_stopped_for_a_cancel_that_a_restart_has_lost_runs_again() {
    let mut world = World::new();
    world.join(1, &["a"]);
    let key = world.submit(Spec { retries: 0, ..spec("a") });
    let [(_, task)] = world.assigned().try_into().unwrap();
    world.commit();
    world.coordinator.cancel(key, world.now).unwrap();
    assert_eq!(stops(&mut world), [Stop::Cancelled]);
    // The worker was told, and the disk was not.
    world.restart();
    let worker = world.join_again(1, &["a"], vec![task.fence]);
    world.coordinator.reported(worker, task.fence, Report::Stopped, world.now).unwrap();
    let [(_, again)] = world.assigned().try_into().unwrap();
    assert_eq!((again.id, again.attempt), (task.id, 2));
}

#[test]
fn after_a_restart_workers_go_on_with_what_they_run_and_others_lose_it() {
    let mut world = World::new();
    world.join(3, &["a"]);
    for _ in 0..3 {
        world.submit(spec("a"));
    }
    let fences: Vec<_> = world.assigned().into_iter().map(|(_, task)| task.fence).collect();
    world.commit();
    world.submit(spec("a"));
    world.restart();
    assert_eq!((world.coordinator.running(), world.coordinator.queued()), (3, 0));
    let worker = world.join_again(3, &["a"], vec![fences[0], fences[1], 7]);
    assert_eq!(stops(&mut world), [Stop::Stale]);
    let reported = world.coordinator.reported(worker, fences[0], done(), world.now).unwrap();
    assert!(reported.is_some());
    assert!(world.assigned().is_empty());
    for _ in 0..4 {
        world.coordinator.worker_is_alive(worker, world.now);
        world.pass(Duration::from_secs(10));
    }
    let [(_, again)] = world.assigned().try_into().unwrap();
    assert_eq!(again.attempt, 2);
}

#[test]
fn outcomes_expire() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    let key = world.submit(Spec { id: Some(id("x")), keep: 1_000, ..spec("a") });
    let [(_, task)] = world.assigned().try_into().unwrap();
    world.coordinator.reported(worker, task.fence, done(), world.now).unwrap();
    world.commit();
    world.coordinator.worker_left(worker, world.now).unwrap();
    world.pass(Duration::from_millis(999));
    assert!(world.coordinator.find(&id("x")).unwrap().is_some());
    world.pass(Duration::from_millis(1));
    assert!(world.coordinator.find(&id("x")).unwrap().is_none());
    // The id can be had again, before and after the old one is gone from the disk.
    let other = world.submit(Spec { id: Some(id("x")), ..spec("a") });
    world.commit();
    assert_ne!(other, key);
    assert_eq!(world.coordinator.find(&id("x")).unwrap().unwrap().0, other);
    assert_eq!(world.coordinator.wait(world.now), None);
}

#[test]
fn a_draining_coordinator_takes_and_gives_nothing_new() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    world.submit(spec("a"));
    let [(_, task)] = world.assigned().try_into().unwrap();
    world.coordinator.drain(true, world.now).unwrap();
    assert_eq!(world.coordinator.submit(spec("a"), world.now).unwrap(), Err(Refused::Draining));
    world.coordinator.reported(worker, task.fence, Report::GivenBack, world.now).unwrap();
    assert!(world.assigned().is_empty());
    world.coordinator.drain(false, world.now).unwrap();
    assert_eq!(world.assigned().len(), 1);
}

#[test]
fn a_result_that_is_too_large_is_a_failure_whatever_its_worker_thinks() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    let key = world.submit(Spec { retries: 0, ..spec("a") });
    let [(_, task)] = world.assigned().try_into().unwrap();
    let result = format!("\"{}\"", "x".repeat(MOST_RESULT));
    let large = Report::Succeeded(RawValue::from_string(result).unwrap());
    world.coordinator.reported(worker, task.fence, large, world.now).unwrap().unwrap();
    let record = world.record(key);
    assert_eq!((record.outcome(), record.result.is_none()), (Some(Outcome::Failed), true));
    assert!(record.error.unwrap().starts_with("its result is too large: 2097154 bytes"));
}

#[test]
fn output_that_was_kept_when_the_coordinator_stopped_is_kept_once() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    let key = world.submit(spec("a"));
    let [(_, task)] = world.assigned().try_into().unwrap();
    let write = |world: &mut World, worker, offset, text: &str| {
        let pieces = [Piece::Stdout(text.into())];
        world.coordinator.wrote(worker, task.fence, offset, &pieces, None).unwrap()
    };
    assert!(write(&mut world, worker, 0, "one ").is_some());
    world.commit();
    assert!(write(&mut world, worker, 4, "two ").is_some());
    world.restart();
    assert_eq!(write(&mut world, worker, 4, "two "), None, "it has not come back");
    let worker = world.join_again(1, &["a"], vec![task.fence]);
    // What it has not heard of it says again.
    for (offset, text) in [(0, "one "), (4, "two "), (4, "two ")] {
        assert!(write(&mut world, worker, offset, text).is_some());
    }
    world.commit();
    let rows = world.disk.output(key, 0, usize::MAX).unwrap();
    let pieces: Vec<_> = rows.iter().flat_map(|(_, row)| &row.pieces).map(Piece::text).collect();
    assert_eq!(pieces.concat(), "one two ");
}
