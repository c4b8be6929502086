//! Whole programs, foreign peers, and the operating system's limits.
#![forbid(unsafe_code)]

#[path = "../support/serving.rs"]
mod serving;

mod chat;
mod descriptor_passing;
mod descriptors;
mod examples;
mod hot_restart;
mod idle;
mod inherited;
mod options;
mod peers;
mod process;
mod program;
mod proxy;
mod remote;
mod resets;
mod silent;
mod stdio;
mod stdio_chat;
mod tls;
