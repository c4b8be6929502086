//! Readiness: what ends a read early, and what is no end.

mod pipes;
mod relays;
mod shared;
mod sockets;
mod special;
mod terminals;

use std::io::Write;
use std::net::TcpStream;

use rustix::net::SendFlags;
use socket2::SockRef;
use std::os::fd::AsFd;

/// Sends `data` as urgent: its last byte is, which is not part of the stream.
fn send_urgent(socket: impl AsFd, data: &[u8]) {
    let sent = rustix::net::send(socket, data, SendFlags::OOB).expect("urgent data");
    assert_eq!(sent, data.len());
}

/// Sends bytes with an urgent byte between them.
fn send_around(mut client: &TcpStream, before: &[u8], after: &[u8]) {
    client.write_all(before).expect("room");
    send_urgent(client, b"!");
    client.write_all(after).expect("room");
}

/// Has closing the socket reset the connection.
fn reset_on_close(socket: &impl AsFd) {
    SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO)).expect("the option");
}
