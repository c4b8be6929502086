//! Every operation, given up at each of its steps.

use std::time::{Duration, Instant};

use wharf::testing::step;

use crate::alone;
use crate::held::Held;
use crate::operations::{self, Begin};
use crate::running::PATIENCE;
use crate::stage::Stage;

/// No operation is done in fewer steps than this and in more than that: those that take longer wait
/// for something, and are given up then too.
const MOST_STEPS: usize = 14;

#[test]
fn every_operation_in_memory_is_given_up_at_each_of_its_steps_and_leaves_nothing() {
    let _alone = alone();
    let stage = Stage::in_memory();
    for (name, begin) in operations::of_any_loop() {
        give_up_at_each_step(&stage, name, begin);
    }
}

#[test]
fn every_operation_of_the_system_is_given_up_at_each_of_its_steps_and_leaves_nothing() {
    let _alone = alone();
    let stage = Stage::on_the_system();
    let mut operations = operations::of_any_loop();
    operations.extend(operations::of_the_system());
    operations.extend(crate::streams::of_the_system());
    for (name, begin) in operations {
        give_up_at_each_step(&stage, name, begin);
    }
}

fn give_up_at_each_step(stage: &Stage, name: &str, begin: Begin) {
    // Once to its end, for what a loop keeps from the first time on.
    let started = begin(stage);
    let deadline = Instant::now() + Duration::from_millis(500);
    while !started.is_done() && Instant::now() < deadline {
        take_a_step(stage);
    }
    drop(started);
    settle(stage);
    let before = Held::by(&stage.event_loop);
    for steps in 0..=MOST_STEPS {
        let started = begin(stage);
        for _ in 0..steps {
            step(&stage.event_loop).expect("the loop runs");
        }
        let was_done = started.is_done();
        drop(started);
        before.wait_for(&stage.event_loop, &format!("{name}, given up after {steps} steps"));
        if was_done && steps > 2 {
            break;
        }
    }
    // Done, be it late, and not taken.
    let started = begin(stage);
    let deadline = Instant::now() + Duration::from_millis(500);
    while !started.is_done() && Instant::now() < deadline {
        take_a_step(stage);
    }
    drop(started);
    before.wait_for(&stage.event_loop, &format!("{name}, whose result nobody took"));
    assert_eq!(stage.reports.take(), [""; 0], "{name}");
}

fn take_a_step(stage: &Stage) {
    if stage.is_memory {
        step(&stage.event_loop).expect("the loop runs");
    } else {
        let nap = stage.event_loop.sleep(Duration::from_micros(100));
        stage.event_loop.run_until_complete(nap).expect("the loop runs");
    }
}

/// Until nothing changes any more.
fn settle(stage: &Stage) {
    let deadline = Instant::now() + PATIENCE;
    let mut held = Held::by(&stage.event_loop);
    let mut unchanged = 0;
    while unchanged < 20 {
        assert!(Instant::now() < deadline, "it does not come to rest");
        wharf::testing::settle(&stage.event_loop).expect("the loop runs");
        take_a_step(stage);
        let now = Held::by(&stage.event_loop);
        unchanged = if now == held { unchanged + 1 } else { 0 };
        held = now;
    }
}
