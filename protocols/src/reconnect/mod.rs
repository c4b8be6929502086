//! A client that connects again: whatever the protocol, a lost connection is made anew, at one of several addresses.
//!
//! [`Reconnecting`] holds one connection at a time. When that is lost, or cannot be made, the next address is tried,
//! after a delay that doubles with each round through the addresses and has jitter, so that the clients of a server
//! that restarts do not come all at once. What the client is doing is told to callbacks and to
//! async streams ([`States`]). What a protocol wants to keep over several connections is in an `Rc` that its factory
//! gives to each.
//!
//! ```
//! use wharf::testing::MemoryNetwork;
//! use wharf::{Protocol, Result, Transport};
//! use wharf_protocols::reconnect::{Reconnecting, State};
//!
//! struct Client;
//!
//! impl Protocol for Client {
//!     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result {
//! MemoryNetwork::new().event_loop().run(async |event_loop| {
//!     event_loop.create_server(|| Client, "10.0.0.2:7").await?;
//!     // Nobody listens at the first one.
//!     let addresses = ["10.0.0.1:7", "10.0.0.2:7"];
//!     let client = Reconnecting::builder(&event_loop, addresses, |_| Client).start()?;
//!     let mut states = client.states();
//!     let connection = client.connected().await?;
//!     connection.abort();
//!     // It is there again.
//!     while !matches!(states.next().await, Some(State::Waiting { .. })) {}
//!     client.connected().await?.write(b"hello");
//!     client.close();
//!     while let Some(state) = states.next().await {
//!         println!("{state:?}");
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Limits
//!
//! | | default |
//! |---|---|
//! | [`attempt_timeout`](ReconnectBuilder::attempt_timeout): one attempt, with the look-up and TLS | 10 s |
//! | [`backoff`](ReconnectBuilder::backoff): the first delay, and the longest | 100 ms, 10 s |
//! | [`max_failures`](ReconnectBuilder::max_failures): failures in a row, then it gives up | never |
//! | [`max_initial_failures`](ReconnectBuilder::max_initial_failures): the same before the first connection | never |
//!
//! A server that takes connections and then refuses a log-in is for [`handshake`](ReconnectBuilder::handshake): without it
//! each such connection would count as made, and the next one come without a growing delay.

mod addresses;
mod backoff;
mod builder;
mod client;
mod state;
#[cfg(test)]
mod tests;

pub use builder::{Attempt, ReconnectBuilder};
pub use client::Reconnecting;
pub use state::{State, States};
