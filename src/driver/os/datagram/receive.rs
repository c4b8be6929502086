//! Receiving: many datagrams with one call where the system has that.

use std::fs;
use std::io;
use std::net::SocketAddr;

use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, SocketAddrAny, SocketAddrUnix};

use super::{Family, OsDatagramSocket};
use crate::address::{Address, UnixAddress};
#[cfg(feature = "udp-batch")]
use crate::driver::drained::BATCHES_KEEP_ERRORS;
use crate::driver::{Details, ReceiveBuffers, Received};

impl OsDatagramSocket {
    #[inline]
    pub(crate) fn receive(&self, buffers: &mut ReceiveBuffers, wanted: usize) -> io::Result<usize> {
        #[cfg(all(feature = "udp-batch", linux_kernel))]
        if self.plain {
            return super::receive_plain::receive(&self.fd, self.family, buffers, wanted);
        }
        #[cfg(feature = "udp-batch")]
        if let Some(batch) = &self.batch {
            return self.receive_batch(batch, buffers, wanted);
        }
        self.receive_each(buffers, wanted)
    }

    /// Several with one call, with all that the kernel says about them.
    #[cfg(feature = "udp-batch")]
    fn receive_batch(
        &self,
        batch: &quinn_udp::UdpSocketState,
        buffers: &mut ReceiveBuffers,
        wanted: usize,
    ) -> io::Result<usize> {
        use quinn_udp::BATCH_SIZE;

        let most = wanted.min(BATCH_SIZE);
        let stride = ReceiveBuffers::ip_place(1).start;
        let room = ReceiveBuffers::ip_place(0).len();
        let mut places = buffers.bytes.chunks_exact_mut(stride);
        let mut slices: [io::IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
            io::IoSliceMut::new(places.next().map_or(&mut [], |place| &mut place[..room]))
        });
        let count =
            batch.recv((&self.fd).into(), &mut slices[..most], &mut buffers.metadata[..most])?;
        let metadata = &buffers.metadata[..count];
        for (position, (meta, received)) in metadata.iter().zip(&mut *buffers.received).enumerate()
        {
            received.start = position * stride;
            received.len = meta.len;
            received.from = Address::Ip(meta.addr);
        }
        buffers.count = count;
        buffers.details.extend(metadata.iter().map(|meta| Details {
            stride: meta.stride,
            to: meta.dst_ip,
            interface: meta.interface_index,
            ecn: meta.ecn.map(Into::into),
            truncated: false,
        }));
        // As many as could be: there may be more.
        Ok(if count == most || !BATCHES_KEEP_ERRORS { wanted } else { count })
    }

    /// One at a time.
    fn receive_each(&self, buffers: &mut ReceiveBuffers, wanted: usize) -> io::Result<usize> {
        for position in 0..wanted {
            let place = match self.family {
                Family::Unix => ReceiveBuffers::unix_place(position),
                _ => Some(ReceiveBuffers::ip_place(position)),
            };
            let Some(place) = place else { return Ok(wanted) };
            let start = place.start;
            match self.receive_one(&mut buffers.bytes[place]) {
                Ok((len, from, truncated)) => {
                    buffers.push(Received { start, len, from }, Details::new(len, truncated));
                }
                Err(error) if position == 0 => return Err(error),
                // It is an error of the socket's only if it comes again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(position),
                Err(error) => {
                    self.kept_error.set(Some(error));
                    return Ok(wanted);
                }
            }
        }
        Ok(wanted)
    }

    fn receive_one(&self, place: &mut [u8]) -> io::Result<(usize, Address, bool)> {
        if let Some(error) = self.kept_error.take() {
            return Err(error);
        }
        let message = loop {
            let mut slices = [io::IoSliceMut::new(place)];
            let mut control = RecvAncillaryBuffer::default();
            match rustix::net::recvmsg(&self.fd, &mut slices, &mut control, RecvFlags::empty()) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result?,
            }
        };
        let truncated = message.flags.contains(ReturnFlags::TRUNC);
        Ok((message.bytes, self.sender(message.address), truncated))
    }

    fn sender(&self, address: Option<SocketAddrAny>) -> Address {
        let unnamed = || Address::Unix(UnixAddress::unnamed());
        let Some(address) = address else { return unnamed() };
        if self.family != Family::Unix {
            return SocketAddr::try_from(address).map_or_else(|_| unnamed(), Address::Ip);
        }
        match SocketAddrUnix::try_from(address) {
            Ok(address) => Address::Unix(from_rustix(&address)),
            Err(_) => unnamed(),
        }
    }

    /// What the kernel dropped of what came in, as it tells in the table of its UDP sockets.
    ///
    /// A control message tells it, too, but not to safe code. Datagrams that the kernel has joined (GRO)
    /// count as one, and nothing tells how many they were: so GRO is off unless `offload` asks for it.
    pub(crate) fn receive_drops(&self) -> Option<u64> {
        let table = match self.family {
            Family::Ipv4 => "/proc/self/net/udp",
            Family::Ipv6 => "/proc/self/net/udp6",
            // Their senders are made to wait: none is dropped.
            Family::Unix => return Some(0),
        };
        let inode = rustix::fs::fstat(&self.fd).ok()?.st_ino.to_string();
        // A row can be passed over while other sockets come and go: the table is read in pieces.
        (0..TABLE_READS).find_map(|_| drops_of(&inode, &fs::read_to_string(table).ok()?))
    }
}

/// How often a table without the socket's row is read.
const TABLE_READS: usize = 8;

fn drops_of(inode: &str, table: &str) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        (fields.nth(9) == Some(inode)).then(|| fields.nth(2)?.parse().ok()).flatten()
    })
}

fn from_rustix(address: &SocketAddrUnix) -> UnixAddress {
    use std::os::unix::ffi::OsStrExt as _;
    if let Some(path) = address.path() {
        return UnixAddress::from_path(std::path::Path::new(std::ffi::OsStr::from_bytes(
            path.to_bytes(),
        )));
    }
    #[cfg(linux_kernel)]
    if let Some(name) = address.abstract_name() {
        return UnixAddress::from_abstract_name(name);
    }
    UnixAddress::unnamed()
}
