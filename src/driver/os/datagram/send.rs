//! Sending: many datagrams with one call where the system has that.

use std::io;

use rustix::io::Errno;
use rustix::net::{SendFlags, SocketAddrAny, SocketAddrUnix};

use super::{Family, OsDatagramSocket};
use crate::address::{Address, UnixAddress};
use crate::driver::{Outbox, SentAgain};

/// How many datagrams one call sends at most.
#[cfg(linux_kernel)]
const SEND_BATCH: usize = 32;

/// What is sent where, as the system takes it.
enum Destination {
    Peer,
    To(SocketAddrAny),
}

impl OsDatagramSocket {
    /// Sends datagrams from the front of `outbox`. Returns how many.
    ///
    /// An error is the first one's, or an earlier one's: [`send_again`](Self::send_again) finds out.
    #[inline]
    pub(crate) fn send(&self, outbox: &Outbox) -> io::Result<usize> {
        #[cfg(feature = "udp-batch")]
        if let Some(count) = self.send_run(outbox)? {
            return Ok(count);
        }
        self.send_apart(outbox)
    }

    /// Sends again after `first`, the error of a [`send`](Self::send), and tells whose error it was.
    ///
    /// The system keeps what the network said to an earlier datagram, and answers the next call with
    /// it, which sends nothing and takes the error away. So an error that repeats is this datagram's.
    #[cold]
    pub(crate) fn send_again(&self, outbox: &Outbox, first: io::Error) -> SentAgain {
        if !self.can_be_kept(&first) {
            return SentAgain { earlier: None, result: self.send_apart_after(outbox, first) };
        }
        #[cfg(feature = "udp-batch")]
        match self.send_run(outbox) {
            Ok(Some(count)) => return SentAgain { earlier: Some(first), result: Ok(count) },
            Err(error) if is_same(&error, &first) => {
                self.note_refused_run(outbox, &error);
                return SentAgain { earlier: None, result: self.send_apart(outbox) };
            }
            // Whatever else it says, each is asked for by itself.
            Ok(None) | Err(_) => {}
        }
        match self.send_apart(outbox) {
            Err(error) if is_same(&error, &first) => {
                SentAgain { earlier: None, result: Err(error) }
            }
            result => SentAgain { earlier: Some(first), result },
        }
    }

    /// Whether the system may have kept the error since an earlier datagram. Others are about the
    /// attempt itself: what a firewall said, an address or a route that is no good, no memory.
    fn can_be_kept(&self, error: &io::Error) -> bool {
        const OF_THE_ATTEMPT: [Errno; 10] = [
            Errno::PERM,
            Errno::INVAL,
            Errno::DESTADDRREQ,
            Errno::AFNOSUPPORT,
            Errno::NOTCONN,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::FAULT,
            Errno::BADF,
            Errno::NOTSOCK,
        ];
        let code = Errno::from_io_error(error);
        match self.family {
            // The peer discarded what it had not read.
            Family::Unix => code == Some(Errno::CONNRESET),
            _ => code.is_some_and(|code| !OF_THE_ATTEMPT.contains(&code)),
        }
    }

    /// After an error that is not about an earlier datagram: of a run it may be any one's, so that
    /// each is sent by itself.
    fn send_apart_after(&self, outbox: &Outbox, first: io::Error) -> io::Result<usize> {
        #[cfg(feature = "udp-batch")]
        if self.is_run(outbox) {
            return self.send_apart(outbox);
        }
        let _ = outbox;
        Err(first)
    }

    /// Whether the front of `outbox` would go out as a run.
    #[cfg(feature = "udp-batch")]
    #[inline]
    fn is_run(&self, outbox: &Outbox) -> bool {
        // One of size 0 is alone.
        outbox.front().is_some_and(|run| run.count > 1 && run.segment <= self.segments.get())
    }

    /// A run of datagrams of one size to one destination, which the kernel takes apart (GSO).
    ///
    /// `None` where that cannot be done: then each is sent by itself, and has an error of its own.
    #[cfg(feature = "udp-batch")]
    fn send_run(&self, outbox: &Outbox) -> io::Result<Option<usize>> {
        let Some(run) = outbox.front() else { return Ok(Some(0)) };
        if run.count < 2 || run.segment > self.segments.get() {
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
            Err(error) if is_refusal_of_runs(&error) => {
                self.segments.set(0);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A run was refused twice: its datagrams are longer than a run's may be on this path, where the
    /// kernel breaks up single ones. It is not asked again with any as long.
    #[cfg(feature = "udp-batch")]
    fn note_refused_run(&self, outbox: &Outbox, error: &io::Error) {
        if Errno::from_io_error(error) == Some(Errno::MSGSIZE)
            && let Some(run) = outbox.front()
        {
            self.segments.set(self.segments.get().min(run.segment - 1));
        }
    }

    /// Each datagram by itself, though with one call.
    #[inline]
    fn send_apart(&self, outbox: &Outbox) -> io::Result<usize> {
        #[cfg(linux_kernel)]
        if outbox.datagrams() > 1 {
            return self.send_several(outbox);
        }
        self.send_first(outbox)
    }

    /// Different datagrams with one call.
    #[cfg(linux_kernel)]
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

/// Devices that cannot cut runs say so only when they are asked to, and so do sockets without
/// checksums.
#[cfg(feature = "udp-batch")]
fn is_refusal_of_runs(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::IO | Errno::INVAL))
}

fn is_same(one: &io::Error, other: &io::Error) -> bool {
    one.raw_os_error() == other.raw_os_error() && one.kind() == other.kind()
}

fn to_rustix(address: &UnixAddress) -> io::Result<SocketAddrUnix> {
    if let Some(path) = address.as_path() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    #[cfg(linux_kernel)]
    if let Some(name) = address.as_abstract_name() {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    Err(io::ErrorKind::InvalidInput.into())
}
