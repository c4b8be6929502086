//! Connecting and serving.

// Modules with methods of `EventLoop` come first, in the order of its page.
mod connection_builder;

mod server_builder;

mod datagram_builder;

mod sock;

mod handover;

mod accept;
mod connect;
mod datagram_open;
mod draining;
mod factory;
mod happy_eyeballs;
mod inherited;
mod listen;
mod lookups;
mod race;
mod resolve;
mod serve_until;
mod server;
mod server_core;
mod stream_settings;
mod targets;

pub use self::connection_builder::ConnectionBuilder;
pub use self::datagram_builder::DatagramEndpointBuilder;
pub use self::factory::{ProtocolFactory, WithInfo, with_info};
pub use self::handover::{Handover, Inherited};
pub use self::inherited::{
    InheritedKind, InheritedSocket, InheritedSockets, inherited_listeners, inherited_sockets,
};
pub use self::server::Server;
pub use self::server_builder::ServerBuilder;
pub use self::sock::SockRecv;
pub use self::targets::{Target, Targets};

pub(crate) use self::lookups::Lookups;
pub(crate) use self::server_core::ServerCore;

/// What only a loop of the operating system can do with sockets from elsewhere.
const DRIVE_SOCKETS: &str = "drive the operating system's sockets";
