//! Processes that are killed, and stores of many tasks.
#![forbid(unsafe_code)]

mod cluster;
mod kill;
mod million;
