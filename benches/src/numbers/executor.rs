//! The task executor: tasks that do nothing from a client over the coordinator and its disk to a worker and back, beside
//! others that run tasks.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Bench, installed, scratch_file};
use crate::Result;
use crate::child_process::ChildProcess;
use crate::contender::{Contender, WHARF, program};
use crate::counters::{callgrind, cpu, resident, strace};
use crate::executor::{NOTHING, NOTHING_ON_A_THREAD};
use crate::load_process::LoadResult;
use crate::report::{PairedRatio, Table, median};
use crate::server_process::ServerProcess;

/// Under callgrind everything is slow, and others are.
const LIMIT: Duration = Duration::from_secs(600);
/// How many tasks a worker runs at once.
const SLOTS: &str = "8";
/// Where files are in memory: what the disk costs is not in there.
const MEMORY: &str = "/dev/shm";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/executor_others.py");

/// Who else takes part, with the package in Python, how many tasks are run, and how many one after the other. HyperQueue's
/// package looks once in a second whether a task has ended.
const OTHERS: [(&str, &str, &str, &str); 3] = [
    ("celery", "celery", "5000", "200"),
    ("dask", "distributed", "5000", "200"),
    ("hyperqueue", "hyperqueue", "5000", "3"),
];

pub(super) fn measure(bench: &mut Bench) -> Result {
    if bench.wants("throughput") {
        throughput(bench)?;
    }
    if bench.wants("latency") {
        latency(bench)?;
    }
    if bench.wants("counts") {
        counts()?;
    }
    if bench.wants("memory") {
        memory()?;
    }
    if bench.wants("others") {
        others(bench)?;
    }
    Ok(())
}

/// Tasks for each second, and who spends what on one.
fn throughput(bench: &mut Bench) -> Result {
    println!("\n## Tasks that do nothing, 2,000 under way; medians of {} rounds\n", bench.rounds);
    let columns = ["tasks/s", "coordinator, µs", "worker, µs", "client, µs", "bytes written"];
    let mut table = Table::new(["per task"].into_iter().chain(columns));
    for (name, kind) in [("on the loop", NOTHING), ("on a thread", NOTHING_ON_A_THREAD)] {
        let mut samples: [Vec<f64>; 5] = Default::default();
        for round in 0..bench.rounds {
            eprintln!("executor, {name}: round {} of {}", round + 1, bench.rounds);
            let run = Run::new(std::env::temp_dir(), 100_000).of(kind).measured()?;
            let values =
                [run.per_second, run.coordinator, run.worker, run.client, run.bytes_written];
            samples.iter_mut().zip(values).for_each(|(samples, value)| samples.push(value));
        }
        let [per_second, microseconds @ .., bytes] = samples.map(|samples| median(&samples));
        let microseconds = microseconds.map(|value| format!("{value:.2}"));
        let cells = [name.to_owned(), format!("{per_second:.0}")].into_iter().chain(microseconds);
        table.row(cells.chain([format!("{bytes:.0}")]));
        if kind == NOTHING {
            bench.limit(
                "executor: µs per task, which HyperQueue promises",
                1e6 / per_second,
                100.0,
            );
            bench.limit("executor: µs per task, for 30,000 in a second", 1e6 / per_second, 33.3);
        }
    }
    println!("{table}");
    Ok(())
}

/// One task after the other.
fn latency(bench: &mut Bench) -> Result {
    println!("\n## One task after the other, µs from its submit to its result\n");
    let mut table = Table::new(["the store is", "p50", "p99"]);
    for (name, directory, tasks) in
        [("on the disk", std::env::temp_dir(), 300), ("in memory", PathBuf::from(MEMORY), 3_000)]
    {
        if !directory.is_dir() {
            continue;
        }
        eprintln!("executor, latency: {name}");
        let run = Run::new(directory, tasks).one_by_one().measured()?;
        table.row([name.to_owned(), format!("{:.0}", run.p50), format!("{:.0}", run.p99)]);
        if name == "in memory" {
            bench.limit("executor: p50 in µs, besides the disk", run.p50, 1_000.0);
        }
    }
    println!("{table}");
    Ok(())
}

/// Instructions, allocations and calls for the disk.
fn counts() -> Result {
    const FEW: u64 = 2_000;
    const MANY: u64 = 12_000;
    let runs = |who: Who, counter: Counter| -> Result<[Vec<f64>; 2]> {
        let mut counted = [Vec::new(), Vec::new()];
        for (tasks, counted) in [FEW, MANY].into_iter().zip(&mut counted) {
            eprintln!("executor, {counter:?} of {who:?}: {tasks} tasks");
            *counted = Run::new(std::env::temp_dir(), tasks).counted(who, counter)?;
        }
        Ok(counted)
    };
    println!("\n## Counts\n");
    let mut table = Table::new(["per task", "instructions", "allocations"]);
    if installed("valgrind") {
        for who in [Who::Coordinator, Who::Worker, Who::Client] {
            let [few, many] = runs(who, Counter::Instructions)?;
            let each = few.iter().zip(&many).map(|(few, many)| (many - few) / (MANY - FEW) as f64);
            let cells = each.map(|each| format!("{each:.1}"));
            table.row([format!("{who:?}").to_lowercase()].into_iter().chain(cells));
        }
        println!("{table}");
    }
    if installed("strace") {
        let [few, many] = runs(Who::Coordinator, Counter::Syncs)?;
        let each = (many[0] - few[0]) / (MANY - FEW) as f64;
        println!("The coordinator syncs its file {each:.4} times per task.\n");
    }
    Ok(())
}

/// What a coordinator keeps of tasks that have passed through.
fn memory() -> Result {
    println!("\n## Resident memory after so many tasks have passed through, MiB\n");
    let mut table = Table::new(["tasks", "coordinator", "worker"]);
    let cluster = Cluster::start(&std::env::temp_dir(), None)?;
    let mut passed = 0;
    for tasks in [100_000, 400_000, 500_000] {
        eprintln!("executor, memory: {tasks} tasks more");
        Run::new(std::env::temp_dir(), tasks).load(&cluster, None)?.finish()?;
        passed += tasks;
        let mebibytes = |process| -> Result<String> {
            Ok(format!("{:.1}", resident::bytes(process)? as f64 / 1_048_576.0))
        };
        let (coordinator, worker) =
            (mebibytes(cluster.coordinator.id())?, mebibytes(cluster.worker.id())?);
        table.row([passed.to_string(), coordinator, worker]);
    }
    println!("{table}");
    cluster.stop()
}

/// The same beside others.
fn others(bench: &mut Bench) -> Result {
    let has = |package: &str| {
        let mut command = Command::new(&bench.python);
        command.args(["-c", &format!("import {package}")]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let (here, missing): (Vec<_>, Vec<_>) =
        OTHERS.into_iter().partition(|(_, package, ..)| has(package));
    for (name, ..) in missing {
        eprintln!("note: {name} is left out: {} has no such package; see {SCRIPT}", bench.python);
    }
    let names: Vec<_> = [WHARF].into_iter().chain(here.iter().map(|(name, ..)| *name)).collect();
    let mut latencies = vec![Vec::new(); names.len()];
    let samples = bench.each_in_turn("executor, others", &names, |place| {
        if place == 0 {
            let run = Run::new(std::env::temp_dir(), 100_000).measured()?;
            latencies[0].push(Run::new(std::env::temp_dir(), 200).one_by_one().measured()?.p50);
            return Ok(run.per_second);
        }
        let (by, _, tasks, singles) = here[place - 1];
        let mut command = Command::new(&bench.python);
        command.args([SCRIPT, by, "--tasks", tasks, "--singles", singles]);
        command.stderr(Stdio::null());
        let child = ChildProcess::spawn(command, None)?;
        let result = LoadResult::new(child.line(LIMIT)?);
        child.wait(LIMIT)?;
        latencies[place].push(result.number("p50")? * 1e6);
        Ok(result.number("tasks")? / result.number("seconds")?)
    })?;
    println!("\n## Beside others; medians of {} rounds\n", bench.rounds);
    let mut table = Table::new(["", "tasks/s", "p50 of one, µs", "wharf's tasks/s to these"]);
    for (place, name) in names.iter().enumerate() {
        let per_second = samples.median(name).unwrap_or(f64::NAN);
        let ratio = samples.ratio(WHARF, name);
        if let Some(ratio) = ratio
            && ["celery", "dask"].contains(name)
        {
            let (low, high) = ratio.quartiles;
            let share =
                PairedRatio { median: 20.0 / ratio.median, quartiles: (20.0 / high, 20.0 / low) };
            bench.limit_ratio(&format!("executor: 20 times {name}"), share, 1.0);
        }
        let ratio = ratio.filter(|_| place > 0).map_or_else(String::new, |ratio| ratio.to_string());
        let p50 = format!("{:.0}", median(&latencies[place]));
        table.row([(*name).to_owned(), format!("{per_second:.0}"), p50, ratio]);
    }
    println!("{table}");
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Coordinator,
    Worker,
    Client,
}

#[derive(Clone, Copy, Debug)]
enum Counter {
    Instructions,
    Syncs,
}

impl Counter {
    fn wrapper(self, output: &Path) -> Vec<OsString> {
        match self {
            Self::Instructions => callgrind::wrapper(output),
            Self::Syncs => strace::wrapper(output),
        }
    }

    fn counted(self, output: &Path) -> Result<Vec<f64>> {
        Ok(match self {
            Self::Instructions => {
                vec![
                    callgrind::instructions(output)? as f64,
                    callgrind::allocations(output)? as f64,
                ]
            }
            Self::Syncs => {
                let calls = strace::calls(output)?;
                let count = |name: &str| calls.get(name).copied().unwrap_or(0);
                vec![(count("fsync") + count("fdatasync")) as f64]
            }
        })
    }
}

/// A load in front of a coordinator and a worker.
struct Run {
    directory: PathBuf,
    tasks: u64,
    options: Vec<&'static str>,
}

/// What a run takes, per task: microseconds of CPU, or bytes.
struct Measured {
    per_second: f64,
    coordinator: f64,
    worker: f64,
    client: f64,
    bytes_written: f64,
    /// Microseconds from a submit to its result.
    p50: f64,
    p99: f64,
}

impl Run {
    fn new(directory: PathBuf, tasks: u64) -> Self {
        Self { directory, tasks, options: Vec::new() }
    }

    fn of(mut self, kind: &'static str) -> Self {
        self.options.extend(["--kind", kind]);
        self
    }

    fn one_by_one(mut self) -> Self {
        self.options.extend(["--in-flight", "1", "--together", "1", "--warm-up", "20"]);
        self
    }

    fn measured(self) -> Result<Measured> {
        let cluster = Cluster::start(&self.directory, None)?;
        let mut load = self.load(&cluster, None)?;
        let before = cluster.spent()?;
        let result = load.result()?;
        let after = cluster.spent()?;
        load.finish()?;
        cluster.stop()?;
        let tasks = self.tasks as f64;
        let each = |place: usize| (after[place] - before[place]) / tasks;
        Ok(Measured {
            per_second: tasks / result.number("seconds")?,
            coordinator: each(0),
            worker: each(1),
            client: result.number("cpu_seconds")? / tasks * 1e6,
            bytes_written: each(2),
            p50: result.number("p50")? * 1e6,
            p99: result.number("p99")? * 1e6,
        })
    }

    /// What one of the processes does in its whole life.
    fn counted(self, who: Who, counter: Counter) -> Result<Vec<f64>> {
        let output = scratch_file("executor-counts");
        let wrapper = counter.wrapper(&output);
        let cluster = Cluster::start(&self.directory, Some((who, &wrapper)))?;
        let wrapper = Some(wrapper.as_slice()).filter(|_| who == Who::Client);
        let mut load = self.load(&cluster, wrapper)?;
        load.result()?;
        load.finish()?;
        cluster.stop()?;
        let counted = counter.counted(&output)?;
        fs::remove_file(&output)?;
        Ok(counted)
    }

    /// A load that is warmed up.
    fn load(&self, cluster: &Cluster, wrapper: Option<&[OsString]>) -> Result<Load> {
        let mut command = wrapped(wrapper.unwrap_or_default(), program("executor-load")?)?;
        command.args(["--connect", &cluster.address(), "--controlled"]);
        command.args(["--tasks", &self.tasks.to_string()]).args(&self.options);
        let child = ChildProcess::spawn(command, None)?;
        match child.line(LIMIT)?.as_str() {
            "ready" => Ok(Load { child, has_result: false }),
            line => Err(format!("the load says {line} instead of ready").into()),
        }
    }
}

struct Load {
    child: ChildProcess,
    has_result: bool,
}

impl Load {
    fn result(&mut self) -> Result<LoadResult> {
        self.child.go_on()?;
        self.has_result = true;
        Ok(LoadResult::new(self.child.line(LIMIT)?))
    }

    fn finish(mut self) -> Result {
        if !self.has_result {
            self.result()?;
        }
        self.child.go_on()?;
        self.child.wait(LIMIT)
    }
}

/// A coordinator with a store of its own, and a worker.
struct Cluster {
    coordinator: ServerProcess,
    worker: ChildProcess,
    directory: PathBuf,
}

impl Cluster {
    fn start(directory: &Path, wrapper: Option<(Who, &[OsString])>) -> Result<Self> {
        let directory = directory.join(format!("wharf-numbers-{}-executor", std::process::id()));
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        let of = |who: Who| {
            wrapper.filter(|(whose, _)| *whose == who).map_or(&[][..], |(_, words)| words)
        };
        let contender = Contender::at(WHARF, program("executor")?, &["serve"])
            .with_option("--data", directory.display());
        let coordinator = ServerProcess::start_under(of(Who::Coordinator), &contender, None)?;
        let mut command = wrapped(of(Who::Worker), program("executor")?)?;
        command.args(["work", "--slots", SLOTS, "--connect", &coordinator.address().to_string()]);
        let worker = ChildProcess::spawn(command, None)?;
        Ok(Self { coordinator, worker, directory })
    }

    fn address(&self) -> String {
        self.coordinator.address().to_string()
    }

    /// Microseconds of CPU of the coordinator and of the worker, and the bytes that the coordinator has written.
    fn spent(&self) -> Result<[f64; 3]> {
        let microseconds =
            |process| Ok::<_, crate::Failure>(cpu::time(process)?.as_secs_f64() * 1e6);
        let io = fs::read_to_string(format!("/proc/{}/io", self.coordinator.id()))?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        let written: f64 = written.ok_or("the system does not count bytes")?.trim().parse()?;
        Ok([microseconds(self.coordinator.id())?, microseconds(self.worker.id())?, written])
    }

    fn stop(self) -> Result {
        let worker = Pid::from_raw(self.worker.id().try_into()?).ok_or("process id 0")?;
        kill_process(worker, Signal::TERM)?;
        self.worker.wait(LIMIT)?;
        self.coordinator.stop()?;
        Ok(fs::remove_dir_all(&self.directory)?)
    }
}

/// A command that is run by a counting program.
fn wrapped(wrapper: &[OsString], program: PathBuf) -> Result<Command> {
    let mut words = wrapper.iter().cloned().chain([program.into_os_string()]);
    let mut command = Command::new(words.next().ok_or("an empty command line")?);
    command.args(words);
    Ok(command)
}
