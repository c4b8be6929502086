//! Relays and the descriptors of a process.
#![cfg(linux_kernel)]

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::{
    EventLoop, Protocol, RelayEnd, RelayOutcome, Result, Splicing, Transport, TransportHandle,
    relay,
};

use crate::process::{alone, limit_descriptors_to, open_descriptors};
use crate::serving::run;

const MUCH: usize = 5_000_000;

/// Writes a pattern and ends; or keeps what it receives, and ends with its peer.
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
}

/// Bytes of which none that is lost, doubled or moved goes unnoticed.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|position| (position.wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

/// A peer, and the connection to it.
async fn connected(event_loop: &EventLoop, peer: Peer) -> Result<TransportHandle> {
    let (near, far) = UnixStream::pair()?;
    let writes = peer.writes;
    let waiting = Peer { writes: 0, received: Rc::default() };
    let near = event_loop.create_connection_on(|| waiting, near).await?;
    near.handle().pause_reading();
    let far = event_loop.create_connection_on(|| peer, far).await?;
    assert!(writes > 0 || !far.handle().is_closing());
    Ok(near.handle().clone())
}

/// Moves much from one peer to another.
async fn move_much(event_loop: &EventLoop) -> Result<(RelayOutcome, u64)> {
    let received = Rc::new(RefCell::new(Vec::new()));
    let from = Peer { writes: MUCH, received: Rc::default() };
    let to = Peer { writes: 0, received: Rc::clone(&received) };
    let (a, b) = (connected(event_loop, from).await?, connected(event_loop, to).await?);
    let relay = relay(a, b).splicing(Splicing::Always);
    let statistics = relay.statistics();
    let outcome = relay.await?;
    assert!(*received.borrow() == pattern(MUCH));
    Ok((outcome, statistics.spliced()))
}

#[test]
fn a_relay_without_a_descriptor_for_a_pipe_copies() {
    alone("relay::a_relay_without_a_descriptor_for_a_pipe_copies", || {
        run(async |event_loop| {
            let (_, spliced) = move_much(&event_loop).await?;
            assert_eq!(spliced, MUCH as u64);
            // The four sockets, and not one for a pipe.
            limit_descriptors_to(4);
            let (outcome, spliced) = move_much(&event_loop).await?;
            assert_eq!((outcome.a_to_b, spliced), (MUCH as u64, 0));
            assert!(matches!(outcome.end, RelayEnd::Finished));
            Ok(())
        });
    });
}

#[test]
fn relays_that_end_in_any_way_leave_no_descriptor() {
    alone("relay::relays_that_end_in_any_way_leave_no_descriptor", || {
        run(async |event_loop| {
            let before = open_descriptors();
            for round in 0..40_u64 {
                let from = Peer { writes: 1_000_000, received: Rc::default() };
                let to = Peer { writes: 0, received: Rc::default() };
                let a = connected(&event_loop, from).await?;
                let b = connected(&event_loop, to).await?;
                let relay = relay(&a, &b).splicing(Splicing::Always).start();
                event_loop.sleep(Duration::from_micros(round * 37)).await;
                match round % 4 {
                    0 => a.abort(),
                    1 => b.abort(),
                    2 => {
                        relay.cancel();
                    }
                    _ => b.close(),
                }
                relay.detach();
            }
            let limit = event_loop.time() + Duration::from_secs(8);
            while event_loop.statistics().connections_open > 0 {
                assert!(event_loop.time() < limit, "{:?}", event_loop.statistics());
                event_loop.sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(open_descriptors(), before);
            Ok(())
        });
    });
}
