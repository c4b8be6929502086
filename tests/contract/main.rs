//! The contract, one test for every promise in `docs/guarantees.md`.
#![forbid(unsafe_code)]

#[path = "../support/encryption.rs"]
#[allow(dead_code, unused_imports, reason = "every test binary uses a part of it")]
mod encryption;
#[path = "../support/probe.rs"]
#[allow(dead_code, reason = "every test binary uses a part of it")]
mod probe;
#[path = "../support/running.rs"]
#[allow(dead_code, reason = "every test binary uses a part of it")]
mod running;
#[path = "../support/serving.rs"]
mod serving;

mod broadcast;
mod closing;
mod create_connection;
mod create_server;
mod deadlines;
mod drops;
mod exceptions;
mod executor;
mod flow_control;
mod futures;
mod guarantees;
mod life_cycle;
mod loop_iteration;
mod metrics;
mod probes;
mod servers;
mod signals;
mod tasks;
mod threads;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_lines;
mod watchers;
mod writing;
