//! Clients for NATS: wharf's beside `async-nats`, with a real server.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::{Bench, Samples, installed, scratch_file};
use crate::Result;
use crate::child_process::ChildProcess;
use crate::contender::{ASYNC_NATS, WHARF, program};
use crate::counters::{callgrind, resident};
use crate::load_process::LoadResult;
use crate::nats::{CORE_SUBJECT, SUBJECT};
use crate::nats_server::NatsServer;
use crate::report::Table;

const CONTENDERS: [&str; 2] = [ASYNC_NATS, WHARF];

/// Under callgrind everything is slow.
const LIMIT: Duration = Duration::from_secs(120);

/// How many messages there are before what is measured.
const WARM_UP: u64 = 5_000;

/// One thing that is done many times.
struct Row {
    name: &'static str,
    what: &'static str,
    /// How often for a measurement of time.
    timed: u64,
    /// What the server is to say meanwhile, or before: the client waits for it.
    published: Published,
}

#[derive(Clone, Copy, PartialEq)]
enum Published {
    Nothing,
    Meanwhile,
    Before,
}

const ROWS: [Row; 4] = [
    Row {
        name: "publish (JetStream)",
        what: "publish",
        timed: 50_000,
        published: Published::Nothing,
    },
    Row { name: "pull and ack", what: "pull", timed: 50_000, published: Published::Before },
    Row {
        name: "publish (core)",
        what: "core-publish",
        timed: 300_000,
        published: Published::Nothing,
    },
    Row {
        name: "subscribe (core)",
        what: "core-subscribe",
        timed: 300_000,
        published: Published::Meanwhile,
    },
];

const CLIENTS: u64 = 1_000;
const FIRST_CLIENTS: u64 = 100;

pub(super) fn measure(bench: &mut Bench) -> Result {
    let Some(server) = NatsServer::start(bench.load_core)? else {
        println!("\nNATS is not measured: nats-server is not installed.");
        return Ok(());
    };
    let contenders: Vec<_> = CONTENDERS.into_iter().filter(|name| bench.includes(name)).collect();
    println!("\n## NATS: a client's CPU per message, µs, medians of {} rounds\n", bench.rounds);
    let names = || contenders.iter().copied();
    let headings = ["128 B"].into_iter().chain(names());
    let mut times = Table::new(headings.chain(["wharf / async-nats, at most 1"]));
    let columns = ["instructions", "allocations"];
    let headings =
        columns.iter().flat_map(|what| names().map(move |name| format!("{name}, {what}")));
    let mut counts = Table::new(["128 B".to_owned()].into_iter().chain(headings));
    let rows: Vec<_> = ROWS.iter().filter(|row| bench.wants(row.name)).collect();
    let outcome = rows.into_iter().try_for_each(|row| -> Result {
        let what = format!("NATS, {}", row.name);
        let samples = bench.each_in_turn(&what, &contenders, |place| {
            let by = contenders[place];
            let result = row.run(client(by)?, &server, bench.server_core, row.timed, WARM_UP)?;
            Ok(result.number("cpu_seconds")? / row.timed as f64 * 1e6)
        })?;
        ratio(bench, &mut times, row.name, &samples);
        if !installed("valgrind") {
            return Ok(());
        }
        let mut executed = Vec::new();
        for by in names() {
            eprintln!("{what}, instructions: {by}");
            executed.push(row.executed(by, &server, bench.server_core)?);
        }
        let instructions = executed.iter().map(|(instructions, _)| format!("{instructions:.0}"));
        let allocations = executed.iter().map(|(_, allocations)| format!("{allocations:.2}"));
        counts.row([row.name.to_owned()].into_iter().chain(instructions).chain(allocations));
        Ok(())
    });
    println!("{times}\nUser-space instructions and allocations:\n\n{counts}");
    outcome?;
    if bench.wants("memory") {
        let mut table = Table::new(["resident bytes"].into_iter().chain(names()));
        let bytes = names().map(|by| idle(by, &server, bench.server_core));
        let bytes = bytes.map(|bytes| Ok(format!("{:.0}", bytes?))).collect::<Result<Vec<_>>>()?;
        table.row([format!("of a client, {CLIENTS} of them")].into_iter().chain(bytes));
        println!("{table}");
    }
    server.stop()
}

fn ratio(bench: &mut Bench, table: &mut Table, name: &str, samples: &Samples) {
    let ratio = samples.ratio(WHARF, ASYNC_NATS);
    if let Some(ratio) = ratio {
        bench.limit_ratio(&format!("NATS, {name}: CPU / {ASYNC_NATS}"), ratio, 1.0);
    }
    let ratio = ratio.map_or_else(String::new, |ratio| ratio.to_string());
    table.row([name.to_owned()].into_iter().chain(samples.medians()).chain([ratio]));
}

/// The command that one client is started with.
fn client(by: &str) -> Result<Command> {
    Ok(Command::new(program(if by == WHARF { "nats" } else { "nats-others" })?))
}

impl Row {
    /// Starts a client, publishes to it what it waits for, and waits for its end.
    fn run(
        &self,
        mut command: Command,
        server: &NatsServer,
        core: Option<usize>,
        count: u64,
        warm_up: u64,
    ) -> Result<LoadResult> {
        command.args(["--what", self.what, "--server", server.address()]);
        command.args(["--count", &count.to_string(), "--warm-up", &warm_up.to_string()]);
        let mut child = ChildProcess::spawn(command, core)?;
        if self.published != Published::Nothing {
            is_ready(&child)?;
            let is_kept = self.published == Published::Before;
            let subject = if is_kept { SUBJECT } else { CORE_SUBJECT };
            server.publish(subject, count + warm_up)?;
        }
        if self.published == Published::Before {
            child.go_on()?;
        }
        let result = LoadResult::new(child.line(LIMIT)?);
        child.wait(LIMIT)?;
        Ok(result)
    }

    /// The instructions and allocations of a message.
    fn executed(&self, by: &str, server: &NatsServer, core: Option<usize>) -> Result<(f64, f64)> {
        const FEW: u64 = 2_000;
        const MANY: u64 = 12_000;
        let count = |count| -> Result<(u64, u64)> {
            let output = scratch_file("nats");
            let mut words = callgrind::wrapper(&output).into_iter();
            let mut command = Command::new(words.next().ok_or("an empty command line")?);
            command.args(words).arg(client(by)?.get_program());
            self.run(command, server, core, count, 1_000)?;
            let counted = (callgrind::instructions(&output)?, callgrind::allocations(&output)?);
            fs::remove_file(&output)?;
            Ok(counted)
        };
        let (few, many) = (count(FEW)?, count(MANY)?);
        let each = |few: u64, many: u64| (many as f64 - few as f64) / (MANY - FEW) as f64;
        Ok((each(few.0, many.0), each(few.1, many.1)))
    }
}

/// The growth of the resident set by a client more.
fn idle(by: &str, server: &NatsServer, core: Option<usize>) -> Result<f64> {
    let mut command = client(by)?;
    command.args(["--what", "idle", "--server", server.address()]);
    command.args(["--count", &CLIENTS.to_string(), "--warm-up", &FIRST_CLIENTS.to_string()]);
    let mut child = ChildProcess::spawn(command, core)?;
    is_ready(&child)?;
    let before = resident::bytes(child.id())?;
    child.go_on()?;
    is_ready(&child)?;
    let after = resident::bytes(child.id())?;
    child.go_on()?;
    child.wait(LIMIT)?;
    Ok((after as f64 - before as f64) / (CLIENTS - FIRST_CLIENTS) as f64)
}

fn is_ready(child: &ChildProcess) -> Result {
    match child.line(LIMIT)?.as_str() {
        "ready" => Ok(()),
        line => Err(format!("the client says {line} instead of ready").into()),
    }
}
