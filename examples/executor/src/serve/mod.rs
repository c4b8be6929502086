//! The coordinator's I/O: connections of workers and clients, commits of its journal, and time.
//!
//! All that comes in within one turn of the loop becomes one batch, and all that comes while a batch is being written
//! becomes the next: one `fsync` for many tasks. Nobody is told of a change before it is on the disk.

mod back_up;
mod commits;
mod leaving;
mod observed;
mod output;
mod peer;
mod requests;
mod schedules;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod watch;

pub use server::{CoordinatorServer, ServeOptions};
