//! Round trips on many connections that are all busy: how long the slowest wait for their turn.

use super::{Bench, ratio_headings};
use crate::Result;
use crate::contender::{RAW_MIO, WHARF};
use crate::load_process::LoadProcess;
use crate::report::{Table, median};
use crate::server_process::ServerProcess;

const CONNECTIONS: usize = 1_000;
const MESSAGES: u64 = 200_000;
const QUANTILES: [&str; 4] = ["p50", "p90", "p99", "p999"];
/// Where the limit applies.
const TAIL: usize = 2;
/// How much slower than the hand-written loop the tail may be.
const LIMIT: f64 = 1.1;

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!(
        "\n## Tail: echo, 64 B, {CONNECTIONS} connections, medians of {} rounds\n",
        bench.rounds
    );
    let contenders = bench.contenders.clone();
    let mut quantiles = vec![[const { Vec::new() }; QUANTILES.len()]; contenders.len()];
    let tails = bench.in_turn("tail", &contenders, |contender| {
        let server = ServerProcess::start(contender, bench.server_core)?;
        let (connections, messages) = (CONNECTIONS.to_string(), MESSAGES.to_string());
        let arguments = ["echo", "--timed", "--connections", &connections, "--messages", &messages];
        let arguments = arguments.map(String::from);
        let mut load = LoadProcess::start(server.address(), &arguments, bench.load_core)?;
        let result = load.result()?;
        load.finish()?;
        server.stop()?;
        let place = contenders.iter().position(|other| other.name == contender.name);
        for (values, name) in quantiles[place.unwrap_or(0)].iter_mut().zip(QUANTILES) {
            values.push(result.number(name)?);
        }
        result.number(QUANTILES[TAIL])
    })?;
    let mut table = Table::new(["", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms"]);
    for (contender, quantiles) in contenders.iter().zip(&quantiles) {
        let times = quantiles.iter().map(|values| format!("{:.2}", median(values) / 1e3));
        table.row(std::iter::once(contender.name.to_owned()).chain(times));
    }
    println!("{table}");
    let mut ratios = Table::new(ratio_headings(bench));
    ratios.row(std::iter::once("p99".to_owned()).chain(tails.ratios()));
    println!("Paired ratios of the p99, median (quartiles):\n\n{ratios}");
    if let Some(ratio) = tails.ratio(WHARF, RAW_MIO) {
        bench.limit_ratio("p99 on 1,000 connections / raw-mio", ratio, LIMIT);
    }
    Ok(())
}
