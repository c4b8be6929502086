//! asyncio's Transport/Protocol model for Rust.
#![forbid(unsafe_code)]

mod driver;
mod error;
mod event_loop;
mod net;
mod protocol;
mod task;
mod time;
mod transport;

pub mod testing;

pub use bytes;

pub use crate::error::{ConnectAttempt, Error, Failure, Result};
pub use crate::event_loop::{
    EventLoop, EventLoopBuilder, Exception, Handle, Metrics, Remote, RemoteHandle, TimerHandle,
};
pub use crate::net::{
    Address, ConnectionBuilder, Server, ServerBuilder, Target, Targets, UnixAddress,
    inherited_listeners,
};
pub use crate::protocol::{Buffered, BufferedProtocol, Eof, Protocol, TimeoutKind};
pub use crate::task::{LoopFuture, Promise, Sleep, Task};
pub use crate::transport::{
    Connection, Info, Keepalive, PeerCredentials, Transport, TransportHandle, TransportId,
    WriteStatus,
};
