//! Testing protocols without sockets, threads or waiting.
//!
//! A loop in memory runs the same transports, servers, connects, timers and tasks as any other, on
//! sockets that are buffers and a clock that is virtual: when nothing is ready, time jumps to the
//! next timer. Equal programs run equally. A [`Recorder`] runs one protocol and plays its peer by
//! hand; [`pair`] joins two protocols; [`MemoryNetwork`] is for whole servers and their clients. A
//! [`Record`] says which callbacks a protocol got, of a stream or an endpoint, on any loop.
//!
//! ```
//! use wharf::testing::Recorder;
//! # use wharf::{Protocol, Result, Transport};
//! # struct Echo;
//! # impl Protocol for Echo {
//! #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
//! #         transport.write(data);
//! #         Ok(())
//! #     }
//! # }
//!
//! # fn main() -> Result {
//! let mut recorder = Recorder::new(|| Echo)?;
//! recorder.receive(b"hello")?;
//! assert_eq!(recorder.sent()?, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! Between the two protocols of a [`Pump`] bytes move by the test's own hand. [`check_protocol`] checks that a protocol does
//! the same however its input is split. A peer that is [`Misbehaving`] never reads, dribbles, floods, resets or stays. A
//! [`LeakGuard`] names what a test has left on its loop.
//!
//! [`check_splits`] does the same for codecs and what else takes its input in parts; more checks of codecs are in
//! [`wharf_protocols::testing`](https://docs.rs/wharf-protocols/latest/wharf_protocols/testing/).
//!
//! Some things do not exist in memory, and fail with a clear
//! [`is_unsupported`](crate::Error::is_unsupported) error: sockets and descriptors of the operating
//! system, passing them and handing them over, child processes, and signals.

mod leaks;
mod misbehaving;
mod network;
mod pair;
mod pump;
mod record;
mod recorder;
mod recording;
mod splits;
mod stepping;
mod streams;
#[cfg(test)]
mod tests;

pub use self::leaks::{LeakGuard, Leaks};
pub use self::misbehaving::Misbehaving;
pub use self::network::MemoryNetwork;
pub use self::pair::pair;
pub use self::pump::Pump;
pub use self::record::{Call, Record};
pub use self::recorder::Recorder;
pub use self::recording::{Defaults, RecordingProtocol};
pub use self::splits::{Exchange, check_protocol, check_splits};
pub use self::stepping::{advance, settle, step};
pub use self::streams::stream_pair;

/// How many panics came out of the ticks of this thread's loops instead of being caught where the
/// loop called what panicked. None should: for the library's own tests.
#[doc(hidden)]
pub fn unfenced_panics() -> u64 {
    crate::event_loop::unfenced_panics()
}

/// How many cases a random unit test tries: as many as `PROPTEST_CASES` says, or the usual number.
#[cfg(test)]
pub(crate) fn cases(usual: u32) -> u32 {
    let Ok(text) = std::env::var("PROPTEST_CASES") else { return usual };
    text.parse().expect("PROPTEST_CASES is a number")
}
