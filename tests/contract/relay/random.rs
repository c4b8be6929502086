//! Relays under random stalls, sizes, half-closes and resets.

use std::time::Duration;

use wharf::testing::{advance, step};
use wharf::{RelayEnd, Transport};

use super::pipes;
use super::stage::{ALL, Stage, pattern};
use crate::loops::settle;
use crate::probe::{Call, Log};
use crate::running::is_virtual;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Mostly little, sometimes much.
    fn size(&mut self) -> usize {
        match self.below(4) {
            0 => self.below(100) as usize + 1,
            1 => self.below(5000) as usize + 1,
            2 => self.below(100_000) as usize + 1,
            _ => self.below(1_000_000) as usize + 1,
        }
    }
}

/// One peer: what it has written of its pattern, and what it has done.
struct Peer {
    log: Log,
    written: usize,
    ended: bool,
    gone: bool,
}

impl Peer {
    fn new(log: &Log) -> Self {
        Self { log: log.clone(), written: 0, ended: false, gone: false }
    }

    fn acts(&mut self, random: &mut Random, all: &[u8]) {
        let handle = self.log.handle();
        match random.below(24) {
            0..10 if !self.ended && self.written < all.len() => {
                let end = (self.written + random.size()).min(all.len());
                handle.write(&all[self.written..end]);
                self.written = end;
            }
            10..13 => handle.pause_reading(),
            13..20 => handle.resume_reading(),
            20 => {
                handle.write_eof();
                self.ended = true;
            }
            21 if random.below(6) == 0 => {
                // A reset, where there is input that is not read.
                handle.abort();
                self.gone = true;
            }
            _ => {}
        }
    }
}

/// `one_way`: only the client has anything to say.
fn run(stage: Stage, what: &str, one_way: bool, seed: u64, all: &[u8]) {
    let random = &mut Random(seed);
    let mut peers = [Peer::new(&stage.client), Peer::new(&stage.server)];
    peers[1].ended = one_way;
    for _ in 0..random.below(60) {
        let peer = random.below(2) as usize;
        if !peers[peer].gone {
            peers[peer].acts(random, all);
        }
        for _ in 0..random.below(4) {
            step(&stage.event_loop).unwrap();
        }
    }
    let resets = peers.iter().any(|peer| peer.gone);
    for peer in &peers {
        if !peer.gone {
            peer.log.handle().resume_reading();
            peer.log.handle().write_eof();
        }
    }
    if is_virtual(&stage.event_loop) {
        advance(&stage.event_loop, Duration::from_secs(1)).unwrap();
    }
    stage.until(what, || {
        settle(&stage.event_loop).unwrap();
        peers
            .iter()
            .all(|peer| peer.gone || peer.log.calls().contains(&Call::Eof) || peer.log.is_lost())
    });
    let outcome = stage.outcome().unwrap();
    let [client, server] = &peers;
    for (from, to) in [(client, server), (server, client)] {
        let received = to.log.received();
        assert!(received.len() <= from.written, "{what}");
        assert!(received == all[..received.len()], "{what}: other bytes than were sent");
        assert!(
            resets || received.len() == from.written,
            "{what}: {} of {}",
            received.len(),
            from.written
        );
    }
    if !resets {
        assert!(matches!(outcome.end, RelayEnd::Finished), "{what}: {outcome:?}");
        assert_eq!(outcome.a_to_b, client.written as u64);
        assert_eq!(outcome.b_to_a, server.written as u64);
    }
    stage.end();
}

#[test]
fn whatever_peers_do_a_relay_delivers_exact_bytes_and_never_hangs() {
    let all = pattern(4_000_000);
    for (link, splicing) in ALL {
        for seed in 0..40 {
            let what = format!("{link:?} {splicing:?} seed {seed}");
            run(Stage::new(link, splicing), &what, false, seed, &all);
        }
    }
}

#[test]
fn whatever_happens_to_pipes_a_relay_delivers_exact_bytes_and_never_hangs() {
    let all = pattern(4_000_000);
    for (from, to, splicing) in pipes::every_way() {
        for seed in 0..15 {
            let what = format!("{from:?} to {to:?} {splicing:?} seed {seed}");
            run(pipes::stage(from, to, splicing), &what, true, seed, &all);
        }
    }
}
