//! Connecting: section L of the guarantees.

mod giving_up;
mod local_addresses;
mod outcomes;
mod racing;
mod resolving;
#[cfg(target_os = "linux")]
mod shared;
#[cfg(target_os = "linux")]
mod silent;
mod sockets;
mod unix;

use std::net::SocketAddr;

use wharf::{EventLoop, Protocol, Transport};

use crate::loops::network;

fn socket_address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A network where connects to these addresses hear nothing.
fn with_black_holes(addresses: &[&str]) -> EventLoop {
    let mut network = network();
    for address in addresses {
        network = network.black_hole(socket_address(address));
    }
    network.event_loop()
}

/// The address a client is connected to.
fn peer(connection: &wharf::Connection<impl Protocol>) -> Option<SocketAddr> {
    connection.handle().info().peer_address().and_then(wharf::Address::as_ip)
}
