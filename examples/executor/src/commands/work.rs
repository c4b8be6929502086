use std::time::Duration;

use clap::Args;
use wharf::Result;
use wharf::signal::{SIGINT, SIGTERM};

use super::connect::Connect;
use super::parse;
use crate::task::Kind;
use crate::work::{Functions, WorkerOptions};

#[derive(Debug, Args)]
pub(super) struct Work {
    #[command(flatten)]
    coordinator: Connect,
    /// How many tasks run at once; as many as there are cores by default
    #[arg(long)]
    slots: Option<usize>,
    /// The kinds to run, of those that it could; all by default
    #[arg(long, value_delimiter = ',', value_parser = parse::kind)]
    kinds: Option<Vec<Kind>>,
    /// Its name, for people
    #[arg(long)]
    name: Option<Box<str>>,
}

/// How long tasks have to end when the worker is to end.
const GRACE: Duration = Duration::from_secs(30);

pub(super) fn run(arguments: Work, functions: Functions) -> Result {
    wharf::run(async move |event_loop| {
        let mut signals = event_loop.signals([SIGINT, SIGTERM])?;
        let defaults = WorkerOptions::default();
        let slots = arguments.slots.unwrap_or(defaults.slots).max(1);
        let options = WorkerOptions {
            name: arguments.name.unwrap_or(defaults.name),
            slots,
            prefetch: slots,
            kinds: arguments.kinds,
            ..defaults
        };
        let worker = arguments.coordinator.worker(&event_loop, functions, options)?;
        signals.next().await;
        worker.shutdown(GRACE).await
    })
}
