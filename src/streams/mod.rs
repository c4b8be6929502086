//! Streams: connections, servers, pipes and children for `async` code.
//!
//! A stream is a protocol ([`StreamProtocol`]) whose callbacks fill a buffer and wake a task. What it shares with
//! its two halves is a [`Link`](link::Link). The halves are alone on their thread, so nothing is locked.

mod byte_stream;
mod child;
mod chunk;
mod datagrams;
mod futures_io;
mod incoming;
mod items;
mod link;
mod listener;
mod open;
mod pipes;
mod protocol;
mod reader;
mod serve;
mod upgrade;
mod writer;

pub use self::byte_stream::ByteStream;
pub use self::child::{ChildProcess, ChildProtocol};
pub use self::datagrams::{DatagramQueue, DatagramStream};
pub use self::items::{ItemSender, Items};
pub use self::listener::Listener;
pub use self::protocol::StreamProtocol;
pub use self::reader::{Lines, StreamReader};
pub use self::writer::{Drain, StreamWriter, WriteAll};

pub(crate) use self::open::stream_factory;
