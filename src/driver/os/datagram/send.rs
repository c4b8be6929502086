//! Sending: many datagrams with one call where the system has that.

use std::io;

use rustix::io::Errno;
use rustix::net::{SendFlags, SocketAddrAny, SocketAddrUnix};

use super::OsDatagramSocket;
use crate::net::{Address, UnixAddress};
use crate::transport::Outbox;

/// How many datagrams one call sends at most.
#[cfg(target_os = "linux")]
const SEND_BATCH: usize = 32;

/// What is sent where, as the system takes it.
enum Destination {
    Peer,
    To(SocketAddrAny),
}

impl OsDatagramSocket {
    #[inline]
    pub(crate) fn send(&self, outbox: &Outbox) -> io::Result<usize> {
        #[cfg(feature = "udp-batch")]
        if let Some(count) = self.send_run(outbox)? {
            return Ok(count);
        }
        #[cfg(target_os = "linux")]
        if outbox.datagrams() > 1 {
            return self.send_several(outbox);
        }
        self.send_first(outbox)
    }

    /// A run of datagrams of one size to one destination, which the kernel takes apart (GSO).
    ///
    /// `None` where that cannot be done, or was refused: then each is sent by itself, and has an
    /// error of its own.
    #[cfg(feature = "udp-batch")]
    fn send_run(&self, outbox: &Outbox) -> io::Result<Option<usize>> {
        let Some(run) = outbox.front() else { return Ok(Some(0)) };
        if run.count < 2 || !self.segments.get() {
            return Ok(None);
        }
        let peer;
        let to = match run.to {
            Some(to) => Some(to),
            None => {
                peer = self.peer_address();
                peer.as_ref()
            }
        };
        let (Some(batch), Some(destination)) = (&self.batch, to.and_then(Address::as_ip)) else {
            return Ok(None);
        };
        let transmit = quinn_udp::Transmit {
            destination,
            ecn: None,
            contents: run.data,
            segment_size: Some(run.segment),
            src_ip: None,
        };
        match batch.try_send((&self.fd).into(), &transmit) {
            Ok(()) => Ok(Some(run.count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(error) => {
                // Devices that cannot say so only when they are asked to; datagrams beyond the
                // path's limit, which the kernel would break up one by one; and errors that tell
                // of what was sent before.
                let code = Errno::from_io_error(&error);
                if code == Some(Errno::IO) || code == Some(Errno::INVAL) {
                    self.segments.set(false);
                }
                Ok(None)
            }
        }
    }

    /// Different datagrams with one call.
    #[cfg(target_os = "linux")]
    fn send_several(&self, outbox: &Outbox) -> io::Result<usize> {
        use rustix::net::{MMsgHdr, SendAncillaryBuffer};
        use std::io::IoSlice;

        let mut slices = [[IoSlice::new(&[])]; SEND_BATCH];
        let mut to = [const { None }; SEND_BATCH];
        let mut count = 0;
        for (datagram, slice) in outbox.iter().zip(&mut slices) {
            match Destination::new(datagram.to) {
                Ok(Destination::To(address)) => to[count] = Some(address),
                Ok(Destination::Peer) => {}
                // An address that cannot be used is an error once it is the first one's.
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
            *slice = [IoSlice::new(datagram.data)];
            count += 1;
        }
        let mut control: [SendAncillaryBuffer<'_, '_, '_>; SEND_BATCH] = Default::default();
        let mut parts = slices.iter().zip(&to).zip(&mut control);
        let mut messages: [MMsgHdr<'_>; SEND_BATCH] = std::array::from_fn(|_| {
            let ((slice, to), control) = parts.next().expect("as many of each");
            match to {
                Some(to) => MMsgHdr::new_with_addr(to, slice, control),
                None => MMsgHdr::new(slice, control),
            }
        });
        loop {
            let messages = &mut messages[..count];
            match rustix::net::sendmmsg(&self.fd, messages, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn send_first(&self, outbox: &Outbox) -> io::Result<usize> {
        let Some(datagram) = outbox.iter().next() else { return Ok(0) };
        let to = Destination::new(datagram.to)?;
        loop {
            let result = match &to {
                Destination::Peer => {
                    rustix::net::send(&self.fd, datagram.data, SendFlags::NOSIGNAL)
                }
                Destination::To(to) => {
                    rustix::net::sendto(&self.fd, datagram.data, SendFlags::NOSIGNAL, to)
                }
            };
            match result {
                Err(Errno::INTR) => {}
                result => return result.map(|_| 1).map_err(io::Error::from),
            }
        }
    }
}

impl Destination {
    #[inline]
    fn new(address: Option<&Address>) -> io::Result<Self> {
        match address {
            None => Ok(Self::Peer),
            Some(Address::Ip(address)) => Ok(Self::To((*address).into())),
            Some(Address::Unix(address)) => Ok(Self::To(to_rustix(address)?.into())),
        }
    }
}

fn to_rustix(address: &UnixAddress) -> io::Result<SocketAddrUnix> {
    if let Some(path) = address.as_path() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_name() {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    Err(io::ErrorKind::InvalidInput.into())
}
