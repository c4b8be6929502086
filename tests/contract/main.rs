//! The contract, one test for every promise in `docs/guarantees.md`.
#![forbid(unsafe_code)]

#[path = "../support/serving.rs"]
mod serving;

mod closing;
mod create_connection;
mod create_server;
mod drops;
mod exceptions;
mod executor;
mod futures;
mod guarantees;
mod loop_iteration;
mod metrics;
mod probes;
mod servers;
mod signals;
mod tasks;
mod threads;
mod timers;
mod watchers;
