//! Processes that are killed, and stores of many tasks.

mod cluster;
mod kill;
mod million;
