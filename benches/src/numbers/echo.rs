//! Server CPU per echoed message, in microseconds.

use std::thread;
use std::time::Duration;

use super::{Bench, median_headings, ratio_headings};
use crate::Result;
use crate::contender::{Contender, RAW_MIO};
use crate::counters::cpu;
use crate::load_process::LoadProcess;
use crate::report::Table;
use crate::scenario::{EchoScenario, TIMED};
use crate::server_process::ServerProcess;

/// How long a server gets to go to sleep before its account is read.
const SETTLING: Duration = Duration::from_millis(5);

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## Echo: server CPU per message, µs, medians of {} rounds\n", bench.rounds);
    let mut tables = Tables {
        medians: Table::new(median_headings(bench)),
        ratios: Table::new(ratio_headings(bench)),
        speeds: Table::new(["load", "messages/s", "server busy", "load busy"]),
    };
    // What was measured before something fails has taken minutes, and is printed.
    let rows = bench.rows.clone();
    let mut chosen = TIMED.into_iter().filter(|scenario| scenario.to_string().contains(&rows));
    let outcome = chosen.try_for_each(|scenario| tables.measure(bench, scenario));
    println!("{}\nPaired ratios, median (quartiles):\n\n{}", tables.medians, tables.ratios);
    println!("The last round of {RAW_MIO}:\n\n{}", tables.speeds);
    outcome
}

struct Tables {
    medians: Table,
    ratios: Table,
    speeds: Table,
}

impl Tables {
    /// Adds a row to each.
    fn measure(&mut self, bench: &mut Bench, scenario: EchoScenario) -> Result {
        let arguments = scenario.arguments(scenario.messages);
        let mut yardstick = None;
        let samples = bench.in_turn(&scenario.to_string(), &bench.contenders, |contender| {
            let run = timed_run(bench, contender, &arguments)?;
            if contender.name == RAW_MIO {
                yardstick = Some(run);
            }
            Ok(run.server_cpu / scenario.messages as f64 * 1e6)
        })?;
        self.medians.row(std::iter::once(scenario.to_string()).chain(samples.medians()));
        self.ratios.row(std::iter::once(scenario.to_string()).chain(samples.ratios()));
        if let Some(run) = yardstick {
            self.speeds.row([
                scenario.to_string(),
                format!("{:.0}", scenario.messages as f64 / run.seconds),
                format!("{:.0} %", run.server_cpu / run.seconds * 100.0),
                format!("{:.0} %", run.load_cpu / run.seconds * 100.0),
            ]);
        }
        bench.ratio_limits(&scenario.to_string(), &samples);
        Ok(())
    }
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimedRun {
    /// Seconds of the server's CPU.
    pub(super) server_cpu: f64,
    /// Seconds of the load's CPU.
    pub(super) load_cpu: f64,
    /// Seconds on the clock.
    pub(super) seconds: f64,
}

/// Runs a fresh server under a load that reports `seconds` and `load_cpu_seconds`.
pub(super) fn timed_run(
    bench: &Bench,
    contender: &Contender,
    arguments: &[String],
) -> Result<TimedRun> {
    let server = ServerProcess::start(contender, bench.server_core)?;
    let mut load = LoadProcess::start(server.address(), arguments, bench.load_core)?;
    let before = settled_cpu(&server)?;
    let result = load.result()?;
    let server_cpu = (settled_cpu(&server)? - before).as_secs_f64();
    let load_cpu = result.number("load_cpu_seconds")?;
    let seconds = result.number("seconds")?;
    load.finish()?;
    server.stop()?;
    Ok(TimedRun { server_cpu, load_cpu, seconds })
}

/// A server's CPU time once it sleeps.
pub(super) fn settled_cpu(server: &ServerProcess) -> Result<Duration> {
    thread::sleep(SETTLING);
    cpu::time(server.id())
}
