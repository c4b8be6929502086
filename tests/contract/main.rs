//! One test for every promise in `docs/guarantees.md`.

#[path = "../support/serving.rs"]
mod serving;

mod create_connection;
mod create_server;
mod servers;
