//! The examples, as their users run them: among real programs, files and terminals, under load, and
//! killed.
//!
//! `cargo test` builds the programs first; `cargo test --test examples` alone does not.
#![forbid(unsafe_code)]

use wharf_test_support::{
    authority, children as observer, needs, process, program, serving, sockets,
};

mod chat;
mod datagrams;
mod hot_restart;
mod programs;
mod proxy;
mod stdio;
mod stdio_chat;
mod supervise;
mod tls;
