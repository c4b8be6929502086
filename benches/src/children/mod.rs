//! The benchmark of child processes: a program run to its end, for what it writes.
//!
//! The runner starts this program again for each contender and round; that one runs the same child
//! many times, one after the other, and prints what it took.

mod contenders;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::arguments::Arguments;
use crate::report::{PairedRatio, Table, median};

use contenders::CONTENDERS;

const STD: usize = 0;
/// What a limit is to.
const TOKIO: usize = 1;
/// The subject.
const WHARF: usize = 2;
/// The same with a protocol that is told of everything, which no limit is about.
const PROTOCOL: usize = 3;

/// Measures and prints what the command line asks for.
///
/// # Errors
/// The command line is wrong, a child fails, or `--check` is given and a limit is exceeded.
pub fn run(mut arguments: Arguments) -> Result {
    let count = arguments.option_or("--children", 1000)?;
    let rounds = arguments.option_or("--rounds", 15)?;
    let contender = arguments.option::<String>("--as")?;
    let check = arguments.flag("--check");
    arguments.finish()?;
    match contender {
        Some(name) => run_as(&name, count),
        None if cfg!(debug_assertions) => {
            Err("a debug build has no numbers worth printing: use --release".into())
        }
        None => compare(count, rounds, check),
    }
}

/// Runs the children, and prints the CPU time of this process and the time on the clock, both in
/// microseconds for one child.
fn run_as(name: &str, count: usize) -> Result {
    let (_, contender) =
        CONTENDERS.iter().find(|(known, _)| *known == name).ok_or("an unknown contender")?;
    let (began, used) = (Instant::now(), cpu_time());
    contender(count)?;
    let per_child = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
    println!("{} {}", per_child(cpu_time() - used), per_child(began.elapsed()));
    Ok(())
}

/// Of all threads; what the children use is not in it.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// All contenders in turn; who begins moves on by one each round.
fn compare(count: usize, rounds: usize, check: bool) -> Result {
    let mut cpu = [const { Vec::new() }; CONTENDERS.len()];
    let mut wall = [const { Vec::new() }; CONTENDERS.len()];
    for round in 0..rounds {
        eprintln!("children: round {} of {rounds}", round + 1);
        for step in 0..CONTENDERS.len() {
            let place = (round + step) % CONTENDERS.len();
            let (one, other) = measure(CONTENDERS[place].0, count)?;
            cpu[place].push(one);
            wall[place].push(other);
        }
    }
    println!("## Children: `/bin/echo hello` to its end with its output, µs for each\n");
    println!("{count} one after the other, medians of {rounds} rounds.\n");
    let names = CONTENDERS.iter().map(|(name, _)| *name);
    let ratios = ["wharf / std", "wharf / tokio", "protocol / tokio"];
    let mut table = Table::new(std::iter::once("").chain(names).chain(ratios));
    let mut exceeded = false;
    for (what, values) in [("CPU of the parent", &cpu), ("on the clock", &wall)] {
        let ratio = |of: usize, to: usize| PairedRatio::new(&values[of], &values[to]);
        // Times are noisy: three quarters of the rounds above it are an excess.
        exceeded |= ratio(WHARF, TOKIO).quartiles.0 > 1.0;
        let medians = values.iter().map(|values| format!("{:.1}", median(values)));
        let ratios = [(WHARF, STD), (WHARF, TOKIO), (PROTOCOL, TOKIO)];
        let ratios = ratios.map(|(of, to)| ratio(of, to).to_string());
        table.row(std::iter::once(what.to_owned()).chain(medians).chain(ratios));
    }
    println!("{table}");
    if exceeded {
        println!("exceeded: wharf takes more than tokio");
        if check {
            return Err("a limit is exceeded".into());
        }
    }
    Ok(())
}

fn measure(name: &str, count: usize) -> Result<(f64, f64)> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--as", name, "--children", &count.to_string()])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, std::num::ParseFloatError>>()?;
    match numbers[..] {
        [cpu, wall] if output.status.success() => Ok((cpu, wall)),
        _ => Err(format!("{name} failed: {}", output.status).into()),
    }
}
