//! The benchmark of pipes: bytes through one pipe whose ends are on the same thread, in writes of
//! 64 KiB, by wharf, by tokio, and by hand.

mod by_hand;
mod tokio;
mod wharf;

use std::time::Duration;

use crate::Result;
use crate::arguments::Arguments;
use crate::counters::cpu;
use crate::report::{PairedRatio, Table, median};

/// What one write is given.
const WRITE: usize = 64 * 1024;

/// Sends so many writes through a pipe, and says how many bytes came out.
type Run = fn(writes: u64) -> Result<u64>;

const CONTENDERS: [(&str, Run); 4] = [
    ("by hand", by_hand::run),
    ("tokio", tokio::run),
    ("wharf, write", wharf::run),
    ("wharf, write_bytes", wharf::run_shared),
];

/// Measures and prints what the command line asks for.
///
/// # Errors
/// The command line is wrong, or bytes were lost.
pub fn run(mut arguments: Arguments) -> Result {
    let rounds = arguments.option_or("--rounds", 15)?;
    let writes = arguments.option_or("--writes", 4096)?;
    let only: Option<String> = arguments.option("--only")?;
    arguments.finish()?;
    if cfg!(debug_assertions) {
        return Err("a debug build has no numbers worth printing: use --release".into());
    }
    if let Some(name) = only {
        let contender = CONTENDERS.iter().find(|(other, _)| *other == name);
        let (_, run) = contender.ok_or_else(|| format!("there is no contender {name}"))?;
        return measure(*run, writes).map(drop);
    }
    let mut samples = CONTENDERS.map(|_| Vec::new());
    for round in 0..rounds {
        for turn in 0..CONTENDERS.len() {
            let place = (round + turn) % CONTENDERS.len();
            let time = measure(CONTENDERS[place].1, writes)?;
            samples[place].push(time.as_secs_f64() * 1e6 / writes as f64);
        }
    }
    println!("## Pipes: CPU time per 64 KiB, {writes} writes, medians of {rounds} rounds\n");
    let mut table = Table::new(["", "µs per 64 KiB", "to by hand", "to tokio"]);
    for (place, (name, _)) in CONTENDERS.iter().enumerate() {
        let time = format!("{:.2}", median(&samples[place]));
        let ratio = |to: usize| PairedRatio::new(&samples[place], &samples[to]).to_string();
        table.row([(*name).to_owned(), time, ratio(0), ratio(1)]);
    }
    println!("{table}");
    Ok(())
}

/// The CPU time that it takes.
fn measure(run: Run, writes: u64) -> Result<Duration> {
    let before = cpu::own_time()?;
    let received = run(writes)?;
    if received != writes * WRITE as u64 {
        return Err(format!("{received} bytes came out").into());
    }
    Ok(cpu::own_time()? - before)
}
