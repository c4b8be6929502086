//! Calls that the system refuses, by real means, and what is done instead.
#![cfg(target_os = "linux")]

use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use wharf::{
    Address, DatagramProtocol, DatagramTransport, Eof, EventLoop, Protocol, RelayEnd, Result,
    Splicing, Transport, TransportHandle, relay,
};

use crate::process::{alone, limit_descriptors_to};
use crate::relay::pattern;
use crate::serving::{run, until};

const MUCH: usize = 700_000;

/// Has the kernel refuse `splice` and `sendfile` to the descriptor: "invalid", as for a file that is
/// appended to.
fn refuse_splicing(socket: &impl AsFd) {
    let flags = fcntl_getfl(socket).unwrap();
    fcntl_setfl(socket, flags | OFlags::APPEND).unwrap();
}

/// Writes a pattern and ends its side; keeps what it receives.
struct Peer {
    writes: usize,
    received: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if self.writes > 0 {
            transport.write(&pattern(self.writes));
            transport.write_eof();
        }
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.received.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        Ok(Eof::KeepOpen)
    }
}

type Pair = (OwnedFd, OwnedFd);

fn tcp_pair() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near.into(), listener.accept().unwrap().0.into())
}

fn unix_pair() -> Pair {
    let (near, far) = UnixStream::pair().unwrap();
    (near.into(), far.into())
}

const PAIRS: [fn() -> Pair; 2] = [tcp_pair, unix_pair];

/// A connection, paused, and what its peer receives.
async fn connected(
    event_loop: &EventLoop,
    (near, far): Pair,
    writes: usize,
) -> Result<(TransportHandle, Rc<RefCell<Vec<u8>>>)> {
    let received = Rc::new(RefCell::new(Vec::new()));
    let waiting = Peer { writes: 0, received: Rc::default() };
    let near = event_loop.create_connection_on(|| waiting, near).await?;
    near.handle().pause_reading();
    let peer = Peer { writes, received: Rc::clone(&received) };
    event_loop.create_connection_on(|| peer, far).await?;
    Ok((near.handle().clone(), received))
}

#[test]
fn a_relay_to_a_socket_that_refuses_splicing_copies() {
    run(async |event_loop| {
        for pair in PAIRS {
            for splicing in [Splicing::Always, Splicing::Automatic] {
                for refusing in [[true, false], [false, true], [true, true]] {
                    let ends = [pair(), pair()];
                    for ((near, _), refuses) in ends.iter().zip(refusing) {
                        if refuses {
                            refuse_splicing(near);
                        }
                    }
                    let [a, b] = ends;
                    let (a, to_a) = connected(&event_loop, a, MUCH).await?;
                    let (b, to_b) = connected(&event_loop, b, MUCH + 1).await?;
                    let outcome = relay(a, b).splicing(splicing).await?;
                    assert!(matches!(outcome.end, RelayEnd::Finished), "{:?}", outcome.end);
                    let all = || to_a.borrow().len() > MUCH && to_b.borrow().len() >= MUCH;
                    until(&event_loop, "all", all).await;
                    assert!(*to_b.borrow() == pattern(MUCH), "{splicing:?} {refusing:?}");
                    assert!(*to_a.borrow() == pattern(MUCH + 1), "{splicing:?} {refusing:?}");
                    assert_eq!((outcome.a_to_b, outcome.b_to_a), (MUCH as u64, MUCH as u64 + 1));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_file_is_read_for_a_socket_that_refuses_sendfile() {
    let path = std::env::temp_dir().join(format!("wharf-refused-{}", std::process::id()));
    File::create(&path).unwrap().write_all(&pattern(MUCH)).unwrap();
    let file = Rc::new(File::open(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    run(async |event_loop| {
        for pair in PAIRS {
            let ends = pair();
            refuse_splicing(&ends.0);
            let (near, received) = connected(&event_loop, ends, 0).await?;
            near.write(b"before");
            let sent = near.send_file(Rc::clone(&file), 0, None);
            near.write(b"behind");
            assert_eq!(sent.await?, MUCH as u64);
            near.close();
            let all = [b"before", &*pattern(MUCH), b"behind"].concat();
            until(&event_loop, "all", || received.borrow().len() >= all.len()).await;
            assert!(*received.borrow() == all);
        }
        Ok(())
    });
}

/// Keeps what it receives.
#[derive(Default)]
struct Kept(Rc<RefCell<Vec<Vec<u8>>>>);

impl DatagramProtocol for Kept {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        self.0.borrow_mut().push(data.to_vec());
        for number in 0..3 {
            transport.send_to(&[number; 10], from)?;
        }
        Ok(())
    }
}

/// What endpoints share to send and receive many datagrams at once needs a socket for a moment.
#[test]
fn an_endpoint_that_takes_the_last_descriptor_works() {
    alone("refusals::an_endpoint_that_takes_the_last_descriptor_works", || {
        run(async |event_loop| {
            let client = UdpSocket::bind("127.0.0.1:0")?;
            client.set_nonblocking(true)?;
            let spare = File::open("/dev/null")?;
            limit_descriptors_to(1);
            let mut spare = Some(spare);
            for round in 0..2 {
                let kept = Kept::default();
                let received = Rc::clone(&kept.0);
                let made =
                    event_loop.create_datagram_endpoint(|| kept).local_address("127.0.0.1:0");
                let endpoint = made.await?;
                let own = endpoint.local_address()?;
                for number in 0..5 {
                    client.send_to(&[number], &own)?;
                }
                until(&event_loop, "the datagrams", || received.borrow().len() == 5).await;
                assert_eq!(*received.borrow(), [[0], [1], [2], [3], [4]]);
                let answers = RefCell::new(0);
                until(&event_loop, "the answers", || {
                    while client.recv(&mut [0; 100]).is_ok() {
                        *answers.borrow_mut() += 1;
                    }
                    *answers.borrow() == 15
                })
                .await;
                assert_eq!(endpoint.handle().statistics().send_errors, 0);
                // The second one finds a descriptor more.
                assert_eq!(spare.take().is_some(), round == 0);
            }
            Ok(())
        });
    });
}
