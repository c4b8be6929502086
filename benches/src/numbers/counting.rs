//! What instructions and system calls have in common: they are counted over a server's whole life,
//! so each load is run in two lengths, and start, warm-up and end cancel out in the difference.

use std::ffi::OsString;

use super::Bench;
use crate::Result;
use crate::contender::Contender;
use crate::load_process::LoadProcess;
use crate::scenario::{EchoScenario, MANY, MANY_BULK, ONE, ONE_BULK, churn_arguments};
use crate::server_process::ServerProcess;

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

    /// The two lengths.
    pub(super) fn lengths(self) -> (u64, u64) {
        match self {
            Self::Message(scenario) if scenario.connections == 1 => (500, 3_500),
            Self::Message(_) => (1_000, 11_000),
            Self::Connection => (500, 3_500),
        }
    }

    fn arguments(self, length: u64) -> Vec<String> {
        match self {
            Self::Message(scenario) => scenario.arguments(length),
            Self::Connection => churn_arguments(length),
        }
    }
}

impl std::fmt::Display for Unit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(scenario) => write!(formatter, "message, {scenario}"),
            Self::Connection => write!(formatter, "connection: connect, 64 B, close; 50 at a time"),
        }
    }
}

/// Runs a server under a counting program from its start to its end, with a load of `length` units.
pub(super) fn counted_run(
    bench: &Bench,
    wrapper: &[OsString],
    contender: &Contender,
    unit: Unit,
    length: u64,
) -> Result {
    let server = ServerProcess::start_under(wrapper, contender, bench.server_core)?;
    let mut load = LoadProcess::start(server.address(), &unit.arguments(length), bench.load_core)?;
    load.result()?;
    load.finish()?;
    server.stop()
}
