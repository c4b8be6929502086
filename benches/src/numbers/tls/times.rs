//! Server CPU of handshakes, bulk and messages.

use super::super::echo::{TimedRun, timed_run};
use super::super::{Bench, Samples};
use super::{RAW, RAW_SHARED, TOKIO, WHARF, names};
use crate::Result;
use crate::contender::Contender;
use crate::report::Table;

/// Everybody to the hand-written loop, and the subject to everybody.
const RATIOS: [(&str, &str); 5] =
    [(RAW_SHARED, RAW), (TOKIO, RAW), (WHARF, RAW), (WHARF, RAW_SHARED), (WHARF, TOKIO)];

/// What is timed.
struct Row {
    name: &'static str,
    /// What to give to `load`.
    load: &'static str,
    /// How many of what is reported the load does.
    units: f64,
    /// At most so much of the hand-written loop, and of tokio.
    limits: (f64, f64),
}

/// Reported, not promised.
const NO_LIMITS: (f64, f64) = (f64::INFINITY, f64::INFINITY);

const ROWS: [Row; 5] = [
    Row {
        name: "time: full handshake, 64 B, close; 50 at a time",
        load: "churn --tls --concurrent 50 --warm-up 200 --connections 2000",
        units: 2_000.0,
        limits: (1.03, 1.0),
    },
    Row {
        name: "time: resumed handshake, 64 B, close; 50 at a time",
        load: "churn --tls --resume --concurrent 50 --warm-up 200 --connections 2000",
        units: 2_000.0,
        limits: (1.03, 1.0),
    },
    Row {
        name: "time: bulk, MiB; 64 KiB at a time, 8 connections",
        load: "echo --tls --connections 8 --size 65536 --warm-up 200 --messages 4000",
        units: 4_000.0 / 16.0,
        limits: (1.0, 0.9),
    },
    Row {
        name: "time: message, 64 B, 50 connections",
        load: "echo --tls --connections 50 --size 64 --warm-up 500 --messages 30000",
        units: 30_000.0,
        limits: NO_LIMITS,
    },
    Row {
        name: "time: message, 64 B, 1 connection",
        load: "echo --tls --connections 1 --size 64 --warm-up 500 --messages 8000",
        units: 8_000.0,
        limits: NO_LIMITS,
    },
];

pub(super) fn measure(bench: &mut Bench, contenders: &[Contender]) -> Result {
    if !ROWS.iter().any(|row| bench.wants(row.name)) {
        return Ok(());
    }
    println!("\n## TLS: server CPU, µs, medians of {} rounds\n", bench.rounds);
    let mut medians = Table::new(std::iter::once("per").chain(names(contenders)));
    let headings = RATIOS.map(|(name, baseline)| format!("{name} / {baseline}"));
    let mut ratios = Table::new(std::iter::once("per".to_owned()).chain(headings));
    // What was measured before something fails has taken minutes, and is printed.
    let outcome = ROWS.iter().try_for_each(|row| {
        if !bench.wants(row.name) {
            return Ok(());
        }
        let arguments: Vec<_> = row.load.split(' ').map(String::from).collect();
        let samples = bench.in_turn(row.name, contenders, |contender| {
            let TimedRun { server_cpu, .. } = timed_run(bench, contender, &arguments)?;
            Ok(server_cpu / row.units * 1e6)
        })?;
        medians.row(std::iter::once(row.name.to_owned()).chain(samples.medians()));
        let cells = RATIOS.map(|(name, baseline)| {
            samples.ratio(name, baseline).map_or_else(String::new, |ratio| ratio.to_string())
        });
        ratios.row(std::iter::once(row.name.to_owned()).chain(cells));
        limits(bench, row, &samples);
        Ok(())
    });
    println!("{medians}\nPaired ratios, median (quartiles):\n\n{ratios}");
    outcome
}

fn limits(bench: &mut Bench, row: &Row, samples: &Samples) {
    for (baseline, limit) in [(RAW, row.limits.0), (TOKIO, row.limits.1)] {
        if let Some(ratio) = samples.ratio(WHARF, baseline) {
            bench.limit_ratio(&format!("TLS, {}: CPU / {baseline}", row.name), ratio, limit);
        }
    }
}
