//! A client: it submits tasks, and hears what became of them.
//!
//! ```no_run
//! use wharf_executor::client::{Client, ClientOptions};
//!
//! fn main() -> wharf::Result {
//!     wharf::run(async |event_loop| {
//!         let client = Client::start(&event_loop, ["127.0.0.1:7000"], ClientOptions::default())?;
//!         let task = client.submit("add", &(1, 2)).await?;
//!         let sum: i64 = task.result().await?;
//!         assert_eq!(sum, 3);
//!         Ok(())
//!     })
//! }
//! ```

mod back_up;
mod backend;
mod chain;
mod connected;
mod connection;
mod error;
mod group;
mod handle;
mod map;
mod output;
mod reach;
mod results;
mod schedules;
mod spans;
mod task_builder;
mod tasks;
#[cfg(test)]
mod tests;

pub use chain::{Chain, ChainBuilder};
pub use error::ClientError;
pub use group::{Group, GroupBuilder};
pub use handle::{Client, ClientOptions};
pub use map::{FromIterator, FromStream, Map, MapEnds, Source};
pub use output::{OutputItem, OutputReader};
pub use results::GroupProgress;
pub use task_builder::TaskBuilder;
pub use tasks::{SubmittedTask, TypedTask};
