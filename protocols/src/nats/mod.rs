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

mod client;
pub mod codec;
pub mod jetstream;

pub use client::{
    Client, Credentials, Event, Events, Message, NatsError, Options, Publish, SlowConsumer,
    SubscribeBuilder, Subscription, SubscriptionHandle,
};
