//! What a relay costs: CPU per MiB of bulk, CPU and instructions per small message.
//!
//! The load talks to an echo server through the relay. The relay has a core to itself; the echo server
//! shares the load's, and is not counted.

use std::fs;
use std::net::SocketAddr;

use super::echo::settled_cpu;
use super::{Bench, Samples, installed, scratch_file};
use crate::Result;
use crate::contender::{self, Contender};
use crate::counters::callgrind;
use crate::load_process::LoadProcess;
use crate::report::Table;
use crate::scenario::EchoScenario;
use crate::server_process::ServerProcess;

const TOKIO_RELAY: &str = "copy_bidirectional";
const TOKIO_LARGE: &str = "copy_bidirectional, 64 KiB";
const COPYING: &str = "relay, never spliced";
const SPLICING: &str = "relay, always spliced";
const RELAY: &str = "relay";

/// What is paired with what.
const RATIOS: [(&str, &str); 5] = [
    (RELAY, TOKIO_RELAY),
    (RELAY, TOKIO_LARGE),
    (COPYING, TOKIO_RELAY),
    (COPYING, TOKIO_LARGE),
    (RELAY, COPYING),
];

/// Two MiB are relayed for each 64 KiB message of 16: there and back.
const BULK: [EchoScenario; 3] = [
    EchoScenario { connections: 4, size: 64 * 1024, in_flight: 16, messages: 12_000 },
    EchoScenario { connections: 50, size: 64 * 1024, in_flight: 4, messages: 12_000 },
    EchoScenario { connections: 4, size: 64 * 1024, in_flight: 1, messages: 8_000 },
];

const SMALL: [EchoScenario; 2] = [
    EchoScenario { connections: 50, size: 64, in_flight: 1, messages: 40_000 },
    EchoScenario { connections: 1, size: 64, in_flight: 1, messages: 8_000 },
];

pub(super) fn measure(bench: &mut Bench) -> Result {
    let contenders =
        bench.chosen(contender::relays([TOKIO_RELAY, TOKIO_LARGE, COPYING, SPLICING, RELAY])?);
    println!("\n## Relay: its CPU, medians of {} rounds\n", bench.rounds);
    let names = || contenders.iter().map(|contender| contender.name);
    let mut medians = Table::new(std::iter::once("load").chain(names()));
    let mut ratios = Table::new(
        std::iter::once("load".to_owned())
            .chain(RATIOS.map(|(name, baseline)| format!("{name} / {baseline}"))),
    );
    for (scenario, unit) in BULK
        .map(|bulk| (bulk, "µs per MiB"))
        .into_iter()
        .chain(SMALL.map(|small| (small, "µs per message")))
    {
        let what = format!("{scenario}: {unit}");
        if !what.contains(&bench.rows) {
            continue;
        }
        let units = match unit {
            // There and back.
            "µs per MiB" => (scenario.messages * 2 * scenario.size as u64) as f64 / 1_048_576.0,
            _ => scenario.messages as f64,
        };
        let samples = bench.in_turn(&what, &contenders, |contender| {
            Ok(cpu(bench, contender, scenario)? / units * 1e6)
        })?;
        medians.row(std::iter::once(what.clone()).chain(samples.medians()));
        let ratio = |(name, baseline)| {
            samples.ratio(name, baseline).map_or_else(String::new, |ratio| ratio.to_string())
        };
        ratios.row(std::iter::once(what.clone()).chain(RATIOS.map(ratio)));
        limits(bench, &what, &samples);
    }
    println!("{medians}\nPaired ratios, median (quartiles):\n\n{ratios}");
    if installed("valgrind") && bench.rows.is_empty() {
        println!("User-space instructions per message, 64 B there and back:\n");
        let mut table = Table::new(std::iter::once("load").chain(names()));
        for scenario in SMALL {
            let mut row = vec![scenario.to_string()];
            for contender in &contenders {
                row.push(format!("{:.0}", instructions(bench, contender, scenario)?));
            }
            table.row(row);
        }
        println!("{table}");
    }
    Ok(())
}

/// The promise: less CPU than tokio's.
fn limits(bench: &mut Bench, what: &str, samples: &Samples) {
    let Some(ratio) = samples.ratio(RELAY, TOKIO_RELAY) else { return };
    let line = format!("{what}: CPU / {TOKIO_RELAY} {ratio} for 1");
    if ratio.quartiles.0 > 1.0 {
        bench.exceeded.push(line);
    } else if ratio.median > 1.0 {
        bench.undecided.push(line);
    }
}

fn cpu(bench: &Bench, contender: &Contender, scenario: EchoScenario) -> Result<f64> {
    let echo = ServerProcess::start(&contender::control()?, bench.load_core)?;
    let relay = ServerProcess::start(&to(contender, echo.address()), bench.server_core)?;
    let arguments = scenario.arguments(scenario.messages);
    let mut load = LoadProcess::start(relay.address(), &arguments, bench.load_core)?;
    let before = settled_cpu(&relay)?;
    load.result()?;
    let used = (settled_cpu(&relay)? - before).as_secs_f64();
    load.finish()?;
    relay.stop()?;
    echo.stop()?;
    Ok(used)
}

/// The difference of two lengths, so that start and warm-up cancel out.
fn instructions(bench: &Bench, contender: &Contender, scenario: EchoScenario) -> Result<f64> {
    let count = |messages| {
        let output = scratch_file("callgrind");
        let echo = ServerProcess::start(&contender::control()?, bench.load_core)?;
        let wrapper = callgrind::wrapper(&output);
        let contender = to(contender, echo.address());
        let relay = ServerProcess::start_under(&wrapper, &contender, bench.server_core)?;
        let arguments = scenario.arguments(messages);
        let mut load = LoadProcess::start(relay.address(), &arguments, bench.load_core)?;
        load.result()?;
        load.finish()?;
        relay.stop()?;
        echo.stop()?;
        let count = callgrind::instructions(&output)?;
        fs::remove_file(&output)?;
        Ok::<_, crate::Failure>(count as f64)
    };
    let (short, long) = (1_000, 6_000);
    Ok((count(long)? - count(short)?) / (long - short) as f64)
}

fn to(contender: &Contender, upstream: SocketAddr) -> Contender {
    contender.clone().with_option("--connect", upstream)
}
