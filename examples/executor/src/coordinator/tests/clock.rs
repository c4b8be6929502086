//! A wall clock that jumps.

use std::time::Duration;

use serde_json::value::RawValue;

use super::{BEGIN, World, spec};
use crate::coordinator::{Effect, Report};
use crate::task::{Outcome, Spec, Timestamp};

const HOURS: u64 = 5 * 60 * 60 * 1_000;

/// Forwards and backwards, now and after a restart, while tasks wait, run, are delayed and expire.
#[test]
fn a_wall_clock_that_jumps_loses_no_task_and_no_lease() {
    for (is_forwards, restarts) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut world = World::new();
        let worker = world.join(1, &["a"]);
        let running = world.submit(Spec { timeout: Some(60_000), ..spec("a") });
        let queued = world.submit(spec("b"));
        let delayed = world.submit(Spec { at: Some(Timestamp(BEGIN + 60_000)), ..spec("b") });
        let [(_, task)] = world.assigned().try_into().unwrap();
        world.commit();
        let wall = &mut world.now.wall.0;
        *wall = if is_forwards { *wall + HOURS } else { *wall - HOURS };
        let worker = if restarts {
            world.restart();
            world.join_again(1, &["a"], vec![task.fence])
        } else {
            worker
        };
        // Its lease and its timeout are as they were.
        for _ in 0..5 {
            world.coordinator.worker_is_alive(worker, world.now);
            world.pass(Duration::from_secs(10));
        }
        assert!(!world.effects.iter().any(|effect| matches!(effect, Effect::Stop { .. })));
        let done = Report::Succeeded(RawValue::NULL.to_owned());
        let recorded = world.coordinator.reported(worker, task.fence, done, world.now);
        assert!(recorded.unwrap().is_some());
        assert_eq!(world.record(running).outcome(), Some(Outcome::Succeeded));
        // What is delayed by the wall clock has its time by the wall clock.
        let other = world.join(2, &["b"]);
        let given = world.assigned().into_iter().filter(|(to, _)| *to == other).count();
        assert_eq!(given, if is_forwards { 2 } else { 1 });
        let due = world.coordinator.wait(world.now).unwrap();
        assert!(due <= Duration::from_secs(60), "the clock is not looked at for {due:?}");
        // And when it is right again, everything ends.
        if !is_forwards {
            world.now.wall.0 += HOURS + 60_000;
            world.coordinator.on_time(world.now).unwrap();
            assert_eq!(world.assigned().len(), 1);
        }
        for key in [queued, delayed] {
            let state = world.record(key).state;
            assert!(matches!(state, crate::task::State::Running { .. }), "{state:?}");
        }
    }
}
