//! The configurations that are made, on files made on the spot, in handshakes without a network.

mod authority;
mod certificates;
mod clients;
mod errors;
mod files;
mod handshake;
mod key_log;
mod reload;
mod resumption;
mod trust;
mod versions;
