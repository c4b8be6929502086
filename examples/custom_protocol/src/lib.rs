//! Counters that clients add to: a protocol of one's own, as a package to copy.
//!
//! [`MessageDecoder`] and [`MessageEncoder`] are the codec, [`server`] makes the protocol of a server's connection, and
//! [`Client`] is the client. The README says what each file shows.
#![forbid(unsafe_code)]

mod client;
mod message;
mod server;

pub use client::Client;
pub use message::{MAX_BODY, Message, MessageDecoder, MessageEncoder, MessageError, Unsendable};
pub use server::{Counters, IDLE, Tally, server};
