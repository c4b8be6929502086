//! What the kernel says about a socket by netlink (`sock_diag(7)`): the same as `SIOCOUTQ`, which
//! needs unsafe code. It needs no privileges, and asks about one socket at a time; sandboxes may
//! refuse it.

use std::cell::{Cell, OnceCell};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, socket_with,
};
use socket2::{Domain, SockRef};

/// `SOCK_DIAG_BY_FAMILY`, the type of requests and answers.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
const TCP: u8 = 6;
/// The length of `nlmsghdr`.
const HEADER: usize = 16;
/// Where `nlmsghdr` has the number of the request, which its answer repeats.
const NUMBER: usize = 8;
/// Where `inet_diag_req_v2` and `inet_diag_msg` name the socket: both ports and both addresses.
const ASKED: usize = HEADER + 8;
const ANSWERED: usize = HEADER + 4;
const NAME: usize = 2 * (2 + 16);
/// Where `inet_diag_msg` says how much is not acknowledged.
const WRITE_QUEUE: usize = HEADER + 60;

/// A way to ask, opened when it is first used.
#[derive(Default)]
pub(crate) struct SocketDiagnosis {
    netlink: OnceCell<Option<OwnedFd>>,
    /// The number of the last request.
    number: Cell<u32>,
}

impl SocketDiagnosis {
    /// The bytes that the peer of a TCP socket has not acknowledged, its end included; 0 for a Unix
    /// socket, which hands over at once. `None`: unknown.
    pub(crate) fn unacknowledged(&self, socket: BorrowedFd<'_>) -> Option<usize> {
        let socket = SockRef::from(&socket);
        let local = socket.local_addr().ok()?;
        if local.domain() == Domain::UNIX {
            return Some(0);
        }
        let peer = socket.peer_addr().ok()?.as_socket()?;
        let local = local.as_socket()?;
        let netlink = self.netlink.get_or_init(open).as_ref()?;
        let request = self.next_request(local, peer);
        rustix::net::send(netlink, &request, SendFlags::empty()).ok()?;
        let mut answer = [0; 512];
        loop {
            let received = rustix::net::recv(netlink, &mut answer[..], RecvFlags::DONTWAIT);
            let (_, count) = received.ok()?;
            let answer = answer.get(..count)?;
            // An answer to a former request, which was given up, is passed over.
            if is_answer_to(answer, &request) {
                return write_queue(answer, &request);
            }
        }
    }

    fn next_request(&self, local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
        self.number.set(self.number.get().wrapping_add(1));
        request(self.number.get(), local, peer)
    }
}

fn open() -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Some(netlink::SOCK_DIAG);
    socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol).ok()
}

/// `nlmsghdr` and `inet_diag_req_v2`.
fn request(number: u32, local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut body = vec![family.as_raw() as u8, TCP, 0, 0];
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(peer.port().to_be_bytes());
    for address in [local.ip(), peer.ip()] {
        match address {
            IpAddr::V4(address) => {
                body.extend(address.octets());
                body.extend([0; 12]);
            }
            IpAddr::V6(address) => body.extend(address.octets()),
        }
    }
    // Link-local addresses are those of one interface; else any.
    let scope = if let SocketAddr::V6(local) = local { local.scope_id() } else { 0 };
    body.extend(scope.to_ne_bytes());
    // No cookie.
    body.extend([0xff; 8]);
    let len = (HEADER + body.len()) as u32;
    let mut message = len.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend(number.to_ne_bytes());
    message.extend([0; 4]);
    message.extend(body);
    message
}

fn is_answer_to(answer: &[u8], request: &[u8]) -> bool {
    let number = NUMBER..NUMBER + 4;
    answer.get(number.clone()).is_some_and(|answered| Some(answered) == request.get(number))
}

/// `idiag_wqueue` of the answer, if it is one, and about the socket that was asked for: a server's
/// connections share the local port.
fn write_queue(answer: &[u8], request: &[u8]) -> Option<usize> {
    let kind = answer.get(4..6)?;
    let name = answer.get(ANSWERED..ANSWERED + NAME)?;
    if kind != BY_FAMILY.to_ne_bytes() || name != request.get(ASKED..ASKED + NAME)? {
        return None;
    }
    let count = answer.get(WRITE_QUEUE..WRITE_QUEUE + 4)?;
    Some(u32::from_ne_bytes(count.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Of each family that the machine has.
    fn loopbacks() -> impl Iterator<Item = &'static str> {
        let all = ["127.0.0.1:0", "[::1]:0"].into_iter();
        all.filter(|address| address.starts_with("127") || TcpListener::bind(address).is_ok())
    }

    fn connected(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    /// As much as fits into the buffers of both.
    fn fill(socket: &mut TcpStream) -> usize {
        socket.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = socket.write(&[1; 65536]) {
            sent += count;
        }
        sent
    }

    #[test]
    fn what_the_peer_has_not_taken_is_told() {
        for address in loopbacks() {
            let (mut near, mut far) = connected(address);
            let asking = SocketDiagnosis::default();
            let Some(before) = asking.unacknowledged(near.as_fd()) else {
                // The sandbox that this runs in does not allow it.
                return;
            };
            assert_eq!(before, 0);
            let mut sent = fill(&mut near);
            let waiting = asking.unacknowledged(near.as_fd()).unwrap();
            assert!(waiting > 0 && waiting <= sent, "{waiting} of {sent}");
            near.shutdown(Shutdown::Write).unwrap();
            assert!(asking.unacknowledged(near.as_fd()).unwrap() > 0);
            let mut buffer = vec![0; 1 << 20];
            while sent > 0 {
                sent -= far.read(&mut buffer).unwrap();
            }
            assert_eq!(far.read(&mut buffer).unwrap(), 0);
            // The end was read, so that it was acknowledged, or is about to be.
            while asking.unacknowledged(near.as_fd()) != Some(0) {
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn a_unix_socket_hands_over_at_once() {
        let (mut near, _far) = UnixStream::pair().unwrap();
        near.write_all(b"unread").unwrap();
        assert_eq!(SocketDiagnosis::default().unacknowledged(near.as_fd()), Some(0));
    }

    #[test]
    fn an_answer_that_was_left_unread_is_not_taken_for_another_sockets() {
        for address in loopbacks() {
            let listener = TcpListener::bind(address).unwrap();
            let connect = || {
                let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                (listener.accept().unwrap().0, far)
            };
            // Both have the port of the server.
            let ((mut full, _full_peer), (idle, _idle_peer)) = (connect(), connect());
            fill(&mut full);
            let asking = SocketDiagnosis::default();
            let Some(waiting) = asking.unacknowledged(full.as_fd()) else { return };
            assert!(waiting > 0);
            let left_unread =
                asking.next_request(full.local_addr().unwrap(), full.peer_addr().unwrap());
            let netlink = asking.netlink.get().unwrap().as_ref().unwrap();
            rustix::net::send(netlink, &left_unread, SendFlags::empty()).unwrap();
            assert_eq!(asking.unacknowledged(idle.as_fd()), Some(0));
            assert!(asking.unacknowledged(full.as_fd()).unwrap() > 0);
        }
    }

    #[test]
    fn answers_that_are_none_tell_nothing() {
        let local: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let peer: SocketAddr = "127.0.0.2:5000".parse().unwrap();
        let asked = request(7, local, peer);
        for answer in [&[][..], &[0; 16], &[0xff; 124]] {
            assert!(!is_answer_to(answer, &asked));
            assert_eq!(write_queue(answer, &asked), None);
        }
        let mut answer = [0; 124];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        answer[NUMBER..NUMBER + 4].copy_from_slice(&7u32.to_ne_bytes());
        answer[ANSWERED..ANSWERED + NAME].copy_from_slice(&asked[ASKED..ASKED + NAME]);
        answer[WRITE_QUEUE..WRITE_QUEUE + 4].copy_from_slice(&9u32.to_ne_bytes());
        assert!(is_answer_to(&answer, &asked));
        assert!(!is_answer_to(&answer, &request(8, local, peer)));
        assert_eq!(write_queue(&answer, &asked), Some(9));
        assert_eq!(write_queue(&answer[..WRITE_QUEUE + 3], &asked), None);
        for (local, peer) in [
            ("127.0.0.1:81", "127.0.0.2:5000"),
            ("127.0.0.1:80", "127.0.0.2:5001"),
            ("127.0.0.1:80", "127.0.0.3:5000"),
            ("127.0.0.3:80", "127.0.0.2:5000"),
        ] {
            let other = request(7, local.parse().unwrap(), peer.parse().unwrap());
            assert_eq!(write_queue(&answer, &other), None, "{local} {peer}");
        }
    }
}
