//! The executor on NATS JetStream, against real servers: `nats-server`, one by itself and three in a cluster, and
//! `nats-py`.
#![forbid(unsafe_code)]

mod basics;
mod cluster;
mod command_line;
mod end;
mod observer;
mod output;
mod python;
mod server;
mod top;
