//! TLS with foreign programs.

mod authority;
mod ends;
mod examples;
mod key_updates;
mod keys;
mod peers;
mod python;
mod renegotiation;
mod resumption;
mod servers;
