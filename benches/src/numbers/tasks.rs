//! Tasks: instructions, allocations and time of each operation, side by side.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Bench, Samples, installed, scratch_file};
use crate::Result;
use crate::child_process::ChildProcess;
use crate::contender::{SMOL, TOKIO, WHARF, program};
use crate::counters::callgrind;
use crate::load_process::LoadResult;
use crate::report::Table;
use crate::tasks::{CONTENDERS, Operation};

/// Under callgrind 200,000 tasks that sleep take a quarter of a minute.
const LIMIT: Duration = Duration::from_secs(120);

/// What wharf may take of each, in instructions and in time.
const LIMITS: [(&str, f64); 2] = [(TOKIO, 0.8), (SMOL, 1.0)];

pub(super) fn measure(bench: &mut Bench) -> Result {
    let contenders: Vec<_> = CONTENDERS.into_iter().filter(|name| bench.includes(name)).collect();
    let rows = Operation::ALL.into_iter().filter(|operation| bench.wants(&operation.to_string()));
    let rows: Vec<_> = rows.collect();
    println!("\n## Tasks: user-space instructions and allocations per operation\n");
    if installed("valgrind") {
        count(bench, &contenders, &rows)?;
    } else {
        println!("Not measured: valgrind is not installed.");
    }
    println!("\n## Tasks: CPU per operation, ns, medians of {} rounds\n", bench.rounds);
    time(bench, &contenders, &rows)
}

fn count(bench: &mut Bench, contenders: &[&'static str], rows: &[Operation]) -> Result {
    let names = contenders.iter().map(|name| format!("{name}, allocations"));
    let headings = ["operation"].into_iter().chain(contenders.iter().copied()).map(str::to_owned);
    let limits = ["wharf at most".to_owned()].into_iter();
    let more = ["wharf, allocations at most".to_owned()];
    let mut table = Table::new(headings.chain(limits).chain(names).chain(more));
    for &operation in rows {
        let mut counted = Vec::new();
        for &name in contenders {
            eprintln!("instructions: {operation}: {name}");
            counted.push((name, executed(bench, name, operation)?));
        }
        let of = |wanted: &str| counted.iter().find(|(name, _)| *name == wanted).map(|(_, of)| *of);
        let limits = LIMITS.iter().filter_map(|(name, share)| Some(of(name)?.instructions * share));
        let limit = limits.reduce(f64::min);
        let allocations = most_allocations(operation);
        if let Some(wharf) = of(WHARF) {
            let mut check = |what: &str, value, limit| {
                bench.limit(&format!("{what}, {operation}"), value, limit);
            };
            if let Some(limit) = limit {
                check("instructions", wharf.instructions, limit.round());
            }
            if let Some(limit) = allocations {
                // Lists that grow now and then are no allocation of the operation's.
                check("allocations", (wharf.allocations * 10.0).round() / 10.0, limit);
            }
        }
        let cell = |value: Option<f64>, digits: usize| {
            value.map_or_else(String::new, |value| format!("{value:.digits$}"))
        };
        let instructions = counted.iter().map(|(_, of)| cell(Some(of.instructions), 0));
        let allocated = counted.iter().map(|(_, of)| cell(Some(of.allocations), 2));
        let row = [operation.to_string()].into_iter().chain(instructions).chain([cell(limit, 0)]);
        table.row(row.chain(allocated).chain([cell(allocations, 0)]));
    }
    println!("{table}");
    Ok(())
}

/// Spawning may allocate the task; waking, yielding and sleeping allocate nothing; a channel that is
/// made for one value is allocated.
fn most_allocations(operation: Operation) -> Option<f64> {
    match operation {
        Operation::SpawnOne
        | Operation::SpawnMany
        | Operation::Sleep
        | Operation::OneshotItsOwn
        | Operation::Oneshot => Some(1.0),
        // Who joins a task of a group, or the task itself, is allocated besides it.
        Operation::Group | Operation::Scope => None,
        _ => Some(0.0),
    }
}

/// What one operation takes.
#[derive(Debug, Clone, Copy)]
struct Executed {
    instructions: f64,
    allocations: f64,
}

fn executed(bench: &Bench, by: &str, operation: Operation) -> Result<Executed> {
    let (few, many) = operation.counted();
    let count = |count: u64| -> Result<(u64, u64)> {
        let output = scratch_file("tasks");
        let mut words = callgrind::wrapper(&output).into_iter();
        let mut command = Command::new(words.next().ok_or("an empty command line")?);
        command.args(words).arg(program("tasks")?);
        command.args(["--count", &count.to_string(), "--warm-up", "1000"]);
        // So long that all of them are pending before the first one ends, slow as it is.
        command.args(["--shortest", "4000", "--longest", "6000"]);
        run(command, bench.server_core, by, operation)?;
        let counted = (callgrind::instructions(&output)?, callgrind::allocations(&output)?);
        fs::remove_file(&output)?;
        Ok(counted)
    };
    let (less, more) = (count(few)?, count(many)?);
    let each = |less: u64, more: u64| (more as f64 - less as f64) / (many - few) as f64;
    Ok(Executed { instructions: each(less.0, more.0), allocations: each(less.1, more.1) })
}

fn time(bench: &mut Bench, contenders: &[&'static str], rows: &[Operation]) -> Result {
    let ratios = LIMITS.map(|(name, limit)| (name, format!("wharf / {name}, at most {limit}")));
    let ratio_headings = ratios.iter().map(|(_, heading)| heading.as_str());
    let headings = ["operation"].into_iter().chain(contenders.iter().copied());
    let mut table = Table::new(headings.chain(ratio_headings));
    for &operation in rows {
        let mut wall = no_samples(contenders);
        let samples = bench.each_in_turn(&operation.to_string(), contenders, |place| {
            let mut command = Command::new(program("tasks")?);
            command.args(["--count", &operation.timed_count().to_string()]);
            let core = if operation.has_a_thread() { None } else { bench.server_core };
            let result = run(command, core, contenders[place], operation)?;
            let nanoseconds = |key| -> Result<f64> {
                Ok(result.number(key)? * 1e9 / operation.timed_count() as f64)
            };
            wall.of[place].1.push(nanoseconds("seconds")?);
            nanoseconds("cpu_seconds")
        })?;
        row(bench, &mut table, operation.to_string(), &samples, true);
        if operation == Operation::ThreadPingPong {
            // Most of it is waiting for the other.
            row(bench, &mut table, format!("{operation}, on the clock"), &wall, false);
        }
    }
    println!("{table}");
    Ok(())
}

fn no_samples(contenders: &[&'static str]) -> Samples {
    Samples { of: contenders.iter().map(|name| (*name, Vec::new())).collect() }
}

fn row(bench: &mut Bench, table: &mut Table, name: String, samples: &Samples, is_limited: bool) {
    let ratios = LIMITS.map(|(baseline, limit)| {
        let ratio = samples.ratio(WHARF, baseline)?;
        if is_limited {
            bench.limit_ratio(&format!("{name}: CPU / {baseline}"), ratio, limit);
        }
        Some(ratio)
    });
    let ratios = ratios.map(|ratio| ratio.map_or_else(String::new, |ratio| ratio.to_string()));
    table.row([name].into_iter().chain(samples.medians()).chain(ratios));
}

/// Runs `tasks`, or what it runs under, to its end.
fn run(
    mut command: Command,
    core: Option<usize>,
    by: &str,
    operation: Operation,
) -> Result<LoadResult> {
    command.args(["--by", by, "--what", operation.name()]);
    let child = ChildProcess::spawn(command, core)?;
    let result = LoadResult::new(child.line(LIMIT)?);
    child.wait(LIMIT)?;
    Ok(result)
}
