//! Random sequences of what protocols can do, in any callback, over the in-memory driver.

#![forbid(unsafe_code)]

use std::panic::catch_unwind;

use proptest::prelude::*;
use wharf_fuzz::{simulation, stream};

/// How many scripts one run of the test plays, and the seed of the first; both can be set, as
/// `WHARF_RANDOM_RUNS` and `WHARF_RANDOM_SEED`.
const RUNS: u64 = 1000;
const SEED: u64 = 1;

/// Under layers of TLS each connection has handshakes: so much fewer are played.
const LAYERED_PART: u64 = 8;

/// Each simulation runs twice, and some have thousands of messages.
const SIMULATED_PART: u64 = 50;

#[test]
fn no_sequence_of_actions_breaks_a_promise() {
    play(1, |_| Vec::new());
}

/// As [`no_sequence_of_actions_breaks_a_promise`], where foreign code of every kind panics, too.
#[test]
fn no_sequence_of_panics_breaks_a_promise() {
    play(1, |_| vec![0xff, 0xfe]);
}

/// As [`no_sequence_of_actions_breaks_a_promise`], with TLS in TLS over pipes of a few bytes.
#[test]
fn no_sequence_under_layers_of_tls_breaks_a_promise() {
    play(LAYERED_PART, |seed| vec![0xff, 0xfd, seed as u8]);
}

/// Simulations of short inputs, in which few things happen, and of long ones.
#[test]
fn no_simulation_at_random_breaks_a_promise() {
    play_with(SIMULATED_PART, |seed| {
        let script = script_of(seed);
        let length = script.len() / 12 + usize::from(script[0] % 16);
        simulation::run(&script[1..1 + length]);
    });
}

/// Plays a `part`-th of the scripts that are asked for, each behind what `beginning` makes of its seed.
fn play(part: u64, beginning: impl Fn(u64) -> Vec<u8> + std::panic::RefUnwindSafe) {
    play_with(part, |seed| stream::run(&[beginning(seed), script_of(seed)].concat()));
}

/// Runs a `part`-th of the seeds that are asked for.
fn play_with(part: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let first = number("WHARF_RANDOM_SEED", SEED);
    for seed in first..first + number("WHARF_RANDOM_RUNS", RUNS).div_ceil(part) {
        if let Err(panic) = catch_unwind(|| run(seed)) {
            eprintln!("replay with WHARF_RANDOM_SEED={seed} WHARF_RANDOM_RUNS=1");
            std::panic::resume_unwind(panic);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Fewer scripts, but a failing one is shrunk.
    #[test]
    fn no_short_sequence_of_actions_breaks_a_promise(
        script in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        stream::run(&script);
    }
}

/// Some hundred bytes that depend on `seed` alone.
fn script_of(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = move || {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let len = 100 + next() % 900;
    (0..len).map(|_| (next() >> 32) as u8).collect()
}
