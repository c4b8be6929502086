//! Round trips on simulated networks: wharf's, turmoil's and madsim's, in turn, in one run.
//!
//! ```sh
//! cd benches/simulators && cargo run --release
//! ```
//!
//! Each simulates, for each seed, a server that echoes and its clients. Whatever is sent takes 1 to 5 ms. Each client
//! connects over TCP and sends so many messages of 128 B, one after the other, and reads each back. What is printed is how
//! many round trips a second of the processor's time is good for, and wharf's ratio to the others, round by round: the
//! median of the rounds, and the least and the most. Who begins moves on by one each round.
//!
//! With the name of a row, and that of a simulator, that alone is run, once: for a profiler.
#![forbid(unsafe_code)]

use std::env;
use std::error::Error;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

mod with_madsim;
mod with_turmoil;
mod with_wharf;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// How long what is sent takes.
const LATENCY: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(5)];
/// How long a message is.
const LENGTH: usize = 128;
const ROUNDS: usize = 11;

/// What is simulated.
#[derive(Clone, Copy)]
struct Scenario {
    clients: usize,
    /// Of each client.
    round_trips: usize,
    /// How many take part: turmoil takes minutes for a thousand hosts.
    contenders: usize,
}

/// What runs a simulation with a seed.
type Contender = (&'static str, fn(u64, Scenario) -> Result);

/// wharf is the first.
const CONTENDERS: [Contender; 3] =
    [("wharf", with_wharf::run), ("madsim", with_madsim::run), ("turmoil", with_turmoil::run)];

/// What is measured: how many seeds, and of what.
const ROWS: [(&str, u64, Scenario); 4] = [
    ("long", 4, Scenario { clients: 4, round_trips: 5_000, contenders: 3 }),
    ("short", 1_000, Scenario { clients: 1, round_trips: 10, contenders: 3 }),
    ("hosts", 1, Scenario { clients: 1_000, round_trips: 10, contenders: 2 }),
    ("more hosts", 1, Scenario { clients: 5_000, round_trips: 10, contenders: 2 }),
];

fn main() -> Result {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let wanted = |place: usize, name: &str| arguments.get(place).is_none_or(|it| it == name);
    for (name, seeds, scenario) in ROWS {
        if !wanted(0, name) {
            continue;
        }
        let Scenario { clients, round_trips, .. } = scenario;
        println!("{name}: {seeds} seeds, {clients} clients of {round_trips} round trips");
        if arguments.len() < 2 {
            compare(seeds, scenario)?;
            continue;
        }
        for (_, run) in CONTENDERS.iter().filter(|(name, _)| wanted(1, name)) {
            (0..seeds).try_for_each(|seed| run(seed, scenario))?;
        }
    }
    Ok(())
}

fn compare(seeds: u64, scenario: Scenario) -> Result {
    let mut rates = vec![Vec::new(); scenario.contenders];
    // The first warms up.
    for round in 0..=ROUNDS {
        for turn in 0..scenario.contenders {
            let place = (round + turn) % scenario.contenders;
            let rate = measure(CONTENDERS[place].1, seeds, scenario)?;
            if round > 0 {
                rates[place].push(rate);
            }
        }
    }
    for ((contender, _), own) in CONTENDERS.iter().zip(&rates) {
        let [least, median, most] = spread(own.iter().copied());
        let ratios = rates[0].iter().zip(own).map(|(wharf, own)| wharf / own);
        let [low, ratio, high] = spread(ratios);
        println!(
            "{contender:>8} {median:>10.0} a second ({least:.0} to {most:.0}), \
             wharf's to it {ratio:.2} ({low:.2} to {high:.2})"
        );
    }
    Ok(())
}

/// The least, the median and the most of the rounds.
fn spread(rounds: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = rounds.collect();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[ROUNDS / 2], sorted[ROUNDS - 1]]
}

/// Round trips per second of processor time.
fn measure(run: fn(u64, Scenario) -> Result, seeds: u64, scenario: Scenario) -> Result<f64> {
    let before = processor_time();
    for seed in 0..seeds {
        run(seed, scenario)?;
    }
    let used = processor_time() - before;
    Ok((seeds as usize * scenario.clients * scenario.round_trips) as f64 / used.as_secs_f64())
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
