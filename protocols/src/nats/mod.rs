//! A client for [NATS](https://nats.io), servers 2.9 and newer.
//!
//! [`codec`] is its wire protocol without I/O.

pub mod codec;
