//! What TLS costs: handshakes, bulk, messages, memory, and a storm of handshakes.

use std::fmt;
use std::fs;

use super::echo::{TimedRun, settled_cpu, timed_run};
use super::{Bench, Samples, installed, scratch_file};
use crate::contender::{self, Contender};
use crate::counters::{callgrind, resident, strace};
use crate::load_process::LoadProcess;
use crate::report::{Table, median};
use crate::server_process::ServerProcess;
use crate::{Failure, Result};

const RAW: &str = "tls-raw";
const RAW_SHARED: &str = "tls-raw-shared";
const TOKIO: &str = "tls-tokio";
const WHARF: &str = "tls-wharf";

/// Everybody to the hand-written loop, and the subject to everybody.
const RATIOS: [(&str, &str); 5] =
    [(RAW_SHARED, RAW), (TOKIO, RAW), (WHARF, RAW), (WHARF, RAW_SHARED), (WHARF, TOKIO)];

/// What is timed.
struct Row {
    name: &'static str,
    /// Without the number of units.
    load: &'static str,
    /// The option that says how many units there are.
    counted_by: &'static str,
    units: u64,
    /// How many of what is reported one unit is.
    per_unit: f64,
    /// At most so much of the hand-written loop, and of tokio.
    limits: (f64, f64),
}

const ROWS: [Row; 4] = [
    Row {
        name: "full handshake, 64 B, close; 50 at a time",
        load: "churn --tls --concurrent 50 --warm-up 200",
        counted_by: "--connections",
        units: 2_000,
        per_unit: 1.0,
        limits: (1.03, 1.0),
    },
    Row {
        name: "resumed handshake, 64 B, close; 50 at a time",
        load: "churn --tls --resume --concurrent 50 --warm-up 200",
        counted_by: "--connections",
        units: 2_000,
        per_unit: 1.0,
        limits: (1.03, 1.0),
    },
    Row {
        name: "bulk, MiB: 64 KiB messages, 8 connections",
        load: "echo --tls --connections 8 --size 65536 --warm-up 200",
        counted_by: "--messages",
        units: 4_000,
        per_unit: 0.0625,
        limits: (1.0, 0.9),
    },
    Row {
        name: "message: 64 B, 50 connections",
        load: "echo --tls --connections 50 --size 64 --warm-up 500",
        counted_by: "--messages",
        units: 30_000,
        per_unit: 1.0,
        limits: (f64::INFINITY, f64::INFINITY),
    },
];

impl Row {
    fn arguments(&self, units: u64) -> Vec<String> {
        let words = self.load.split(' ').map(String::from);
        words.chain([self.counted_by.to_owned(), units.to_string()]).collect()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

pub(super) fn measure(bench: &mut Bench) -> Result {
    let contenders = bench.chosen(contender::tls([RAW, RAW_SHARED, TOKIO, WHARF])?);
    times(bench, &contenders)?;
    if "memory".contains(&bench.rows) {
        memory(bench, &contenders)?;
    }
    if "counts".contains(&bench.rows) {
        counts(bench, &contenders)?;
    }
    if "storm".contains(&bench.rows) {
        storm(bench, &contenders)?;
    }
    Ok(())
}

fn names(contenders: &[Contender]) -> impl Iterator<Item = &'static str> {
    contenders.iter().map(|contender| contender.name)
}

fn times(bench: &mut Bench, contenders: &[Contender]) -> Result {
    println!("\n## TLS: server CPU, µs, medians of {} rounds\n", bench.rounds);
    let mut medians = Table::new(std::iter::once("per").chain(names(contenders)));
    let headings = RATIOS.map(|(name, baseline)| format!("{name} / {baseline}"));
    let mut ratios = Table::new(std::iter::once("per".to_owned()).chain(headings));
    let rows = bench.rows.clone();
    for row in ROWS.iter().filter(|row| row.name.contains(&rows)) {
        let arguments = row.arguments(row.units);
        let samples = bench.in_turn(row.name, contenders, |contender| {
            let TimedRun { server_cpu, .. } = timed_run(bench, contender, &arguments)?;
            Ok(server_cpu / (row.units as f64 * row.per_unit) * 1e6)
        })?;
        medians.row(std::iter::once(row.to_string()).chain(samples.medians()));
        let cells = RATIOS.map(|(name, baseline)| {
            samples.ratio(name, baseline).map_or_else(String::new, |ratio| ratio.to_string())
        });
        ratios.row(std::iter::once(row.to_string()).chain(cells));
        limits(bench, row, &samples);
    }
    println!("{medians}\nPaired ratios, median (quartiles):\n\n{ratios}");
    Ok(())
}

fn limits(bench: &mut Bench, row: &Row, samples: &Samples) {
    for (baseline, limit) in [(RAW, row.limits.0), (TOKIO, row.limits.1)] {
        if let Some(ratio) = samples.ratio(WHARF, baseline) {
            bench.limit_ratio(&format!("TLS, {row}: CPU / {baseline}"), ratio, limit);
        }
    }
}

const IDLE: u64 = 1_000;
/// So many are open when counting begins.
const FIRST: u64 = 100;

fn memory(bench: &Bench, contenders: &[Contender]) -> Result {
    println!("\n## TLS: resident bytes per idle connection, {IDLE} of them\n");
    let mut table = Table::new(std::iter::once("").chain(names(contenders)));
    let mut row = vec!["bytes per connection, each used once".to_owned()];
    for contender in contenders {
        eprintln!("TLS, memory: {}", contender.name);
        let server = ServerProcess::start(contender, bench.server_core)?;
        let arguments = format!("idle --tls --connections {IDLE} --first {FIRST}");
        let arguments: Vec<_> = arguments.split(' ').map(String::from).collect();
        let mut load = LoadProcess::start(server.address(), &arguments, bench.load_core)?;
        settled_cpu(&server)?;
        let before = resident::bytes(server.id())?;
        load.go_on()?;
        settled_cpu(&server)?;
        let after = resident::bytes(server.id())?;
        load.result()?;
        load.finish()?;
        server.stop()?;
        row.push(format!("{:.0}", (after as f64 - before as f64) / (IDLE - FIRST) as f64));
    }
    table.row(row);
    println!("{table}");
    Ok(())
}

/// System calls and instructions, as differences of two lengths.
fn counts(bench: &mut Bench, contenders: &[Contender]) -> Result {
    println!("\n## TLS: system calls and user-space instructions\n");
    let mut table = Table::new(["per", "of", "instructions", "system calls", "which"]);
    for (row, short, long) in [(&ROWS[3], 1_000, 6_000), (&ROWS[2], 500, 1_500)] {
        for contender in contenders {
            eprintln!("TLS, counts per {row}: {}", contender.name);
            let units = (long - short) as f64 * row.per_unit;
            let executed = if installed("valgrind") {
                let count = |length| {
                    let output = scratch_file("callgrind");
                    run_under(bench, &callgrind::wrapper(&output), contender, row, length)?;
                    let count = callgrind::instructions(&output)?;
                    fs::remove_file(&output)?;
                    Ok::<_, Failure>(count as f64)
                };
                format!("{:.0}", (count(long)? - count(short)?) / units)
            } else {
                "not counted".to_owned()
            };
            let (total, which) = if installed("strace") {
                let calls = system_calls(bench, contender, row, short, long, units)?;
                let total: f64 = calls.iter().map(|(_, count)| count).sum();
                if contender.name == WHARF && row.per_unit == 1.0 {
                    // Behind the first digit are the polls that messages share.
                    bench.limit(
                        "TLS, system calls per message",
                        (total * 10.0).round() / 10.0,
                        2.1,
                    );
                }
                let which = calls.iter().map(|(name, count)| format!("{name} {count:.3}"));
                (format!("{total:.3}"), which.collect::<Vec<_>>().join(", "))
            } else {
                ("not counted".to_owned(), String::new())
            };
            table.row([row.to_string(), contender.name.to_owned(), executed, total, which]);
        }
    }
    println!("{table}");
    Ok(())
}

fn system_calls(
    bench: &Bench,
    contender: &Contender,
    row: &Row,
    short: u64,
    long: u64,
    units: f64,
) -> Result<Vec<(String, f64)>> {
    let count = |length| {
        let output = scratch_file("strace");
        run_under(bench, &strace::wrapper(&output), contender, row, length)?;
        let calls = strace::calls(&output)?;
        fs::remove_file(&output)?;
        Ok::<_, Failure>(calls)
    };
    let (few, many) = (count(short)?, count(long)?);
    let per_unit = many.into_iter().map(|(name, calls)| {
        let difference = calls as f64 - few.get(&name).copied().unwrap_or(0) as f64;
        (name, difference / units)
    });
    let mut per_unit: Vec<_> = per_unit.filter(|(_, count)| count.abs() >= 0.0005).collect();
    per_unit.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    Ok(per_unit)
}

fn run_under(
    bench: &Bench,
    wrapper: &[std::ffi::OsString],
    contender: &Contender,
    row: &Row,
    units: u64,
) -> Result {
    let server = ServerProcess::start_under(wrapper, contender, bench.server_core)?;
    let mut load = LoadProcess::start(server.address(), &row.arguments(units), bench.load_core)?;
    load.result()?;
    load.finish()?;
    server.stop()
}

const STORM: u64 = 2_000;
const STORM_VALUES: [&str; 4] = ["p50", "p99", "max", "seconds"];

fn storm(bench: &Bench, contenders: &[Contender]) -> Result {
    println!(
        "\n## TLS: round trips of 50 connections during {STORM} handshakes, ms, medians of {} \
         rounds\n",
        bench.rounds
    );
    let headings = ["", "p50, calm", "p99, calm", "p50", "p99", "longest", "all of it took"];
    let mut table = Table::new(headings);
    let mut rows = vec![[const { Vec::new() }; 6]; contenders.len()];
    bench.in_turn("TLS, storm", contenders, |contender| {
        let place = contenders.iter().position(|other| other.name == contender.name);
        let columns = &mut rows[place.unwrap_or(0)];
        let mut column = 0;
        for (handshakes, wanted) in [(0, &STORM_VALUES[..2]), (STORM, &STORM_VALUES[..])] {
            let arguments = format!("storm --handshakes {handshakes}");
            let arguments: Vec<_> = arguments.split(' ').map(String::from).collect();
            let server = ServerProcess::start(contender, bench.server_core)?;
            let mut load = LoadProcess::start(server.address(), &arguments, bench.load_core)?;
            let result = load.result()?;
            load.finish()?;
            server.stop()?;
            for name in wanted {
                let scale = if *name == "seconds" { 1e3 } else { 1e-3 };
                columns[column].push(result.number(name)? * scale);
                column += 1;
            }
        }
        Ok(columns[3].last().copied().unwrap_or(f64::NAN))
    })?;
    for (name, columns) in names(contenders).zip(&rows) {
        let cells = columns.iter().map(|values| format!("{:.2}", median(values)));
        table.row(std::iter::once(name.to_owned()).chain(cells));
    }
    println!("{table}");
    Ok(())
}
