//! Many seeds, one after the other and side by side.

use std::fmt::{Display, Write as _};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::faults::Faults;
use super::script::Script;
use super::simulation::Simulation;
use super::trace::Trace;
use crate::error::{Failure, Result};
use crate::fence;

/// A scenario, and with how many seeds it is tried.
///
/// Environment variables change it without a new build:
///
/// - `WHARF_SIM_SEED=n`: only this one, with its whole trace on standard error;
/// - `WHARF_SIM_SCRIPT=…`: with these faults, in place of those of the seed or of each seed;
/// - `WHARF_SIM_SEEDS=n`: with so many;
/// - `WHARF_SIM_TRACE=directory`: as [`save_traces`](Self::save_traces).
#[derive(Clone, Debug)]
#[must_use = "nothing is tried before `run` or `find`"]
pub struct Check {
    seeds: u64,
    first: u64,
    faults: Option<Faults>,
    threads: usize,
    directory: Option<PathBuf>,
}

/// Tries a scenario with 100 seeds: [`Check::run`] with what it is by default.
///
/// # Panics
/// The scenario fails with one of them.
///
/// ```
/// wharf::sim::check(|simulation| {
///     let sink = simulation.host("sink");
///     sink.serve(async |event_loop| {
///         let mut socket = event_loop.open_datagram_endpoint().local_address("0.0.0.0:9").await?;
///         while socket.next().await.is_some() {}
///         Ok(())
///     });
///     simulation.host("source").start(async |event_loop| {
///         let socket = event_loop.open_datagram_endpoint().peer_address("sink:9").await?;
///         Ok(socket.send(b"hello").await?)
///     });
///     simulation.run()
/// });
/// ```
#[track_caller]
pub fn check(scenario: impl Fn(&Simulation) -> Result + Sync) {
    Check::new().run(scenario);
}

impl Check {
    /// 100 seeds, without faults but those that the scenario makes itself, on as many threads as there are cores.
    pub fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { seeds: 100, first: 0, faults: None, threads, directory: None }
    }

    /// How many seeds.
    pub fn seeds(mut self, count: u64) -> Self {
        self.seeds = count;
        self
    }

    /// The first seed: 0 unless set.
    pub fn first_seed(mut self, seed: u64) -> Self {
        self.first = seed;
        self
    }

    /// Faults at random in each simulation. Its script is made smaller when one has failed.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = Some(faults);
        self
    }

    /// How many threads try seeds side by side: no more than there are seeds.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Saves what has failed below this directory, as [`Trace::save`] does, with packets and what is in them: it is run
    /// once more for that. Each failure has a directory of its own there, with the names of its test and its seed.
    pub fn save_traces(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Tries the scenario, which is given a simulation, makes hosts and lets it run.
    ///
    /// One seed of 16 is run twice, to see that it does the same: what depends on anything but the seed, such as the real
    /// clock, the order of a `HashMap` or another thread, is a failure.
    ///
    /// # Panics
    /// The scenario fails with a seed. The message has the seed, a script of faults that is as short as it could be made,
    /// how to run it again, and the last events. Or an environment variable is no number, or no script.
    #[track_caller]
    pub fn run(&self, scenario: impl Fn(&Simulation) -> Result + Sync) {
        if let Err(failure) = self.find(scenario) {
            panic!("{failure}");
        }
    }

    /// As [`run`](Self::run), and gives what has failed: for those who look for a failure that is there.
    ///
    /// # Errors
    /// The scenario fails with a seed.
    ///
    /// # Panics
    /// An environment variable is no number, or no script.
    pub fn find(
        &self,
        scenario: impl Fn(&Simulation) -> Result + Sync,
    ) -> Result<(), SimulationFailure> {
        let (seed, seeds) = (variable::<u64>("WHARF_SIM_SEED"), variable("WHARF_SIM_SEEDS"));
        let script = variable::<Script>("WHARF_SIM_SCRIPT");
        if let Some(seed) = seed {
            return self.once(seed, script, &scenario);
        }
        let failure = self.try_seeds(seeds.unwrap_or(self.seeds), script, &scenario);
        let Some(failure) = failure else { return Ok(()) };
        let mut failure = self.smaller(failure, &scenario);
        if let Some(place) = self.place(failure.seed) {
            let has_script = !failure.script.events().is_empty();
            let script = has_script.then(|| failure.script.clone());
            let run = self.simulate(failure.seed, script, &scenario, true);
            failure.saved = save(&run.trace, place);
        }
        Err(failure)
    }

    /// So many seeds, side by side, until one has failed: that with the lowest number of those that have.
    fn try_seeds(
        &self,
        seeds: u64,
        script: Option<Script>,
        scenario: &(impl Fn(&Simulation) -> Result + Sync),
    ) -> Option<SimulationFailure> {
        let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
        let failed: Mutex<Option<SimulationFailure>> = Mutex::new(None);
        let work = || {
            while failed.lock().is_ok_and(|failed| failed.is_none()) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= seeds {
                    break;
                }
                let seed = self.first.wrapping_add(index);
                if let Err(failure) = self.try_seed(seed, script.clone(), index % 16 == 0, scenario)
                    && let Ok(mut failed) = failed.lock()
                    && failed.as_ref().is_none_or(|known| seed < known.seed)
                {
                    *failed = Some(failure);
                }
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, seeds);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..u64::try_from(self.threads).unwrap_or(u64::MAX).min(seeds) {
                // Where there can be no more threads, those that there are do it.
                if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        failed.into_inner().unwrap_or_default()
    }

    /// One seed, and its trace.
    fn once(
        &self,
        seed: u64,
        script: Option<Script>,
        scenario: &impl Fn(&Simulation) -> Result,
    ) -> Result<(), SimulationFailure> {
        let place = self.place(seed);
        let run = self.simulate(seed, script.clone(), scenario, place.is_some());
        let _ = std::io::stderr().lock().write_all(run.trace.to_string().as_bytes());
        let saved = place.and_then(|place| save(&run.trace, place));
        run.outcome
            .and_then(|()| self.simulate(seed, script, scenario, false).same_as(seed, &run.trace))
            .map_err(|failure| SimulationFailure { saved, ..failure })
    }

    fn try_seed(
        &self,
        seed: u64,
        script: Option<Script>,
        twice: bool,
        scenario: &impl Fn(&Simulation) -> Result,
    ) -> Result<(), SimulationFailure> {
        let run = self.simulate(seed, script.clone(), scenario, false);
        run.outcome?;
        if !twice {
            return Ok(());
        }
        self.simulate(seed, script, scenario, false).same_as(seed, &run.trace)
    }

    fn simulate(
        &self,
        seed: u64,
        script: Option<Script>,
        scenario: &impl Fn(&Simulation) -> Result,
        is_recorded: bool,
    ) -> Run {
        let simulation = Simulation::new(seed);
        if is_recorded {
            simulation.record_contents();
        }
        match (script, &self.faults) {
            (Some(script), _) => simulation.replay(script),
            (None, Some(faults)) => drop(simulation.faults(faults.clone())),
            (None, None) => {}
        }
        let outcome = fence::run(|| scenario(&simulation))
            .unwrap_or_else(|panic| Err(Failure::from(panic.into_error().to_string())));
        let trace = simulation.trace();
        let failure = |error: Failure| SimulationFailure {
            seed,
            script: trace.script(),
            error: format!("{error:#}"),
            events: trace.tail(40),
            saved: None,
        };
        let outcome = outcome.map_err(failure);
        Run { outcome, trace }
    }

    /// The same failure with fewer faults, if it is there with fewer: parts of the script are left out, ever smaller ones.
    fn smaller(
        &self,
        mut failure: SimulationFailure,
        scenario: &impl Fn(&Simulation) -> Result,
    ) -> SimulationFailure {
        let mut part = failure.script.events().len();
        while part > 0 {
            let mut begin = 0;
            while begin < failure.script.events().len() {
                let shorter = failure.script.without(begin..begin + part);
                if shorter == failure.script {
                    begin += part;
                    continue;
                }
                let most = failure.script.events().len();
                match self.simulate(failure.seed, Some(shorter), scenario, false).outcome {
                    // Not if the scenario has a longer one that follows.
                    Err(smaller) if smaller.script.events().len() < most => failure = smaller,
                    Err(_) | Ok(()) => begin += part,
                }
            }
            part /= 2;
        }
        failure
    }

    /// Where the trace of this seed is saved, if it is.
    fn place(&self, seed: u64) -> Option<PathBuf> {
        let directory = std::env::var_os("WHARF_SIM_TRACE").map(PathBuf::from);
        let directory = directory.or_else(|| self.directory.clone())?;
        let thread = std::thread::current();
        let test = thread.name().filter(|name| *name != "main").unwrap_or("check");
        Some(directory.join(format!("{}-seed-{seed}", test.replace("::", "-"))))
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

struct Run {
    outcome: Result<(), SimulationFailure>,
    trace: Trace,
}

impl Run {
    /// Whether it did well, and the same as the one with the same seed that was traced before.
    fn same_as(self, seed: u64, before: &Trace) -> Result<(), SimulationFailure> {
        self.outcome?;
        if self.trace.fingerprint() == before.fingerprint() {
            return Ok(());
        }
        let (first, second) = (before.to_string(), self.trace.to_string());
        let first: Vec<&str> = first.lines().collect();
        let second: Vec<&str> = second.lines().collect();
        let equal = first.iter().zip(&second).take_while(|(one, other)| one == other).count();
        let line = |of: &[&str]| of.get(equal).map_or("the end", |line| line.trim()).to_owned();
        let error = format!(
            "two runs with the same seed differ, so more than the seed decides: `{}`, and `{}`",
            line(&first),
            line(&second)
        );
        // What both have done before that.
        let events = first[equal.saturating_sub(10)..equal].iter();
        let events = events.map(|line| format!("{line}\n")).collect();
        Err(SimulationFailure { seed, script: Script::new(), error, events, saved: None })
    }
}

/// A seed with which a scenario fails.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SimulationFailure {
    /// Which.
    pub seed: u64,
    /// Faults with which it fails.
    pub script: Script,
    /// How.
    pub error: String,
    /// The last events, a line each.
    pub events: String,
    /// Where all of them were saved: see [`Check::save_traces`].
    pub saved: Option<PathBuf>,
}

impl std::fmt::Display for SimulationFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, script, error, events, saved } = self;
        let mut again = format!("WHARF_SIM_SEED={seed}");
        if !script.events().is_empty() {
            write!(again, " WHARF_SIM_SCRIPT='{script}'")?;
        }
        if let Some(saved) = saved {
            again = format!("{again}\ntrace: {}", saved.display());
        }
        write!(
            formatter,
            "the simulation with seed {seed} has failed: {error}\n{events}again: {again}"
        )
    }
}

impl std::error::Error for SimulationFailure {}

/// Where it was saved, if it could be: a failure that cannot be saved is told all the same.
fn save(trace: &Trace, place: PathBuf) -> Option<PathBuf> {
    match trace.save(&place) {
        Ok(()) => Some(place),
        Err(error) => {
            let place = place.display();
            let _ = writeln!(std::io::stderr(), "the trace cannot be saved to {place}: {error}");
            None
        }
    }
}

/// What an environment variable says, if it is set. One that cannot be understood must not be a check of something else.
fn variable<T: FromStr<Err: Display>>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(error) => panic!("{name} is `{}`: {error}", text.escape_debug()),
    }
}

/// Where there is a terminal.
fn progress(done: u64, of: u64) {
    let mut error = std::io::stderr();
    if error.is_terminal() {
        let end = if done == of { "\n" } else { "" };
        let _ = write!(error, "\r{done} of {of} seeds{end}");
    }
}
