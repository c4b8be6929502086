//! Server CPU per GiB of a file that is sent, in milliseconds.

use super::Bench;
use super::echo::timed_run;
use crate::Result;
use crate::contender::{self, BLOCKING_FILE, BLOCKING_READ, WHARF_FILE, WHARF_READ};
use crate::report::Table;

const MIB: u64 = 1024;

/// How much more CPU than the blocking loop wharf may use.
const LIMIT: f64 = 1.1;

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!(
        "\n## Files: server CPU per GiB over loopback TCP, ms, medians of {} rounds\n",
        bench.rounds
    );
    let contenders = bench.chosen(contender::file_servers()?);
    let arguments = ["receive", "--mib", &MIB.to_string()].map(String::from);
    let samples = bench.in_turn("a file", &contenders, |contender| {
        Ok(timed_run(bench, contender, &arguments)?.server_cpu * 1e3)
    })?;
    let names = contenders.iter().map(|contender| contender.name);
    let mut medians = Table::new(std::iter::once("1 GiB").chain(names));
    medians.row(std::iter::once("CPU, ms".to_owned()).chain(samples.medians()));
    let mut ratios = Table::new(["of", "to", "ratio", "limit"]);
    for (name, baseline) in [(WHARF_FILE, BLOCKING_FILE), (WHARF_READ, BLOCKING_READ)] {
        let Some(ratio) = samples.ratio(name, baseline) else { continue };
        ratios.row([name.to_owned(), baseline.to_owned(), ratio.to_string(), LIMIT.to_string()]);
        bench.limit_ratio(&format!("{name} / {baseline}"), ratio, LIMIT);
    }
    println!("{medians}\nPaired ratios, median (quartiles):\n\n{ratios}");
    Ok(())
}
