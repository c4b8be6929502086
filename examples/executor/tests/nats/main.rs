//! The executor on NATS JetStream, against real servers: `nats-server`, one by itself and three in a cluster, and
//! `nats-py`.
#![forbid(unsafe_code)]

mod basics;
mod cluster;
mod command_line;
mod dashboard;
mod drain;
mod end;
mod lists;
mod observer;
mod output;
mod python;
mod schedules;
mod server;
mod strange;
mod top;
