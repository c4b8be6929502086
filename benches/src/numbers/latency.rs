//! Round trips of single messages on one connection.

use super::{Bench, echo::settled_cpu};
use crate::Result;
use crate::contender::{self, Contender};
use crate::load_process::LoadProcess;
use crate::report::Table;
use crate::server_process::ServerProcess;

const MESSAGES: u64 = 10_000;
const QUANTILES: [&str; 4] = ["p50", "p90", "p99", "p999"];

pub(super) fn measure(bench: &mut Bench) -> Result {
    println!("\n## Latency: ping-pong, 64 B, 1 connection, medians of {} rounds\n", bench.rounds);
    let mut contenders = bench.contenders.clone();
    contenders.extend(bench.chosen(contender::spinning()?));
    let mut quantiles = vec![[const { Vec::new() }; QUANTILES.len()]; contenders.len()];
    let cpu = bench.in_turn("latency", &contenders, |contender| {
        let run = ping_pong(bench, contender)?;
        let place = contenders.iter().position(|other| other.name == contender.name);
        for (values, value) in quantiles[place.unwrap_or(0)].iter_mut().zip(run.quantiles) {
            values.push(value);
        }
        Ok(run.cpu_per_message)
    })?;
    let mut table =
        Table::new(["", "p50 µs", "p90 µs", "p99 µs", "p99.9 µs", "server CPU µs/message"]);
    for (contender, quantiles) in contenders.iter().zip(&quantiles) {
        let times = quantiles.iter().map(|values| format!("{:.1}", crate::report::median(values)));
        let cpu = cpu.median(contender.name).unwrap_or(f64::NAN);
        let name = std::iter::once(contender.name.to_owned());
        table.row(name.chain(times).chain([format!("{cpu:.2}")]));
    }
    println!("{table}");
    Ok(())
}

struct PingPong {
    quantiles: [f64; QUANTILES.len()],
    cpu_per_message: f64,
}

fn ping_pong(bench: &Bench, contender: &Contender) -> Result<PingPong> {
    let server = ServerProcess::start(contender, bench.server_core)?;
    let arguments = ["latency", "--messages", &MESSAGES.to_string()].map(String::from);
    let mut load = LoadProcess::start(server.address(), &arguments, bench.load_core)?;
    let before = settled_cpu(&server)?;
    let result = load.result()?;
    let used = (settled_cpu(&server)? - before).as_secs_f64();
    load.finish()?;
    server.stop()?;
    let mut quantiles = [0.0; QUANTILES.len()];
    for (value, name) in quantiles.iter_mut().zip(QUANTILES) {
        *value = result.number(name)?;
    }
    Ok(PingPong { quantiles, cpu_per_message: used / MESSAGES as f64 * 1e6 })
}
