//! The coordinator's I/O: connections of workers and clients, commits of its journal, and time.
//!
//! All that comes in within one turn of the loop becomes one batch, and all that comes while a batch is being written
//! becomes the next: one `fsync` for many tasks. Nobody is told of a change before it is on the disk.
//!
//! A task is written when it is submitted, when it is given to a worker and when it ends, but only once for what of these
//! happens between two batches: a short task costs two writes or one. That it runs must be written, since its worker comes
//! back to it after a restart, and nobody else may have it then. The worker need not wait for that: a fence that was lost
//! is never given again, and what it reports with it is stale.

mod back_up;
mod commits;
mod held;
mod leaving;
mod limits;
mod observed;
mod output;
mod peer;
mod requests;
mod schedules;
mod server;
mod slow;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

pub use server::{CoordinatorServer, ServeOptions};
