//! Looking at what a protocol receives and sends: logged, counted, or written to a PCAP file, for any protocol.
//!
//! [`tapped`] puts a protocol behind a [`Tap`], which is told of every byte in both directions, as the protocol sees
//! them: plaintext also where the connection is under TLS. [`Log`], [`Counters`] and [`Pcap`] are taps, and so is a pair
//! of them.
//!
//! The protocol does not know. It has a transport of its own, in memory, which is joined to the real one:
//!
//! | | through a tap |
//! |---|---|
//! | bytes | in order, both ways; the tap is told before they go on |
//! | back-pressure | passes: a peer that does not read stops the protocol, and a protocol that does not read stops the peer; 64 KiB more are on their way in each direction |
//! | ends, closes, aborts | pass, of either side |
//! | errors | end both connections. The tap is told the error itself; the protocol is told that its connection was reset, when the error was the real connection's |
//! | deadlines, limits, [`info`](wharf::Transport::info) | the protocol's are those of its own transport, without addresses; a tap has the real one |
//! | TLS of the connection's builder | outside of the tap, which sees plaintext |
//! | [`start_tls`](wharf::Transport::start_tls) by the protocol | inside: it works, and the tap sees ciphertext from there on |
//! | files and descriptors | files are read and sent as bytes; descriptors do not pass |
//!
//! Each byte is copied twice more: a tap is for looking, not for every connection of a busy server.
//!
//! ```
//! use std::rc::Rc;
//! use wharf::testing::MemoryNetwork;
//! use wharf::{Protocol, Result, Transport};
//! use wharf_protocols::wrap::{Counters, tapped};
//!
//! struct Echo;
//!
//! impl Protocol for Echo {
//!     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
//!         transport.write(data);
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result {
//! MemoryNetwork::new().event_loop().run(async |event_loop| {
//!     let counters = Rc::new(Counters::default());
//!     let (serving, counting) = (event_loop.clone(), Rc::clone(&counters));
//!     let factory = move |_: &_| {
//!         let (_echo, outside) = tapped(&serving, Echo, Rc::clone(&counting))?;
//!         Ok(outside)
//!     };
//!     event_loop.create_server(wharf::with_info(factory), "10.0.0.1:7").await?;
//!     let (mut reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
//!     writer.write(b"hello");
//!     assert_eq!(reader.read_exactly(5).await?, b"hello");
//!     assert_eq!((counters.bytes_received(), counters.bytes_sent(), counters.connections()), (5, 5, 1));
//!     Ok(())
//! })
//! # }
//! ```

mod counters;
mod log;
mod outside;
mod pcap;
mod tap;
#[cfg(test)]
mod tests;

pub use counters::Counters;
pub use log::Log;
pub use outside::{Tapped, tapped};
pub use pcap::Pcap;
pub use tap::Tap;
