//! Servers of HTTP/1.1: a short text, asked for again and again. hyper on wharf beside hyper on tokio, and the server of
//! `wharf-protocols` beside a loop by hand, nginx and hyper.

use super::counting::Lengths;
use super::echo::timed_run;
use super::{Bench, installed};
use crate::Result;
use crate::contender::{self, Contender, NGINX};
use crate::report::Table;

/// Whose CPU is at most so much of whose.
type Limit = (&'static str, &'static str, f64);

/// One kind of load: its name, connections, requests under way on each, how many requests make up one measurement of
/// time, and the limits.
struct Row {
    name: &'static str,
    connections: usize,
    in_flight: usize,
    requests: u64,
    limits: &'static [Limit],
}

pub(super) fn measure_hyper(bench: &mut Bench) -> Result {
    let limits = &[("hyper-wharf", "hyper-tokio", 1.0)];
    let rows = [
        Row {
            name: "request, 1 connection",
            connections: 1,
            in_flight: 1,
            requests: 10_000,
            limits,
        },
        Row {
            name: "request, 50 connections",
            connections: 50,
            in_flight: 1,
            requests: 60_000,
            limits,
        },
    ];
    measure(bench, "hyper", &["hyper-tokio", "hyper-wharf"], &rows)
}

pub(super) fn measure_http(bench: &mut Bench) -> Result {
    let names = ["raw-mio", NGINX, "hyper-tokio", "wharf", "wharf-async"];
    let rows = [
        Row {
            name: "request, 64 connections",
            connections: 64,
            in_flight: 1,
            requests: 60_000,
            limits: &[
                ("wharf", "raw-mio", 1.05),
                ("wharf", "hyper-tokio", 1.0),
                ("wharf", NGINX, 1.0),
            ],
        },
        Row {
            name: "request, 64 connections, 16 in flight",
            connections: 64,
            in_flight: 16,
            requests: 300_000,
            limits: &[
                ("wharf", "raw-mio", 1.2),
                ("wharf", "hyper-tokio", 0.7),
                ("wharf", NGINX, 1.0),
            ],
        },
    ];
    measure(bench, "HTTP", &names, &rows)
}

fn measure(bench: &mut Bench, title: &str, names: &[&'static str], rows: &[Row]) -> Result {
    let contenders = bench.chosen(contender::http(names)?);
    // Valgrind does not follow into a program that takes another's place.
    let counted: Vec<_> =
        contenders.iter().filter(|contender| contender.name != NGINX).cloned().collect();
    let name = |contender: &Contender| contender.name;
    println!("\n## {title}: server CPU per request, µs, medians of {} rounds\n", bench.rounds);
    let headings = ["per"].into_iter().chain(contenders.iter().map(name)).map(str::to_owned);
    let ratios = rows[0].limits.iter().map(|(ours, theirs, _)| format!("{ours} / {theirs}"));
    let mut times = Table::new(headings.chain(ratios));
    let columns = ["instructions", "allocations"];
    let headings = columns
        .iter()
        .flat_map(|what| counted.iter().map(move |one| format!("{}, {what}", one.name)));
    let mut counts = Table::new(["per".to_owned()].into_iter().chain(headings));
    for row in rows {
        if !bench.wants(row.name) {
            continue;
        }
        let load = row.load(row.requests);
        let what = format!("{title}, {}", row.name);
        let samples = bench.in_turn(&what, &contenders, |contender| {
            Ok(timed_run(bench, contender, &load)?.server_cpu / row.requests as f64 * 1e6)
        })?;
        let mut cells = Vec::new();
        for &(ours, theirs, limit) in row.limits {
            let ratio = samples.ratio(ours, theirs);
            if let Some(ratio) = ratio {
                bench.limit_ratio(&format!("{what}: CPU of {ours} / {theirs}"), ratio, limit);
            }
            cells.push(ratio.map_or_else(String::new, |ratio| format!("{ratio}, at most {limit}")));
        }
        times.row([row.name.to_owned()].into_iter().chain(samples.medians()).chain(cells));
        if !installed("valgrind") {
            continue;
        }
        let (short, long) = if row.connections == 1 { (500, 3_500) } else { (1_024, 11_264) };
        let lengths =
            Lengths { short: row.load(short), long: row.load(long), units: (long - short) as f64 };
        let mut executed = Vec::new();
        for contender in &counted {
            eprintln!("{title}, instructions per {}: {}", row.name, contender.name);
            executed.push(lengths.executed(bench, contender)?);
        }
        let instructions = executed.iter().map(|executed| format!("{:.0}", executed.instructions));
        let allocations = executed.iter().map(|executed| format!("{:.2}", executed.allocations));
        counts.row([row.name.to_owned()].into_iter().chain(instructions).chain(allocations));
    }
    println!("{times}\nUser-space instructions and allocations:\n\n{counts}");
    Ok(())
}

impl Row {
    /// What to give to `load`.
    fn load(&self, requests: u64) -> Vec<String> {
        let line = format!(
            "http --connections {} --in-flight {} --requests {requests} --warm-up 1024",
            self.connections, self.in_flight
        );
        line.split(' ').map(String::from).collect()
    }
}
