//! The end of a connection with TLS inside TLS, at any depth: a `close_notify` is the end of its layer,
//! and not of the socket.

use std::cell::Cell;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::testing::pair;
use wharf::{Eof, EventLoop, TlsUpgrade, TlsVersion, Transport};

use super::VERSIONS;
use crate::encryption::Tls;
use crate::loops::memory_loop;
use crate::probe::{Call, Log, Probe};
use crate::running::run_until;

const REPLY: usize = 2_000_000;

/// A pair in memory whose bytes go through `depth` layers of TLS.
struct Nested {
    event_loop: EventLoop,
    near: Log,
    far: Log,
}

impl Nested {
    fn new(
        version: TlsVersion,
        depth: usize,
        capacity: usize,
        change: impl FnOnce(Probe, Probe) -> (Probe, Probe),
    ) -> Self {
        let event_loop = memory_loop();
        let (near, far) = (Log::new(), Log::new());
        let tls = Tls::new(version);
        let client: TlsUpgrade = tls.client.server_name("server.test").into();
        let client = nested(Probe::new(&near), client, depth);
        let server = nested(Probe::new(&far), (&tls.server).into(), depth);
        let (client, server) = change(client, server);
        pair(&event_loop, capacity, client, server).unwrap();
        let nested = Self { event_loop, near, far };
        nested.run_until("all handshakes", || {
            [&nested.near, &nested.far].iter().all(|log| log.count(Call::TlsEstablished) == depth)
        });
        nested
    }

    #[track_caller]
    fn run_until(&self, what: &str, condition: impl FnMut() -> bool) {
        run_until(&self.event_loop, what, condition);
    }
}

/// Puts layer upon layer, each when the one below is established.
fn nested(probe: Probe, upgrade: TlsUpgrade, depth: usize) -> Probe {
    let upgrade = upgrade.feed_leftover();
    let (first, left) = (upgrade.clone(), Rc::new(Cell::new(depth - 1)));
    probe
        .on_made(move |transport| {
            transport.start_tls(first.clone(), Bytes::new());
            Ok(())
        })
        .on_tls_established(move |transport| {
            if let Some(rest) = left.get().checked_sub(1) {
                left.set(rest);
                transport.start_tls(upgrade.clone(), Bytes::new());
            }
            Ok(())
        })
}

fn depths() -> impl Iterator<Item = (TlsVersion, usize)> {
    VERSIONS.into_iter().flat_map(|version| [1, 2, 3].map(|depth| (version, depth)))
}

// 245, 249: the answer to the peer's end.
#[test]
fn what_is_answered_to_the_peers_close_notify_arrives_at_any_depth() {
    for (version, depth) in depths() {
        for capacity in [65_536, 7] {
            let reply = if capacity == 7 { REPLY / 20 } else { REPLY };
            let stage = Nested::new(version, depth, capacity, |near, far| {
                let answers = far.on_eof(move |transport| {
                    transport.write(&vec![7; reply]);
                    transport.close();
                    Ok(Eof::KeepOpen)
                });
                (near, answers)
            });
            let began = stage.event_loop.time();
            stage.near.handle().write(b"question");
            // TLS 1.2 has no half-close: its client waits for nothing any more.
            let half_closes = stage.near.handle().can_write_eof();
            if half_closes {
                stage.near.handle().write_eof();
            } else {
                stage.near.handle().close();
            }
            stage.run_until("both ends", || stage.near.is_lost() && stage.far.is_lost());
            let what = format!("{version:?}, depth {depth}, capacity {capacity}");
            assert_eq!(stage.far.received(), b"question", "{what}");
            assert_eq!((stage.near.cause(), stage.far.cause()), (None, None), "{what}");
            if half_closes {
                assert_eq!(stage.near.received_len(), reply, "{what}");
            }
            assert_eq!(stage.event_loop.time(), began, "{what}: without a wait");
        }
    }
}

// 62, 251.
#[test]
fn a_reply_arrives_at_any_depth_though_its_reader_goes_on_talking() {
    for (version, depth) in depths() {
        let stage = Nested::new(version, depth, 65_536, |near, far| {
            let talks = near.on_data(|transport, _| {
                transport.write(b".");
                Ok(())
            });
            let replies = far.on_data(|transport, _| {
                transport.write(&vec![7; REPLY]);
                transport.close();
                Ok(())
            });
            (talks, replies)
        });
        stage.near.handle().write(b"question");
        stage.run_until("both ends", || stage.near.is_lost() && stage.far.is_lost());
        assert_eq!(stage.near.received_len(), REPLY, "{version:?}, depth {depth}");
        assert_eq!((stage.near.cause(), stage.far.cause()), (None, None));
    }
}

// 62, 63: what is cut off has no close_notify at any depth.
#[test]
fn what_is_cut_off_does_not_look_complete_at_any_depth() {
    for (version, depth) in depths() {
        let stage = Nested::new(version, depth, 65_536, |near, far| (near, far));
        stage.far.handle().write(&vec![7; REPLY]);
        stage.far.handle().abort();
        stage.run_until("both ends", || stage.near.is_lost() && stage.far.is_lost());
        assert!(stage.near.received_len() < REPLY);
        assert!(stage.near.cause().is_some(), "{version:?}, depth {depth}");
        assert_eq!(stage.near.count(Call::Eof), 0);
    }
}
