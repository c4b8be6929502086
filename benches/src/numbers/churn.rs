//! Server CPU per connection that is made, used once and closed, in microseconds.

use super::echo::timed_run;
use super::{Bench, timed_headings};
use crate::Result;
use crate::contender::{RAW_MIO, TOKIO, WHARF};
use crate::report::Table;
use crate::scenario::churn_arguments;

const CONNECTIONS: u64 = 10_000;

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## Churn: server CPU per connection, µs, medians of {} rounds\n", bench.rounds);
    let arguments = churn_arguments(CONNECTIONS);
    let samples = bench.in_turn("churn", &bench.contenders, |contender| {
        Ok(timed_run(bench, contender, &arguments)?.server_cpu / CONNECTIONS as f64 * 1e6)
    })?;
    let mut table = Table::new(timed_headings("load", bench));
    let name = "connect, 64 B, close; 50 at a time".to_owned();
    table.row(std::iter::once(name).chain(samples.cells()));
    println!("{table}");
    for (baseline, limit) in [(RAW_MIO, 1.05), (TOKIO, 1.0)] {
        if let Some(ratio) = samples.ratio(WHARF, baseline) {
            eprintln!("churn: CPU / {baseline} {ratio}, for comparison {limit}");
        }
    }
    Ok(())
}
