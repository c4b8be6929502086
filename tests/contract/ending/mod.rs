//! How connections end: what arrives, what is reset, and how long sockets linger without their
//! protocols.

mod failed_writes;
mod lingering;
mod real_peers;
mod resets;
mod slow_readers;
