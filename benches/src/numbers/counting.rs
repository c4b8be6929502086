//! What instructions, allocations, system calls and the heap have in common: they are counted over a
//! server's whole life, so each load is run in two lengths, and start, warm-up and end cancel out in
//! the difference.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;

use super::{Bench, scratch_file};
use crate::Result;
use crate::contender::Contender;
use crate::counters::{callgrind, dhat, strace};
use crate::load_process::LoadProcess;
use crate::scenario::{EchoScenario, MANY, MANY_BULK, ONE, ONE_BULK, churn_arguments};
use crate::server_process::ServerProcess;

/// The same load in two lengths.
#[derive(Debug, Clone)]
pub(super) struct Lengths {
    /// What to give to `load`.
    pub(super) short: Vec<String>,
    pub(super) long: Vec<String>,
    /// By how many units the second is longer.
    pub(super) units: f64,
}

impl Lengths {
    /// What a unit of the load makes a server execute.
    pub(super) fn executed(&self, bench: &Bench, contender: &Contender) -> Result<Executed> {
        let [few, many] = self.both(|load| {
            counted_run(bench, contender, load, callgrind::wrapper, |output| {
                Ok((callgrind::instructions(output)?, callgrind::allocations(output)?))
            })
        })?;
        Ok(Executed {
            instructions: self.per_unit(few.0, many.0),
            allocations: self.per_unit(few.1, many.1),
        })
    }

    /// The system calls that a unit of the load makes a server do, the most frequent first; those
    /// that only start and end make are left out.
    pub(super) fn system_calls(&self, bench: &Bench, contender: &Contender) -> Result<SystemCalls> {
        let [few, many] =
            self.both(|load| counted_run(bench, contender, load, strace::wrapper, strace::calls))?;
        let per_unit = many.into_iter().map(|(name, count)| {
            let before = few.get(&name).copied().unwrap_or(0);
            (name, self.per_unit(before, count))
        });
        let mut by_name: Vec<_> = per_unit.filter(|(_, count)| count.abs() >= 0.0005).collect();
        by_name.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        Ok(SystemCalls { by_name })
    }

    /// By how many bytes a unit of the load makes a server's heap larger, where it is largest.
    pub(super) fn heap(&self, bench: &Bench, contender: &Contender) -> Result<f64> {
        let [few, many] =
            self.both(|load| counted_run(bench, contender, load, dhat::wrapper, dhat::most_bytes))?;
        Ok(self.per_unit(few, many))
    }

    fn both<T>(&self, mut count: impl FnMut(&[String]) -> Result<T>) -> Result<[T; 2]> {
        Ok([count(&self.short)?, count(&self.long)?])
    }

    fn per_unit(&self, few: u64, many: u64) -> f64 {
        (many as f64 - few as f64) / self.units
    }
}

/// What callgrind counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Executed {
    /// In user space.
    pub(super) instructions: f64,
    pub(super) allocations: f64,
}

/// What strace counts.
#[derive(Debug)]
pub(super) struct SystemCalls {
    pub(super) by_name: Vec<(String, f64)>,
}

impl SystemCalls {
    pub(super) fn all(&self) -> f64 {
        self.by_name.iter().map(|(_, count)| count).sum()
    }

    /// With the one digit that limits have; what is behind it are the polls that units share.
    pub(super) fn rounded(&self) -> f64 {
        (self.all() * 10.0).round() / 10.0
    }

    pub(super) fn of(&self, name: &str) -> f64 {
        let found = self.by_name.iter().find(|(other, _)| other == name);
        found.map_or(0.0, |(_, count)| *count)
    }
}

impl fmt::Display for SystemCalls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = self.by_name.iter().map(|(name, count)| format!("{name} {count:.3}"));
        formatter.write_str(&which.collect::<Vec<_>>().join(", "))
    }
}

/// Runs a server under a counting program from its start to its end, and reads what was counted.
fn counted_run<T>(
    bench: &Bench,
    contender: &Contender,
    load: &[String],
    wrapper: fn(&Path) -> Vec<OsString>,
    read: impl FnOnce(&Path) -> Result<T>,
) -> Result<T> {
    let output = scratch_file("counted");
    let server = ServerProcess::start_under(&wrapper(&output), contender, bench.server_core)?;
    let mut load = LoadProcess::start(server.address(), load, bench.load_core)?;
    load.result()?;
    load.finish()?;
    server.stop()?;
    let counted = read(&output)?;
    fs::remove_file(&output)?;
    Ok(counted)
}

/// What is counted: what one message, or one connection, costs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    Message(EchoScenario),
    Connection,
}

impl Unit {
    pub(super) const MANY: Self = Self::Message(MANY);
    pub(super) const ONE: Self = Self::Message(ONE);
    pub(super) const MANY_BULK: Self = Self::Message(MANY_BULK);
    pub(super) const ONE_BULK: Self = Self::Message(ONE_BULK);

    pub(super) fn lengths(self) -> Lengths {
        let (short, long) = match self {
            Self::Message(scenario) if scenario.connections == 1 => (500, 3_500),
            Self::Message(_) => (1_000, 11_000),
            Self::Connection => (500, 3_500),
        };
        let units = (long - short) as f64;
        Lengths { short: self.arguments(short), long: self.arguments(long), units }
    }

    fn arguments(self, length: u64) -> Vec<String> {
        match self {
            Self::Message(scenario) => scenario.arguments(length),
            Self::Connection => churn_arguments(length),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(scenario) => write!(formatter, "message, {scenario}"),
            Self::Connection => write!(formatter, "connection: connect, 64 B, close; 50 at a time"),
        }
    }
}
