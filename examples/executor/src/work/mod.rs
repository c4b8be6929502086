//! A worker: functions by name, and slots that run them.
//!
//! ```no_run
//! use std::time::Duration;
//! use wharf_executor::work::{Functions, Worker, WorkerOptions};
//!
//! fn main() -> wharf::Result {
//!     let mut functions = Functions::new();
//!     functions.add("add", |(left, right): (i64, i64), _| Ok::<_, String>(left + right))?;
//!     wharf::run(async |event_loop| {
//!         let options = WorkerOptions::default();
//!         let worker = Worker::start(&event_loop, ["127.0.0.1:7000"], functions, options)?;
//!         event_loop.signals([wharf::signal::SIGINT])?.next().await;
//!         worker.shutdown(Duration::from_secs(30)).await?;
//!         Ok(())
//!     })
//! }
//! ```

mod connection;
mod exec;
mod failure;
mod functions;
mod occupied;
mod output;
mod running;
mod stop;
#[cfg(test)]
mod tests;
mod unrecorded;
mod worker;

pub use exec::{ExecArguments, ExecLimits};
pub use failure::Failure;
pub use functions::{Functions, Job};
pub(crate) use worker::{CLOSED, Runner};
pub use worker::{Worker, WorkerOptions};
