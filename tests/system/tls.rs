//! TLS with foreign programs.

mod authority;
mod ends;
mod examples;
mod exporting;
mod key_updates;
mod keys;
mod peers;
mod python;
mod resumption;
mod servers;
