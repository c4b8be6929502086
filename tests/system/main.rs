//! The operating system's limits, processes, and foreign peers.

#[path = "../support/serving.rs"]
mod serving;

mod descriptors;
mod idle;
mod inherited;
mod options;
mod peers;
mod process;
mod remote;
mod resets;
mod silent;
