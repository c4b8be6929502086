use std::cell::Cell;
use std::time::Duration;

use clap::Args;
use futures_util::future::{Either, select};
use serde_json::json;
use wharf::Result;
use wharf::signal::{SIGHUP, SIGINT, SIGTERM};

use super::connect::Connect;
use super::exit::{CommandError, Exit};
use super::output::{Output, printable};
use super::parse;
use super::service::Manager;
use crate::task::Kind;
use crate::work::{Functions, Worker, WorkerOptions};

#[derive(Debug, Args)]
pub(super) struct Work {
    #[command(flatten)]
    connect: Connect,
    /// How many tasks run at once; as many as there are cores by default
    #[arg(long)]
    slots: Option<usize>,
    /// The kinds to run, of those that it could; all by default
    #[arg(long, value_delimiter = ',', value_parser = parse::kind)]
    kinds: Option<Vec<Kind>>,
    /// Runs the programs of tasks of the kind exec, as this user; so does --kinds exec
    #[arg(long)]
    exec: bool,
    /// Its name, for people
    #[arg(long)]
    name: Option<Box<str>>,
    /// How long tasks have to end when the worker is to end, before it gives them back; a second signal ends it at once
    #[arg(long, default_value = "30s", value_parser = parse::duration)]
    grace: Duration,
}

pub(super) fn run(arguments: Work, mut functions: Functions, output: Output) -> Result {
    let is_exec = |kind: &Kind| kind.as_str() == "exec";
    if arguments.exec || arguments.kinds.iter().flatten().any(is_exec) {
        functions.enable_exec()?;
    }
    let has = |kind: &Kind| functions.kinds().any(|other| other == kind);
    if let Some(kind) = arguments.kinds.iter().flatten().find(|kind| !has(kind)) {
        let has: Vec<_> = functions.kinds().map(Kind::as_str).collect();
        let text = format!("{kind} is no kind of this worker's: it has {}", has.join(", "));
        return Err(CommandError::new(Exit::Usage, text).into());
    }
    wharf::run(async move |event_loop| {
        let manager = Manager::new()?;
        let mut signals = event_loop.signals([SIGINT, SIGTERM, SIGHUP])?;
        let defaults = WorkerOptions::default();
        let slots = arguments.slots.unwrap_or(defaults.slots).max(1);
        let options = WorkerOptions {
            name: arguments.name.unwrap_or(defaults.name),
            slots,
            prefetch: slots,
            kinds: arguments.kinds,
            ..defaults
        };
        let worker = arguments.connect.worker(&event_loop, functions, options)?;
        tell(&worker, arguments.connect.whom(), output);
        manager.is_ready();
        manager.watch(&event_loop);
        while signals.next().await == SIGHUP {
            manager.reloads();
            if let Err(error) = arguments.connect.renew(&worker) {
                eprintln!("the certificates stay as they were: {error}");
            }
            manager.is_ready();
        }
        manager.stops();
        let ending = Box::pin(worker.shutdown(arguments.grace));
        match select(ending, Box::pin(signals.next())).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err("its tasks were given up: a second signal came".into()),
        }
    })
}

/// Says when it has found its coordinator or a server and, once until one is found again, why there is none.
fn tell(worker: &Worker, whom: &'static str, output: Output) {
    let is_told = Cell::new(false);
    worker.on_connection(move |connection| match connection {
        Ok(address) => {
            is_told.set(false);
            // It works on though nobody reads that.
            let _ = output
                .print(&json!({"connected": address}), format_args!("connected to {address}"));
        }
        Err(why) if !is_told.replace(true) => {
            eprintln!("no {whom}: {}; the worker goes on trying", printable(why));
        }
        Err(_) => {}
    });
}
