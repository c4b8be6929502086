//! What the test suites share: protocols that record what is called, running a loop until something
//! holds, programs and processes, certificates, and what a machine may lack.
#![forbid(unsafe_code)]
#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::new_without_default,
    reason = "nobody but the tests uses it"
)]

#[cfg(feature = "tls")]
pub mod authority;
pub mod children;
pub mod datagram_probe;
pub mod encryption;
pub mod files;
pub mod loops;
pub mod needs;
pub mod probe;
pub mod process;
pub mod program;
pub mod random;
pub mod running;
pub mod serving;
pub mod sockets;

/// The page's code is compiled and run as a test, here since its crates are nothing that wharf needs.
#[cfg(doctest)]
#[doc = include_str!("../../docs/ecosystem.md")]
struct Ecosystem;

/// The page on async, likewise.
#[cfg(doctest)]
#[doc = include_str!("../../docs/async.md")]
struct Async;
