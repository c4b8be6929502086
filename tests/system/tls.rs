//! TLS with foreign programs.

mod authority;
mod examples;
mod keys;
mod peers;
mod python;
