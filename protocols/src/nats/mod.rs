//! A client for [NATS](https://nats.io), servers 2.9 and newer.
//!
//! [`Options::connect`] gives a [`Client`]: publish and subscribe, queue groups, requests and answers, headers. It
//! connects again by itself, to any member of the cluster, restores its subscriptions, and keeps what is published
//! meanwhile, up to a limit. [`jetstream`] has streams that are kept, consumers that acknowledge, and a key-value store.
//! [`codec`] is the wire protocol without I/O.
//!
//! ```no_run
//! use wharf_protocols::nats::Options;
//!
//! fn main() -> wharf::Result {
//!     wharf::run(async |event_loop| {
//!         let client = Options::new().connect(&event_loop, ["localhost"]).await?;
//!         // Callbacks …
//!         let answering = client.clone();
//!         let questions = client.subscription("questions.*").queue_group("workers");
//!         questions
//!             .on_message(move |question| {
//!                 // `Err`: a message that wants no answer.
//!                 let _ = answering.respond(&question, "42");
//!             })?
//!             .detach();
//!         // … and tasks.
//!         let answer = client.request("questions.7", "six times seven").await?;
//!         assert_eq!(answer.payload(), b"42");
//!         let mut news = client.subscribe("news.>")?;
//!         while let Some(message) = news.next().await {
//!             println!("{}: {:?}", message.subject(), message.payload());
//!         }
//!         Ok(())
//!     })
//! }
//! ```
//!
//! # Limits
//!
//! | [`Options`] | default |
//! |---|---|
//! | `max_message`: a message that is received, with its headers; a longer one ends the connection | 8 MiB |
//! | `max_pending`: what waits to be sent, connected or not; what is above is refused | 8 MiB |
//! | `connect_timeout`: one server, with TLS and log-in | 5 s for each |
//! | `request_timeout`: the answer to a request | 5 s |
//! | `drain_timeout`: subscribers, when the client drains | 30 s |
//! | `pings`: the interval, and how many without an answer end the connection | 2 min, 2 |
//! | `backoff`: the first delay between attempts, and the longest | 100 ms, 4 s |
//!
//! The [`codec`] takes control lines of 64 KiB and headers of 64 KiB, and writes control lines of 4096 bytes, which is
//! what servers take.
//!
//! # What is refused
//!
//! What is to be sent must be one operation: subjects without spaces and control characters, wildcards only where one subscribes,
//! names and values of headers without line ends; [`codec::Rule`] has each by itself. What a server sends must be as
//! [the protocol](https://docs.nats.io/reference/reference-protocols/nats-protocol) has it; else the connection is made anew.

mod client;
pub mod codec;
pub mod jetstream;

pub use client::{
    Client, Credentials, Event, Events, Message, NatsError, Options, Publish, SlowConsumer,
    SubscribeBuilder, Subscription, SubscriptionHandle,
};
