//! What `docs/numbers.md` is made of: wharf beside its peers, side by side in one run.
//!
//! These programs live under `src/bin`:
//!
//! - **contenders** (`echo-raw-mio`, `echo-tokio`, …): the same echo server, once per library, from
//!   [`servers`]; the libuv one is C and lives in `libuv/echo.c`, those of asyncio and uvloop are
//!   Python and live in `python/echo_tls.py`;
//! - **relays** (`relay-tokio`, `relay-wharf`), from [`relays`];
//! - **`http`** and **`messages`**: servers of protocols, from [`servers::http`] and [`servers::messages`];
//! - **`nats`**: a client for NATS, from [`nats`];
//! - **`executor`** and **`executor-load`**: the task executor and a client of it, from [`executor`];
//! - **`file-blocking`** and **`file-wharf`**: servers that send a file, from [`servers::files`];
//! - **`load`**: the client that drives any of them, from [`load`];
//! - **`numbers`**: starts contenders and `load` in turn, counts, and prints tables, from
//!   [`numbers`];
//! - **`timers`**: measures timers within one process, from [`timers`];
//! - **`children`**: measures child processes, from [`children`];
//! - **`pipes`**: measures pipes within one process, from [`pipes`];
//! - **`tasks`**: performs one operation of tasks many times, from [`tasks`];
//! - **`plot`**: draws the picture of `docs/numbers.md`, from [`plot`].
//!
//! Counting reads `/proc` and runs `valgrind` and `strace`, so `numbers` is for Linux; the servers
//! and `load` run on any Unix.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "these are programs; their output is their purpose")]

pub mod affinity;
pub mod arguments;
pub mod child_process;
pub mod children;
pub mod contender;
pub mod counters;
pub mod executor;
pub mod load;
pub mod load_process;
mod measured;
pub mod nats;
pub mod nats_server;
pub mod numbers;
pub mod pipes;
pub mod plot;
mod random;
pub mod relays;
pub mod report;
pub mod scenario;
pub mod server_process;
pub mod servers;
pub mod tasks;
pub mod timers;

/// What fallible functions here return, and fail with: these programs print it and exit.
pub use wharf::{Failure, Result};

/// Turns the outcome of a program into its exit code, with one line on stderr for an error.
pub fn exit_code(outcome: Result) -> std::process::ExitCode {
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
