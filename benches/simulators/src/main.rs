//! Round trips on simulated networks: wharf's, turmoil's and madsim's, in turn, in one run.
//!
//! ```sh
//! cd benches/simulators && cargo run --release
//! ```
//!
//! Each simulates, for each seed, a server that echoes and four clients. Whatever is sent takes 1 to 5 ms. Each client
//! connects over TCP and sends so many messages of 128 B, one after the other, and reads each back. What is printed is how
//! many round trips a second of the processor's time is good for: the median of the rounds, and the least and the most.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

mod with_madsim;
mod with_turmoil;
mod with_wharf;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// How long what is sent takes.
const LATENCY: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(5)];
const CLIENTS: usize = 4;
/// How long a message is.
const LENGTH: usize = 128;
const ROUNDS: usize = 7;

/// What runs a simulation with a seed, and so many round trips for each client.
type Contender = (&'static str, fn(u64, usize) -> Result);

const CONTENDERS: [Contender; 3] =
    [("wharf", with_wharf::run), ("turmoil", with_turmoil::run), ("madsim", with_madsim::run)];

/// What is measured: how many seeds, and round trips of each client.
const ROWS: [(&str, u64, usize); 2] = [("long", 4, 5_000), ("short", 400, 10)];

fn main() -> Result {
    for (name, seeds, round_trips) in ROWS {
        println!("{name}: {seeds} seeds, {CLIENTS} clients of {round_trips} round trips");
        let mut rates = CONTENDERS.map(|_| Vec::new());
        for round in 0..=ROUNDS {
            for ((_, run), rates) in CONTENDERS.iter().zip(&mut rates) {
                let rate = measure(*run, seeds, round_trips)?;
                // The first warms up.
                if round > 0 {
                    rates.push(rate);
                }
            }
        }
        for ((contender, _), mut rates) in CONTENDERS.iter().zip(rates) {
            rates.sort_by(f64::total_cmp);
            let (least, median, most) = (rates[0], rates[ROUNDS / 2], rates[ROUNDS - 1]);
            println!("{contender:>8} {median:>10.0} a second ({least:.0} to {most:.0})");
        }
    }
    Ok(())
}

/// Round trips per second of processor time.
fn measure(run: fn(u64, usize) -> Result, seeds: u64, round_trips: usize) -> Result<f64> {
    let before = processor_time();
    for seed in 0..seeds {
        run(seed, round_trips)?;
    }
    let used = processor_time() - before;
    Ok((seeds as usize * CLIENTS * round_trips) as f64 / used.as_secs_f64())
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
