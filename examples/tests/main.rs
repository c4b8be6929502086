//! The examples, as their users run them: among real programs, files and terminals, under load, and
//! killed.
//!
//! `cargo test` builds the programs first; `cargo test --test examples` alone does not.
#![forbid(unsafe_code)]

use wharf_test_support::{
    authority, children as observer, needs, process, program, serving, sockets,
};

mod browser;
mod chat;
mod chat_client;
mod chat_ends;
mod chat_terminal;
mod countdown;
mod crawler;
mod datagrams;
mod hot_restart;
mod http_client;
mod http_get;
mod http_server;
mod hyper;
mod nats_pubsub;
mod programs;
mod proxy;
mod requests;
mod sim_chat;
mod sim_find_bug;
mod sim_trace;
mod sni_proxy;
mod stdio;
mod stdio_chat;
mod supervise;
mod tls;
mod websocket;

/// What a program has said on standard error, but for what it was waiting for: how long that takes is
/// up to the machine.
fn complaints(errors: &str) -> String {
    let is_complaint = |line: &&str| !line.contains(": waiting for ");
    errors.lines().filter(is_complaint).collect::<Vec<_>>().join("\n")
}
