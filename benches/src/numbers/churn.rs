//! Server CPU per connection that is made, used once and closed, in microseconds.

use super::echo::timed_run;
use super::{Bench, median_headings, ratio_headings};
use crate::Result;
use crate::report::Table;
use crate::scenario::churn_arguments;

const CONNECTIONS: u64 = 10_000;

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## Churn: server CPU per connection, µs, medians of {} rounds\n", bench.rounds);
    let arguments = churn_arguments(CONNECTIONS);
    let samples = bench.in_turn("churn", &bench.contenders, |contender| {
        Ok(timed_run(bench, contender, &arguments)?.server_cpu / CONNECTIONS as f64 * 1e6)
    })?;
    let name = "connect, 64 B, close; 50 at a time".to_owned();
    let mut medians = Table::new(median_headings(bench));
    medians.row(std::iter::once(name.clone()).chain(samples.medians()));
    let mut ratios = Table::new(ratio_headings(bench));
    ratios.row(std::iter::once(name).chain(samples.ratios()));
    println!("{medians}\nPaired ratios, median (quartiles):\n\n{ratios}");
    Ok(())
}
