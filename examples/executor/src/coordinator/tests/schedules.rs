//! Schedules, in virtual time.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{BEGIN, World, spec};
use crate::coordinator::Report;
use crate::schedule::{
    Missed, Overlap, Schedule, ScheduleName, ScheduleRecord, ScheduleRefused, When,
};
use crate::store::Change;
use crate::task::{Spec, TaskId, Timestamp};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn name(text: &str) -> ScheduleName {
    ScheduleName::new(text).unwrap()
}

/// Each half an hour: at 8:00 it begins.
fn half_hours(missed: Missed, overlap: Overlap) -> Schedule {
    let when = When::Cron { expression: "*/30 * * * *".into(), zone: "UTC".into() };
    Schedule { name: name("s"), when, task: spec("a"), deadline: None, missed, overlap }
}

impl World {
    fn add(&mut self, schedule: Schedule) {
        self.coordinator.add_schedule(schedule, false, self.now).unwrap();
    }

    fn schedule(&self) -> ScheduleRecord {
        ScheduleRecord::clone(&self.coordinator.schedules(None).0[0])
    }

    /// The hours and minutes of the tasks that the next batch has, which is committed.
    fn times(&mut self) -> Vec<String> {
        let batch = self.commit();
        let changes = batch.map(|batch| batch.changes).unwrap_or_default();
        let put = |change| match change {
            Change::New(record) => Some(record.id.clone()),
            _ => None,
        };
        let ids: Vec<TaskId> = changes.into_iter().filter_map(|(_, change)| put(change)).collect();
        ids.iter().map(|id| id.as_str()["s:2027-01-15T".len()..][..5].to_owned()).collect()
    }
}

#[test]
fn a_schedule_submits_a_task_at_each_of_its_times() {
    let mut world = World::new();
    assert_eq!(name("s").task_id(Timestamp(BEGIN)).as_str(), "s:2027-01-15T08:00:00Z");
    let task = Spec { priority: crate::task::Priority::new(9).unwrap(), ..spec("a") };
    world.add(Schedule { task, deadline: Some(5_000), ..half_hours(Missed::Once, Overlap::Allow) });
    assert!(world.times().is_empty());
    world.pass(HOUR);
    assert_eq!(world.times(), ["08:30", "09:00"]);
    let id = TaskId::new("s:2027-01-15T09:00:00Z").unwrap();
    let (_, record) = world.coordinator.find(&id).unwrap().unwrap();
    assert_eq!(record.spec.priority.level(), 9);
    assert_eq!(record.spec.deadline, Some(world.now.wall.after(Duration::from_secs(5))));
    let schedule = world.schedule();
    assert_eq!((schedule.runs, schedule.skipped), (2, 0));
    assert_eq!(schedule.next, Some(world.now.wall.after(HOUR / 2)));
    assert_eq!(schedule.last_task, Some(id));
}

#[test]
fn times_at_which_the_coordinator_was_not_there_are_made_up_for_as_one_wants() {
    let after_a_while = |missed, gone: Duration| {
        let mut world = World::new();
        world.add(half_hours(missed, Overlap::Allow));
        world.commit();
        world.skip(gone);
        world.restart();
        world.pass(Duration::ZERO);
        let made_up = world.times();
        // It goes on as if nothing had been.
        world.pass(HOUR / 2);
        assert_eq!(world.times().len(), 1);
        (made_up, world.schedule().skipped)
    };
    let long = 2 * HOUR + 5 * MINUTE;
    let all = ["08:30", "09:00", "09:30", "10:00"].map(str::to_owned).to_vec();
    assert_eq!(after_a_while(Missed::All, long), (all, 0));
    assert_eq!(after_a_while(Missed::Once, long), (vec!["10:00".to_owned()], 0));
    assert_eq!(after_a_while(Missed::Skip, long), (vec![], 1));
    // It was away for a moment only.
    let short = HOUR / 2 + MINUTE;
    assert_eq!(after_a_while(Missed::Skip, short), (vec!["08:30".to_owned()], 0));
    assert_eq!(after_a_while(Missed::Skip, Duration::ZERO), (vec![], 0));
}

#[test]
fn a_task_that_has_not_ended_may_keep_the_next_from_being_submitted() {
    let mut world = World::new();
    let worker = world.join(1, &["a"]);
    world.add(half_hours(Missed::Once, Overlap::Skip));
    let beat = |world: &mut World, minutes: u32| {
        for _ in 0..minutes * 6 {
            world.coordinator.worker_is_alive(worker, world.now);
            world.pass(Duration::from_secs(10));
        }
    };
    beat(&mut world, 65);
    let schedule = world.schedule();
    assert_eq!((schedule.runs, schedule.skipped), (1, 1));
    let [(_, task)] = world.assigned().try_into().unwrap();
    let done = Report::Succeeded(serde_json::value::RawValue::NULL.to_owned());
    world.coordinator.reported(worker, task.fence, done, world.now).unwrap();
    beat(&mut world, 30);
    let schedule = world.schedule();
    assert_eq!((schedule.runs, schedule.skipped), (2, 1));
    // By hand there may be two.
    let asked = world.now.wall;
    for _ in 0..2 {
        let run = world.coordinator.run_schedule(&name("s"), asked, world.now).unwrap().unwrap();
        assert_eq!(run.unwrap().id.as_str(), "s:2027-01-15T09:35:00Z");
    }
    assert_eq!(world.schedule().runs, 3);
}

#[test]
fn no_time_has_two_tasks_whatever_becomes_of_the_clock() {
    let mut world = World::new();
    world.add(half_hours(Missed::All, Overlap::Allow));
    world.pass(HOUR);
    assert_eq!(world.times(), ["08:30", "09:00"]);
    // The clock is set back, and comes to the same times again: also after a restart, and when nothing is left of the
    // tasks.
    world.now.wall = Timestamp(BEGIN);
    world.pass(HOUR / 2);
    world.restart();
    world.pass(HOUR);
    assert_eq!(world.times(), ["09:30"]);
    // It is set forward: that is noticed within a minute.
    world.now.wall = world.now.wall.after(HOUR);
    world.pass(MINUTE);
    assert_eq!(world.times(), ["10:00", "10:30"]);
}

#[test]
fn a_clock_that_was_years_ahead_and_is_set_right_stops_no_schedule() {
    for restarts in [false, true] {
        let mut world = World::new();
        world.add(half_hours(Missed::Once, Overlap::Allow));
        let when = When::Every(600_000);
        world.add(Schedule {
            name: name("every"),
            when,
            ..half_hours(Missed::Once, Overlap::Allow)
        });
        let years = Duration::from_secs(9 * 365 * 24 * 60 * 60);
        let right = world.now.wall;
        world.now.wall = right.after(years);
        world.pass(HOUR);
        world.commit();
        world.now.wall = right.after(HOUR);
        if restarts {
            world.restart();
        }
        world.pass(HOUR);
        for (name, most) in [("s", 1_800_000), ("every", 600_000)] {
            let all = world.coordinator.schedules(None).0;
            let record = all.iter().find(|record| record.schedule.name.as_str() == name).unwrap();
            assert!(record.next.unwrap().0 <= world.now.wall.0 + most, "{name} {record:?}");
            assert!(
                record.last_time.unwrap() > right && record.last_time.unwrap() <= world.now.wall
            );
        }
    }
}

#[test]
fn a_paused_schedule_submits_nothing_and_one_that_is_removed_is_gone() {
    let mut world = World::new();
    world.add(half_hours(Missed::All, Overlap::Allow));
    assert!(world.coordinator.pause_schedule(&name("s"), true, world.now).is_some());
    assert_eq!(world.coordinator.wait(world.now), None);
    world.commit();
    world.restart();
    world.pass(HOUR);
    assert!(world.times().is_empty());
    assert!(world.schedule().paused);
    assert!(world.coordinator.pause_schedule(&name("s"), false, world.now).is_some());
    world.pass(HOUR / 2);
    assert_eq!(world.times(), ["09:30"]);
    assert!(world.coordinator.remove_schedule(&name("s")).is_some());
    world.commit();
    world.restart();
    world.pass(HOUR);
    assert!(world.times().is_empty());
    assert!(world.coordinator.schedules(None).0.is_empty());
    for changed in [
        world.coordinator.remove_schedule(&name("s")),
        world.coordinator.pause_schedule(&name("s"), true, world.now),
    ] {
        assert_eq!(changed, None);
    }
    assert!(
        world.coordinator.run_schedule(&name("s"), world.now.wall, world.now).unwrap().is_none()
    );
}

#[test]
fn what_is_due_while_no_tasks_are_taken_is_late() {
    let mut world = World::new();
    world.add(half_hours(Missed::All, Overlap::Allow));
    world.coordinator.drain(true, world.now).unwrap();
    assert_eq!(world.coordinator.wait(world.now), None);
    world.pass(HOUR);
    assert!(world.times().is_empty());
    world.coordinator.drain(false, world.now).unwrap();
    world.pass(Duration::ZERO);
    assert_eq!(world.times(), ["08:30", "09:00"]);
}

#[test]
fn a_schedule_that_cannot_be_is_refused_and_one_can_replace_another() {
    let mut world = World::new();
    let schedule = || half_hours(Missed::Once, Overlap::Allow);
    let cron = |expression: &str| When::Cron { expression: expression.into(), zone: "UTC".into() };
    for (wrong, why) in [
        (Schedule { when: cron("soon"), ..schedule() }, "is no cron expression"),
        (Schedule { when: cron("0 0 30 2 *"), ..schedule() }, "none of its times is to come"),
        (Schedule { when: When::Every(10), ..schedule() }, "one second at least"),
        (
            Schedule { task: Spec { retries: 1_001, ..spec("a") }, ..schedule() },
            "retried 1000 times",
        ),
        (
            Schedule { task: Spec { at: Some(Timestamp(1)), ..spec("a") }, ..schedule() },
            "has no id, at, deadline and after",
        ),
    ] {
        let refused = world.coordinator.add_schedule(wrong, false, world.now).unwrap_err();
        assert!(refused.to_string().contains(why), "{refused}");
    }
    world.add(schedule());
    world.pass(HOUR);
    assert_eq!(world.times(), ["08:30", "09:00"]);
    // Its client did not hear that it was taken.
    world.add(schedule());
    assert_eq!(world.schedule().runs, 2);
    let other = Schedule { when: When::Every(600_000), ..schedule() };
    let refused = world.coordinator.add_schedule(other.clone(), false, world.now);
    assert_eq!(refused, Err(ScheduleRefused::IsThere));
    world.coordinator.add_schedule(other, true, world.now).unwrap();
    world.pass(Duration::from_secs(1_200));
    assert_eq!(world.times(), ["09:10", "09:20"]);
    assert_eq!(world.schedule().runs, 4);
}

#[test]
fn many_schedules_are_told_in_parts_and_have_a_limit() {
    let mut world = World::new();
    let args = serde_json::value::to_raw_value(&"x".repeat(10_000)).unwrap();
    let schedule = |number: usize| Schedule {
        name: name(&format!("s{number:04}")),
        task: Spec { args: args.clone(), ..spec("a") },
        ..half_hours(Missed::Once, Overlap::Allow)
    };
    for number in 0..1_000 {
        world.add(schedule(number));
    }
    let refused = world.coordinator.add_schedule(schedule(1_000), false, world.now);
    assert_eq!(refused, Err(ScheduleRefused::TooMany));
    let (mut told, mut parts) = (Vec::new(), 0);
    loop {
        let after =
            told.last().map(|last: &std::rc::Rc<ScheduleRecord>| last.schedule.name.clone());
        let (part, is_more) = world.coordinator.schedules(after.as_ref());
        told.extend(part);
        parts += 1;
        if !is_more {
            break;
        }
    }
    let names: BTreeSet<_> = told.iter().map(|record| record.schedule.name.clone()).collect();
    assert_eq!((told.len(), names.len(), parts), (1_000, 1_000, 11));
}

#[test]
fn whatever_is_lost_no_time_is_left_out_and_none_has_two_tasks() {
    for seed in 0..20 {
        let mut world = World::with_seed(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        world.add(half_hours(Missed::All, Overlap::Allow));
        world.commit();
        let mut ids = Vec::new();
        for _ in 0..200 {
            match random.u32(0..10) {
                0..6 => world.pass(Duration::from_secs(random.u64(0..3_000))),
                6..9 => ids.extend(put(&mut world)),
                _ => world.restart(),
            }
        }
        world.pass(MINUTE);
        ids.extend(put(&mut world));
        let hours = world.now.wall.0.saturating_sub(BEGIN) / 1_800_000;
        let expected: Vec<_> = (1..=hours)
            .map(|half| name("s").task_id(Timestamp(BEGIN + half * 1_800_000)))
            .collect();
        assert_eq!(ids, expected, "seed {seed}");
    }
}

/// Tasks that are on the disk from now on.
fn put(world: &mut World) -> Vec<TaskId> {
    let changes = world.commit().map(|batch| batch.changes).unwrap_or_default();
    let id = |(_, change)| match change {
        Change::New(record) => Some(record.id.clone()),
        _ => None,
    };
    changes.into_iter().filter_map(id).collect()
}
