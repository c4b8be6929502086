//! Receiving many datagrams of which only the sender is asked for: recvmmsg with headers made once.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg};

use super::Family;
use crate::address::Address;
use crate::driver::{RECEIVE_BATCH, ReceiveBuffers, Received};

/// Where one datagram lies, and from there to the next.
const ROOM: usize = ReceiveBuffers::ip_place(0).end;
const STRIDE: usize = ReceiveBuffers::ip_place(1).start;

/// What is enough for an endpoint that receives one now and then, and cheaper to make.
const FEW: usize = 8;

/// The headers of recvmmsg, for all sockets of one family.
///
/// nix does not set the room for an address again before a call: it is what the kernel made of it,
/// the length of the last address. That is right as long as all are of one length, which those of
/// one family are. So each family has headers of its own, and they are used with sockets that wharf
/// opened itself: nobody else has those, and could make one of another family of them
/// (`IPV6_ADDRFORM`).
///
/// Making and decoding headers with each call, as quinn-udp does, costs three times as much.
#[derive(Default)]
pub(crate) struct ReceiveHeaders {
    v4: Option<MultiHeaders<SockaddrIn>>,
    v6: Option<MultiHeaders<SockaddrIn6>>,
}

pub(super) fn receive(
    fd: &OwnedFd,
    family: Family,
    buffers: &mut ReceiveBuffers,
    wanted: usize,
) -> io::Result<usize> {
    let ReceiveBuffers { bytes, received, headers, count, .. } = buffers;
    loop {
        let result = match family {
            Family::Ipv4 => {
                let headers = headers.v4.get_or_insert_with(preallocate);
                receive_into(fd, headers, bytes, &mut received[..], wanted)
            }
            _ => {
                let headers = headers.v6.get_or_insert_with(preallocate);
                receive_into(fd, headers, bytes, &mut received[..], wanted)
            }
        };
        match result {
            Ok(received) => {
                *count = received;
                return Ok(received);
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn preallocate<S: SockaddrLike + Copy>() -> MultiHeaders<S> {
    MultiHeaders::preallocate(RECEIVE_BATCH, None)
}

fn receive_into<S: SockaddrLike + Copy + Into<SocketAddr>>(
    fd: &OwnedFd,
    headers: &mut MultiHeaders<S>,
    bytes: &mut [u8],
    received: &mut [Received],
    wanted: usize,
) -> nix::Result<usize> {
    if wanted <= FEW {
        receive_up_to::<FEW, S>(fd, headers, bytes, received, wanted)
    } else {
        receive_up_to::<RECEIVE_BATCH, S>(fd, headers, bytes, received, wanted)
    }
}

#[inline]
fn receive_up_to<const MOST: usize, S: SockaddrLike + Copy + Into<SocketAddr>>(
    fd: &OwnedFd,
    headers: &mut MultiHeaders<S>,
    bytes: &mut [u8],
    received: &mut [Received],
    wanted: usize,
) -> nix::Result<usize> {
    let places = bytes.as_chunks_mut::<STRIDE>().0.first_chunk_mut::<MOST>();
    let places = places.expect("there is a place for each of a batch");
    let mut slices = places.each_mut().map(|place| [IoSliceMut::new(&mut place[..ROOM])]);
    let slices = slices[..wanted].iter_mut();
    let results = recvmmsg(fd.as_raw_fd(), headers, slices, MsgFlags::empty(), None)?;
    let (mut start, mut count) = (0, 0);
    for (result, received) in results.zip(received) {
        // There always is one: nix has it so for headers that are not of this kind.
        let Some(from) = result.address else { break };
        received.start = start;
        received.len = result.bytes;
        received.from = Address::Ip(from.into());
        start += STRIDE;
        count += 1;
    }
    Ok(count)
}
