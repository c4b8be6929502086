//! Operations given up again and again at random: nothing grows.
//!
//! With `WHARF_REPETITIONS` in the environment each operation is given up so many times by itself, and what
//! it costs is printed: so it shows which one grows. `WHARF_OPERATION` is a part of the names of those to try.

use std::cell::Cell;

use allocation_counter::measure;
use wharf::testing::step;

use crate::alone;
use crate::held::Held;
use crate::operations::{self, Begin};
use crate::stage::Stage;

/// Of all operations together, in memory. Debug builds are given what they do in some seconds.
const REPETITIONS: u32 = 20_000;

/// On the system's sockets, of which each costs system calls.
const SYSTEM_REPETITIONS: u32 = 2_000;

/// What the lists of a loop may have grown by: they keep the room of their fullest moment.
const MOST_BYTES: i64 = 32 * 1024;

const SEED: u64 = 0x5eed_0b12;

#[test]
fn heap_bytes_and_slots_stay_flat_over_operations_in_memory_that_are_given_up() {
    let _alone = alone();
    // Their memory is freed on other threads, or takes long.
    let excluded = ["a job", "TLS"];
    let operations = operations::of_any_loop();
    let chosen = |(name, _): &(&str, Begin)| !excluded.iter().any(|word| name.contains(word));
    let operations: Vec<_> = operations.into_iter().filter(chosen).collect();
    flat(&Stage::in_memory(), &operations, REPETITIONS);
}

#[cfg(feature = "tls")]
#[test]
fn heap_bytes_and_slots_stay_flat_over_handshakes_that_are_given_up() {
    let _alone = alone();
    let operations = operations::of_any_loop();
    let operations: Vec<_> =
        operations.into_iter().filter(|(name, _)| name.contains("TLS")).collect();
    flat(&Stage::in_memory(), &operations, REPETITIONS / 50);
}

#[test]
fn heap_bytes_and_descriptors_stay_flat_over_operations_of_the_system_that_are_given_up() {
    let _alone = alone();
    // Threads free what others allocate where names are resolved and files are used.
    let threads = ["a job", "by name", "to a name", "file", "standard output", "TLS"];
    let slow = ["FIFO without", "child", "program"];
    let mut operations = operations::of_any_loop();
    operations.extend(operations::of_the_system());
    let excluded = |name: &str| threads.iter().chain(&slow).any(|word| name.contains(word));
    operations.retain(|(name, _)| !excluded(name));
    flat(&Stage::on_the_system(), &operations, SYSTEM_REPETITIONS);
}

/// Begins operations at random, each given up after a random number of steps; or one after the other.
fn flat(stage: &Stage, operations: &[(&str, Begin)], repetitions: u32) {
    let random = Random(Cell::new(SEED));
    let Some(each) = repetitions_of_each() else {
        eprintln!("seed {SEED:#x}, {repetitions} times one of {} operations", operations.len());
        let grown = growth(stage, operations, repetitions, &random);
        assert!(grown < MOST_BYTES, "seed {SEED:#x}: {grown} bytes more");
        return;
    };
    let mut grows = Vec::new();
    let wanted = std::env::var("WHARF_OPERATION").unwrap_or_default();
    for operation in operations.iter().filter(|(name, _)| name.contains(&wanted)) {
        let grown = growth(stage, std::slice::from_ref(operation), each, &random);
        eprintln!("{each} times: {grown:>7} bytes more: {}", operation.0);
        if grown >= MOST_BYTES {
            grows.push((operation.0, grown));
        }
    }
    assert!(grows.is_empty(), "seed {SEED:#x}: {grows:?}");
}

fn repetitions_of_each() -> Option<u32> {
    let count = std::env::var("WHARF_REPETITIONS").ok()?;
    Some(count.parse().expect("WHARF_REPETITIONS is a number"))
}

/// By how many bytes the heap grows, after a warm-up; and the slots and descriptors are those of before.
fn growth(stage: &Stage, operations: &[(&str, Begin)], repetitions: u32, random: &Random) -> i64 {
    let run = |count: u32| {
        for _ in 0..count {
            let (_, begin) = operations[random.below(operations.len())];
            let started = begin(stage);
            for _ in 0..random.below(10) {
                step(&stage.event_loop).expect("the loop runs");
            }
            drop(started);
        }
        wharf::testing::settle(&stage.event_loop).expect("the loop runs");
    };
    let before = Held::by(&stage.event_loop);
    run(repetitions / 10);
    let before = || before.wait_for(&stage.event_loop, "what was given up");
    before();
    let info = measure(|| {
        run(repetitions - repetitions / 10);
        before();
    });
    assert_eq!(stage.reports.take(), [""; 0], "seed {SEED:#x}");
    info.bytes_current
}

/// A xorshift generator.
struct Random(Cell<u64>);

impl Random {
    fn below(&self, end: usize) -> usize {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        (state % end as u64) as usize
    }
}
