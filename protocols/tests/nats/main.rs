//! The client of NATS against real servers: `nats-server`, one by itself and three in a cluster, and `nats-py`.
#![forbid(unsafe_code)]

mod cluster;
mod credentials;
mod jetstream;
mod key_value;
mod operation;
mod plain;
mod python;
mod server;
#[cfg(feature = "tls")]
mod tls;
