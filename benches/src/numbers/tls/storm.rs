//! A storm of handshakes while established connections echo.

use super::super::Bench;
use super::names;
use crate::Result;
use crate::contender::Contender;
use crate::load_process::{LoadProcess, LoadResult};
use crate::report::{Table, median};
use crate::server_process::ServerProcess;

const STORM: u64 = 2_000;

/// What the load reports, and by what to multiply it for the table; of the calm only the first.
const VALUES: [(&str, f64); 5] =
    [("p50", 1e-3), ("p99", 1e-3), ("max", 1e-3), ("echoes", 1.0), ("storm_seconds", 1e3)];
const OF_THE_CALM: usize = 2;
const HEADINGS: [&str; 8] = [
    "ms",
    "p50, calm",
    "p99, calm",
    "p50",
    "p99",
    "longest",
    "echoes in the storm",
    "the storm took",
];

pub(super) fn measure(bench: &Bench, contenders: &[Contender]) -> Result {
    if !bench.wants("storm") {
        return Ok(());
    }
    println!(
        "\n## TLS: round trips of 50 connections during {STORM} handshakes, ms, medians of {} \
         rounds\n",
        bench.rounds
    );
    let mut rows = vec![[const { Vec::new() }; OF_THE_CALM + VALUES.len()]; contenders.len()];
    let outcome = bench.in_turn("TLS, storm", contenders, |contender| {
        let place = contenders.iter().position(|other| other.name == contender.name);
        let columns = &mut rows[place.unwrap_or(0)];
        let (calm, storm) = (run(bench, contender, 0)?, run(bench, contender, STORM)?);
        let calm = VALUES[..OF_THE_CALM].iter().map(|value| (&calm, value));
        let both = calm.chain(VALUES.iter().map(|value| (&storm, value)));
        for (column, (result, (name, scale))) in columns.iter_mut().zip(both) {
            column.push(result.number(name)? * scale);
        }
        storm.number("p99")
    });
    let mut table = Table::new(HEADINGS);
    for (name, columns) in names(contenders).zip(&rows) {
        let cells = columns.iter().map(|values| format!("{:.2}", median(values)));
        table.row(std::iter::once(name.to_owned()).chain(cells));
    }
    println!("{table}");
    outcome.map(drop)
}

fn run(bench: &Bench, contender: &Contender, handshakes: u64) -> Result<LoadResult> {
    let arguments = format!("storm --handshakes {handshakes}");
    let arguments: Vec<_> = arguments.split(' ').map(String::from).collect();
    let server = ServerProcess::start(contender, bench.server_core)?;
    let mut load = LoadProcess::start(server.address(), &arguments, bench.load_core)?;
    let result = load.result()?;
    load.finish()?;
    server.stop()?;
    Ok(result)
}
