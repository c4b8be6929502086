//! The contract, one test a line: `docs/guarantees.md` says which.
#![forbid(unsafe_code)]

mod closing;
mod drops;
mod exceptions;
mod executor;
mod futures;
mod guarantees;
mod loop_iteration;
mod metrics;
mod probes;
mod signals;
mod tasks;
mod threads;
mod timers;
mod watchers;
