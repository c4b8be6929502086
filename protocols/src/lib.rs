//! Ready protocols for wharf.
//!
//! Each protocol comes in two layers: a *codec* that turns bytes into frames and knows nothing of
//! sockets, and a thin [`Protocol`](https://docs.rs/wharf) that feeds it from a transport.
//!
//! - [`mod@codec`]: what all codecs of this crate are.
//! - [`mod@framing`]: frames that say how long they are, and what feeds any codec from a transport.
//! - `http`: HTTP/1.1, servers and clients (feature `http`).
//! - [`mod@line`]: text lines, or anything else that ends with a delimiter.
//! - `nats`: a client for NATS (feature `nats`).
//! - `websocket`: WebSocket, clients and servers (feature `websocket`; compressed with `websocket-deflate`).
//! - [`mod@reconnect`]: a client that connects again, for any protocol.
//! - [`mod@testing`]: checks for codecs, of this crate or your own.
//! - [`mod@wrap`]: looking at what any protocol receives and sends: logs, counters, PCAP files.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backpressure;
pub mod codec;
#[cfg(test)]
mod codec_tests;
#[cfg(any(feature = "http", feature = "websocket"))]
mod field_syntax;
pub mod framing;
#[cfg(feature = "http")]
#[cfg_attr(docsrs, doc(cfg(feature = "http")))]
pub mod http;
pub mod line;
mod mailbox;
#[cfg(feature = "nats")]
#[cfg_attr(docsrs, doc(cfg(feature = "nats")))]
pub mod nats;
mod notify;
pub mod reconnect;
#[cfg(any(feature = "http", feature = "websocket"))]
mod reference;
pub mod testing;
#[cfg(feature = "websocket")]
#[cfg_attr(docsrs, doc(cfg(feature = "websocket")))]
pub mod websocket;
#[cfg(any(feature = "http", feature = "websocket"))]
mod words;
pub mod wrap;

/// The README's code is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is that of the page about fuzzing.
#[cfg(doctest)]
#[doc = include_str!("../../docs/fuzzing.md")]
struct Fuzzing;

/// And that of the page about simulation.
#[cfg(doctest)]
#[doc = include_str!("../../docs/simulation.md")]
struct Simulation;
