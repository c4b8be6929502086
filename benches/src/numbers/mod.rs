//! The runner: `numbers TABLE`, where each table is measured by one module here.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Result;
use crate::affinity::allowed_cores;
use crate::arguments::Arguments;
use crate::contender::{self, Contender, RAW_MIO, TOKIO, WHARF};
use crate::report::{PairedRatio, median};

mod churn;
mod counting;
mod echo;
mod executor;
mod http;
mod idle;
mod instructions;
mod latency;
mod memory;
mod nats;
mod protocols;
mod relay;
mod send_file;
mod streams;
mod syscalls;
mod tail;
mod tasks;
mod tls;
mod udp;
mod websocket;

/// Measures and prints what the command line asks for.
///
/// # Errors
/// The command line is wrong, a contender or the load fails, or `--check` is given and a limit is
/// exceeded.
pub fn run(mut arguments: Arguments) -> Result {
    let table = arguments.word().ok_or(
        "a table is missing: echo, churn, instructions, syscalls, memory, latency, tail, udp, relay, files, tls, tasks, streams, http, hyper, websocket, nats, idle, executor or all",
    )?;
    if cfg!(debug_assertions) {
        return Err("a debug build has no numbers worth printing: use --release".into());
    }
    let check = arguments.flag("--check");
    let rounds = arguments.option_or("--rounds", 15)?;
    let only = arguments.option::<String>("--only")?;
    let rows = arguments.option_or("--rows", String::new())?;
    let control = arguments.flag("--control");
    let python = arguments.option_or("--python", "python3".to_owned())?;
    arguments.finish()?;
    contender::build_programs(["websocket", "nats", "idle", "all"].contains(&table.as_str()))?;
    let mut bench = Bench::new(rounds, only, rows, python, control)?;
    println!("{}", machine());
    match table.as_str() {
        "echo" => echo::measure(&mut bench)?,
        "churn" => churn::measure(&mut bench)?,
        "instructions" => instructions::measure(&mut bench)?,
        "syscalls" => syscalls::measure(&mut bench)?,
        "memory" => memory::measure(&mut bench)?,
        "latency" => latency::measure(&mut bench)?,
        "tail" => tail::measure(&mut bench)?,
        "relay" => relay::measure(&mut bench)?,
        "files" => send_file::measure(&mut bench)?,
        "tls" => tls::measure(&mut bench)?,
        "udp" => udp::measure(&mut bench)?,
        "tasks" => tasks::measure(&mut bench)?,
        "streams" => streams::measure(&mut bench)?,
        "http" => http::measure_http(&mut bench)?,
        "hyper" => http::measure_hyper(&mut bench)?,
        "websocket" => websocket::measure(&mut bench)?,
        "nats" => nats::measure(&mut bench)?,
        "idle" => idle::measure(&mut bench)?,
        "executor" => executor::measure(&mut bench)?,
        "all" => {
            instructions::measure(&mut bench)?;
            syscalls::measure(&mut bench)?;
            memory::measure(&mut bench)?;
            latency::measure(&mut bench)?;
            tail::measure(&mut bench)?;
            udp::measure(&mut bench)?;
            tls::measure(&mut bench)?;
            tasks::measure(&mut bench)?;
            streams::measure(&mut bench)?;
            http::measure_hyper(&mut bench)?;
            http::measure_http(&mut bench)?;
            websocket::measure(&mut bench)?;
            nats::measure(&mut bench)?;
            idle::measure(&mut bench)?;
            executor::measure(&mut bench)?;
            churn::measure(&mut bench)?;
            relay::measure(&mut bench)?;
            send_file::measure(&mut bench)?;
            echo::measure(&mut bench)?;
        }
        other => return Err(format!("unknown table: {other}").into()),
    }
    for line in &bench.undecided {
        println!("undecided: {line}");
    }
    for line in &bench.exceeded {
        println!("exceeded: {line}");
    }
    if check && !bench.exceeded.is_empty() {
        return Err(format!("{} limits are exceeded", bench.exceeded.len()).into());
    }
    Ok(())
}

/// Who is measured, where and how often, and which limits turned out to be exceeded.
#[derive(Debug)]
struct Bench {
    contenders: Vec<Contender>,
    only: Option<String>,
    /// Part of the names of the rows to measure, where rows can be chosen.
    rows: String,
    /// The interpreter of the contenders in Python.
    python: String,
    server_core: Option<usize>,
    load_core: Option<usize>,
    rounds: usize,
    exceeded: Vec<String>,
    undecided: Vec<String>,
}

impl Bench {
    fn new(
        rounds: usize,
        only: Option<String>,
        rows: String,
        python: String,
        control: bool,
    ) -> Result<Self> {
        let (server_core, load_core) = match allowed_cores()[..] {
            [server, load, ..] => (Some(server), Some(load)),
            _ => {
                eprintln!("note: there are no two cores to pin to; times will mean little");
                (None, None)
            }
        };
        let mut bench = Self {
            contenders: Vec::new(),
            only,
            rows,
            python,
            server_core,
            load_core,
            rounds,
            exceeded: Vec::new(),
            undecided: Vec::new(),
        };
        bench.contenders = bench.chosen(contender::standard()?);
        if control {
            bench.contenders.push(contender::control()?);
        }
        Ok(bench)
    }

    /// Those that `--only NAME,NAME…` leaves.
    fn chosen(&self, mut contenders: Vec<Contender>) -> Vec<Contender> {
        contenders.retain(|contender| self.includes(contender.name));
        contenders
    }

    /// Whether `--only` leaves the one of this name.
    fn includes(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|one| one == name))
    }

    /// Whether `--rows` leaves the row of this name.
    fn wants(&self, row: &str) -> bool {
        row.contains(&self.rows)
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.contenders.iter().map(|contender| contender.name)
    }

    /// Measures the contenders in turn, each once per round; who begins moves on by one each round,
    /// so that nobody always follows the same neighbour.
    fn in_turn(
        &self,
        what: &str,
        contenders: &[Contender],
        mut measure: impl FnMut(&Contender) -> Result<f64>,
    ) -> Result<Samples> {
        let names: Vec<_> = contenders.iter().map(|contender| contender.name).collect();
        self.each_in_turn(what, &names, |place| measure(&contenders[place]))
    }

    /// The same for contenders that are known by their places among `names`.
    fn each_in_turn(
        &self,
        what: &str,
        names: &[&'static str],
        mut measure: impl FnMut(usize) -> Result<f64>,
    ) -> Result<Samples> {
        let mut samples = Samples { of: names.iter().map(|name| (*name, vec![])).collect() };
        for round in 0..self.rounds {
            eprintln!("{what}: round {} of {}", round + 1, self.rounds);
            for step in 0..names.len() {
                let place = (round + step) % names.len();
                let value = measure(place).map_err(|error| format!("{}: {error}", names[place]))?;
                samples.of[place].1.push(value);
            }
        }
        Ok(samples)
    }

    /// Notes it if the subject's value exceeds what was promised.
    fn limit(&mut self, what: &str, value: f64, limit: f64) {
        if value > limit {
            self.exceeded.push(format!("{what}: {value:.3} is above {limit}"));
        }
    }

    /// The same for times, where a median may be above the limit by chance: only three quarters of
    /// the rounds above it are counted as exceeding.
    fn ratio_limits(&mut self, what: &str, samples: &Samples) {
        for (baseline, limit) in [(RAW_MIO, 1.05), (TOKIO, 1.0)] {
            let Some(ratio) = samples.ratio(WHARF, baseline) else { continue };
            self.limit_ratio(&format!("{what}: CPU / {baseline}"), ratio, limit);
        }
    }

    fn limit_ratio(&mut self, what: &str, ratio: PairedRatio, limit: f64) {
        let line = format!("{what} {ratio} for {limit}");
        if ratio.quartiles.0 > limit {
            self.exceeded.push(line);
        } else if ratio.median > limit {
            self.undecided.push(line);
        }
    }
}

/// What was measured, by contender and round.
#[derive(Debug)]
struct Samples {
    of: Vec<(&'static str, Vec<f64>)>,
}

impl Samples {
    fn median(&self, name: &str) -> Option<f64> {
        self.values(name).map(median)
    }

    /// The paired ratio of two contenders, if both were measured.
    fn ratio(&self, name: &str, baseline: &str) -> Option<PairedRatio> {
        Some(PairedRatio::new(self.values(name)?, self.values(baseline)?))
    }

    fn values(&self, name: &str) -> Option<&[f64]> {
        self.of.iter().find(|(of, _)| *of == name).map(|(_, values)| values.as_slice())
    }

    /// The cells of a row of medians.
    fn medians(&self) -> impl Iterator<Item = String> {
        self.of.iter().map(|(_, values)| format!("{:.2}", median(values)))
    }

    /// The cells of a row of ratios, under [`ratio_headings`].
    fn ratios(&self) -> impl Iterator<Item = String> {
        let names = self.of.iter().map(|(name, _)| *name);
        ratios_of(names).map(|(name, baseline)| {
            self.ratio(name, baseline).map_or_else(String::new, |ratio| ratio.to_string())
        })
    }
}

/// The headings of a table of medians.
fn median_headings(bench: &Bench) -> impl Iterator<Item = &'static str> {
    std::iter::once("load").chain(bench.names())
}

/// The headings of a table of ratios.
fn ratio_headings(bench: &Bench) -> impl Iterator<Item = String> {
    let ratios = ratios_of(bench.names()).map(|(name, baseline)| format!("{name} / {baseline}"));
    std::iter::once("load".to_owned()).chain(ratios)
}

/// Everybody to the hand-written loop, and the subject to tokio.
fn ratios_of<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = (&'a str, &'a str)> {
    let to_raw_mio = names.filter(|name| *name != RAW_MIO).map(|name| (name, RAW_MIO));
    to_raw_mio.chain([(WHARF, TOKIO)])
}

/// Whether a program that counting needs can be run.
fn installed(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// A path for a counting program to write to.
fn scratch_file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wharf-numbers-{}-{name}", std::process::id()))
}

fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{} cores, {model}, Linux {}", allowed_cores().len(), kernel.trim())
}
