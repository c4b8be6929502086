//! Streams: the echo written as an async function, beside wharf's own protocol, tokio and smol.

use super::counting::Unit;
use super::echo::timed_run;
use super::memory::resident_per_connection;
use super::{Bench, installed};
use crate::Result;
use crate::contender::{self, Contender, SMOL, TOKIO, WHARF};
use crate::report::Table;
use crate::scenario::{EchoScenario, TIMED};

/// Reads into a buffer of the handler's, as on the other libraries.
const READ: &str = "wharf-read";
/// Reads what the stream lends.
const READ_CHUNK: &str = "wharf-read-chunk";
/// The same through `fill_buf` and `consume`.
const FILL_BUF: &str = "wharf-fill-buf";

const NAMES: [&str; 5] = [TOKIO, SMOL, READ, READ_CHUNK, FILL_BUF];
const STREAMS: [&str; 3] = [READ, READ_CHUNK, FILL_BUF];

/// Whom ratios of time are taken to, and at most so much of it.
const LIMITS: [(&str, f64); 2] = [(WHARF, 1.1), (TOKIO, 1.0)];
/// At most so much of tokio's instructions.
const INSTRUCTIONS: f64 = 0.6;

const CONNECTIONS: u64 = 10_000;
/// At most so many bytes for each of them, where the handler has no buffer.
const BYTES: f64 = 1024.0;

/// 64 B on one connection and on 50, each with and without messages in flight.
const ROWS: [EchoScenario; 4] = [TIMED[0], TIMED[1], TIMED[8], TIMED[9]];

pub(super) fn measure(bench: &mut Bench) -> Result {
    let mut contenders = bench.chosen(contender::standard()?);
    contenders.retain(|contender| contender.name == WHARF);
    contenders.extend(bench.chosen(contender::streams(NAMES)?));
    let rows: Vec<_> = ROWS.into_iter().filter(|row| bench.wants(&row.to_string())).collect();
    println!("\n## Streams: user-space instructions and allocations per message\n");
    if installed("valgrind") {
        count(bench, &contenders, &rows)?;
    } else {
        println!("Not measured: valgrind is not installed.");
    }
    if bench.wants("memory") {
        println!("\n## Streams: resident bytes per idle connection, {CONNECTIONS} of them\n");
        memory(bench, &contenders)?;
    }
    println!("\n## Streams: server CPU per message, µs, medians of {} rounds\n", bench.rounds);
    time(bench, &contenders, &rows)
}

fn names(contenders: &[Contender]) -> impl Iterator<Item = &'static str> {
    contenders.iter().map(|contender| contender.name)
}

fn count(bench: &mut Bench, contenders: &[Contender], rows: &[EchoScenario]) -> Result {
    let headings = || std::iter::once("per").chain(names(contenders));
    let mut instructions = Table::new(headings().chain(["a stream at most"]));
    let mut allocations = Table::new(headings());
    for &row in rows {
        let unit = Unit::Message(row);
        let mut cells = [vec![unit.to_string()], vec![unit.to_string()]];
        let mut limit = None;
        for contender in contenders {
            eprintln!("streams, instructions per {unit}: {}", contender.name);
            let executed = unit.lengths().executed(bench, contender)?;
            cells[0].push(format!("{:.0}", executed.instructions));
            cells[1].push(format!("{:.2}", executed.allocations));
            if contender.name == TOKIO {
                limit = Some(executed.instructions * INSTRUCTIONS);
            }
            if STREAMS.contains(&contender.name) {
                let what = format!("per {unit}: {}", contender.name);
                if let Some(limit) = limit {
                    let what = format!("instructions {what}");
                    bench.limit(&what, executed.instructions, limit.round());
                }
                let rounded = (executed.allocations * 10.0).round() / 10.0;
                bench.limit(&format!("allocations {what}"), rounded, 0.0);
            }
        }
        let [mut executed, allocated] = cells;
        executed.push(limit.map_or_else(String::new, |limit| format!("{limit:.0}")));
        instructions.row(executed);
        allocations.row(allocated);
    }
    println!("{instructions}\nAllocations:\n\n{allocations}");
    Ok(())
}

fn memory(bench: &mut Bench, contenders: &[Contender]) -> Result {
    let headings = std::iter::once("").chain(names(contenders));
    let mut table = Table::new(headings.chain(["lent at most"]));
    let mut row = vec!["bytes per connection, each used once".to_owned()];
    for contender in contenders {
        eprintln!("streams, memory: {}", contender.name);
        let bytes = resident_per_connection(bench, contender, CONNECTIONS, &[])?;
        row.push(format!("{bytes:.0}"));
        if [READ_CHUNK, FILL_BUF].contains(&contender.name) {
            let what = format!("bytes per idle stream: {}", contender.name);
            bench.limit(&what, bytes, BYTES);
        }
    }
    row.push(BYTES.to_string());
    table.row(row);
    println!("{table}");
    Ok(())
}

fn time(bench: &mut Bench, contenders: &[Contender], rows: &[EchoScenario]) -> Result {
    let measured: Vec<_> = names(contenders).collect();
    let pairs = STREAMS.into_iter().filter(|name| measured.contains(name)).flat_map(|name| {
        let measured = &measured;
        let baselines = LIMITS.into_iter().filter(|(baseline, _)| measured.contains(baseline));
        baselines.map(move |(baseline, limit)| (name, baseline, limit))
    });
    let pairs: Vec<_> = pairs.collect();
    let mut medians = Table::new(std::iter::once("load").chain(names(contenders)));
    let headings =
        pairs.iter().map(|(name, baseline, limit)| format!("{name} / {baseline}, at most {limit}"));
    let mut ratios = Table::new(std::iter::once("load".to_owned()).chain(headings));
    let mut measure = |scenario: EchoScenario| -> Result {
        let arguments = scenario.arguments(scenario.messages);
        let samples = bench.in_turn(&format!("streams, {scenario}"), contenders, |contender| {
            let run = timed_run(bench, contender, &arguments)?;
            Ok(run.server_cpu / scenario.messages as f64 * 1e6)
        })?;
        medians.row(std::iter::once(scenario.to_string()).chain(samples.medians()));
        let mut cells = vec![scenario.to_string()];
        for &(name, baseline, limit) in &pairs {
            let Some(ratio) = samples.ratio(name, baseline) else { continue };
            cells.push(ratio.to_string());
            let what = format!("streams, {scenario}: CPU of {name} / {baseline}");
            bench.limit_ratio(&what, ratio, limit);
        }
        ratios.row(cells);
        Ok(())
    };
    // What was measured before something fails has taken minutes, and is printed.
    let outcome = rows.iter().try_for_each(|&row| measure(row));
    println!("{medians}\nPaired ratios, median (quartiles):\n\n{ratios}");
    outcome
}
