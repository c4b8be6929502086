//! hyper on wharf beside hyper on tokio: a short text, asked for again and again.

use super::counting::Lengths;
use super::echo::timed_run;
use super::{Bench, installed};
use crate::Result;
use crate::contender;
use crate::report::Table;

const TOKIO: &str = "hyper-tokio";
const WHARF: &str = "hyper-wharf";

/// At most so much of tokio's.
const LIMIT: f64 = 1.0;

/// One request under way on each of so many connections, and how many make up one measurement of time.
const ROWS: [(&str, usize, u64); 2] =
    [("request, 1 connection", 1, 10_000), ("request, 50 connections", 50, 60_000)];

pub(super) fn measure(bench: &mut Bench) -> Result {
    let contenders = bench.chosen(contender::hyper([TOKIO, WHARF])?);
    let names = || contenders.iter().map(|contender| contender.name);
    println!("\n## hyper: server CPU per request, µs, medians of {} rounds\n", bench.rounds);
    let headings = ["per"].into_iter().chain(names());
    let ratio = format!("{WHARF} / {TOKIO}, at most {LIMIT}");
    let mut times = Table::new(headings.map(str::to_owned).chain([ratio]));
    let columns = ["instructions", "allocations"];
    let headings =
        columns.iter().flat_map(|what| names().map(move |name| format!("{name}, {what}")));
    let mut counts = Table::new(["per".to_owned()].into_iter().chain(headings));
    for (row, connections, requests) in ROWS {
        if !bench.wants(row) {
            continue;
        }
        let arguments = arguments(connections, requests);
        let samples = bench.in_turn(&format!("hyper, {row}"), &contenders, |contender| {
            Ok(timed_run(bench, contender, &arguments)?.server_cpu / requests as f64 * 1e6)
        })?;
        let ratio = samples.ratio(WHARF, TOKIO);
        if let Some(ratio) = ratio {
            bench.limit_ratio(&format!("hyper, {row}: CPU / {TOKIO}"), ratio, LIMIT);
        }
        let cell = ratio.map_or_else(String::new, |ratio| ratio.to_string());
        times.row([row.to_owned()].into_iter().chain(samples.medians()).chain([cell]));
        if !installed("valgrind") {
            continue;
        }
        let (short, long) = if connections == 1 { (500, 3_500) } else { (1_000, 11_000) };
        let lengths = Lengths {
            short: self::arguments(connections, short),
            long: self::arguments(connections, long),
            units: (long - short) as f64,
        };
        let mut executed = Vec::new();
        for contender in &contenders {
            eprintln!("hyper, instructions per {row}: {}", contender.name);
            executed.push(lengths.executed(bench, contender)?);
        }
        let instructions = executed.iter().map(|executed| format!("{:.0}", executed.instructions));
        let allocations = executed.iter().map(|executed| format!("{:.2}", executed.allocations));
        counts.row([row.to_owned()].into_iter().chain(instructions).chain(allocations));
    }
    println!("{times}\nUser-space instructions and allocations:\n\n{counts}");
    Ok(())
}

/// What to give to `load`.
fn arguments(connections: usize, requests: u64) -> Vec<String> {
    let line = format!("http --connections {connections} --requests {requests} --warm-up 1000");
    line.split(' ').map(String::from).collect()
}
