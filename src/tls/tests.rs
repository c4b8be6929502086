//! The configurations that are made, on files made on the spot, in handshakes without a network.

mod authority;
mod certificates;
mod clients;
mod files;
mod handshake;
mod reload;
mod resumption;
mod trust;
mod versions;
