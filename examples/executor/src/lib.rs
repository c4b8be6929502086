//! A durable distributed task executor.
//!
//! A client *submits* tasks, a *coordinator* keeps them on its disk, and *workers* run them. The way of a task is the
//! order of the modules:
//!
//! - [`access`]: who may talk, and how: addresses, TLS, tokens;
//! - [`task`]: what a task is, and what became of it;
//! - [`schedule`]: tasks that are submitted again and again;
//! - [`coordinator`]: who runs what, and when: it decides, and does no I/O;
//! - [`serve`]: the coordinator's I/O: connections, commits, and time;
//! - [`commands`]: a binary's command line;
//! - [`dashboard`]: a page that shows what it does, and numbers for others;
//! - [`client`]: tasks are submitted, and their results awaited;
//! - [`work`]: a worker: functions by name, and slots that run them;
//! - [`functions`]: those that every worker has;
//! - [`wire`]: what they say to each other;
//! - [`store`]: where tasks are kept;
//! - [`nats`]: the same without a coordinator, on NATS JetStream.
#![forbid(unsafe_code)]

pub mod access;
pub mod client;
pub mod commands;
pub mod coordinator;
pub mod dashboard;
mod function;
pub mod functions;
pub mod nats;
#[cfg(test)]
mod scale;
pub mod schedule;
pub mod serve;
pub mod store;
pub mod task;
pub mod wire;
pub mod work;

pub use function::Function;

/// Its examples are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
