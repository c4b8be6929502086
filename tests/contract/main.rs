//! The contract, one test for every promise in `docs/guarantees.md`.
#![forbid(unsafe_code)]

#[cfg(feature = "tls")]
use wharf_test_support::encryption;
use wharf_test_support::{
    children, datagram_probe, files, loops, needs, probe, process, random, running, serving,
    sockets,
};

mod ambient;
mod broadcast;
mod channels;
mod closing;
mod closing_gracefully;
mod create_connection;
mod create_server;
mod datagrams;
mod deadlines;
mod descriptors;
mod documents;
mod drops;
mod dump;
mod ending;
mod errors;
mod exceptions;
mod executor;
mod executors;
mod extremes;
mod facts;
mod flow_control;
mod futures;
mod guarantees;
mod handover;
mod interrupts;
mod life_cycle;
mod loop_iteration;
mod networks;
mod pipes;
mod probes;
mod processes;
mod rate_limits;
mod reaching;
mod readiness;
mod ready_protocols;
mod relay;
mod remote_tasks;
mod requests;
mod send_file;
mod servers;
mod signal_streams;
mod signals;
#[cfg(feature = "sim")]
mod simulated;
mod slow_callbacks;
mod sock;
mod statistics;
mod structured;
mod task_locals;
mod tasks;
mod tasks_random;
mod thread_storms;
mod threads;
mod timers;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_lines;
mod watchers;
mod writing;
