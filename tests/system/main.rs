//! Whole programs, foreign peers, and the operating system's limits.
#![forbid(unsafe_code)]

#[path = "../support/serving.rs"]
mod serving;

mod chat;
mod datagrams;
mod descriptors;
mod examples;
mod idle;
mod inherited;
mod options;
mod peers;
mod process;
mod program;
mod remote;
mod resets;
mod silent;
