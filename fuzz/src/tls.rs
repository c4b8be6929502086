//! TLS over the in-memory driver: sessions whose bytes are cut, changed, delayed, lost, repeated and
//! reordered on their way, and peers that do not speak TLS at all.
//!
//! An input is
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | what is played, modulo 4: TLS 1.3, TLS 1.2, any bytes to a server, any bytes to a client; with 4 added to the first two, a second session after an unharmed one, with early data |
//! | 1 | capacity of the pipes, times 64, and 64; for any bytes: the length of a piece, and 1 |
//! | 1 | how much the client sends, times 256, and 1 |
//! | 2 each | what is done with the next chunk on its way: a [`Deed`], counted round, and where |
//! | or the rest | any bytes |
//!
//! Chunks past the end of the input pass as they are. Keys and signatures differ from run to run, so
//! that nothing that is checked may depend on them, and not even lengths are quite the same.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::testing::{MemoryNetwork, advance, pair};
use wharf::{
    Eof, Error, EventLoop, Protocol, Result, TlsUpgrade, TlsVersion, Transport, TransportHandle,
};

use crate::sides::{SIDES, TAKEN_EARLY};

/// Plays the input.
///
/// Checked: whoever receives something receives what was sent, up to where it ends; a session that
/// was not harmed is complete and ends well on both sides; everybody who has not shaken hands has
/// ended by the deadlines, with an error and without a panic; `connection_lost` comes once; the loop
/// comes to rest, and nothing is left on it.
///
/// # Panics
/// If a promise is broken.
pub fn run(data: &[u8]) {
    let &[mode, first, second, ref rest @ ..] = data else { return };
    let event_loop = MemoryNetwork::new().event_loop();
    event_loop.set_exception_handler(|_, exception| panic!("it was reported: {exception}"));
    match mode % 4 {
        version @ (0 | 1) => {
            let version = [TlsVersion::Tls13, TlsVersion::Tls12][usize::from(version)];
            let early = (mode & 4 != 0).then_some(EARLY);
            if early.is_some() {
                Session::new(version, &[]).play(&event_loop, 255, 0, Some(0));
            }
            Session::new(version, rest).play(&event_loop, first, second, early);
        }
        2 => hear_anything((&SIDES[0].1).into(), &event_loop, first, &data[2..]),
        _ => hear_anything((&SIDES[0].0).into(), &event_loop, first, &data[2..]),
    }
    assert_eq!(event_loop.statistics().connections_open, 0, "a connection is left");
    event_loop.close().expect("it does not run");
}

/// Longer than any deadline.
const LONG: Duration = Duration::from_secs(200);

/// How much early data is sent at most: more than the server takes.
const EARLY: usize = 500;
const _: () = assert!(EARLY > TAKEN_EARLY as usize);

/// What stands at `position` of everything that a side writes.
fn byte_at(position: usize) -> u8 {
    (position % 251) as u8
}

/// What one side has seen.
#[derive(Default)]
struct Notes {
    received: Cell<usize>,
    is_established: Cell<bool>,
    /// Whether it ended well, once it has ended.
    lost: Cell<Option<bool>>,
}

/// A side under TLS: the client sends and waits for it to come back, the server sends it back.
struct Side {
    upgrade: TlsUpgrade,
    notes: Rc<Notes>,
    /// `None` on the server.
    sends: Option<usize>,
    /// How much of it is early data.
    early: usize,
}

impl Protocol for Side {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let data: Vec<u8> = (0..self.sends.unwrap_or_default()).map(byte_at).collect();
        let (early, rest) = data.split_at(self.early);
        transport.start_tls(self.upgrade.clone().early_data(early), Bytes::new());
        transport.write(rest);
        Ok(())
    }

    fn tls_established(&mut self, _: &dyn Transport) -> Result {
        assert!(!self.notes.is_established.replace(true), "established twice");
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        assert!(self.notes.is_established.get(), "data before the handshake was done");
        assert_eq!(self.notes.lost.get(), None, "data after the end");
        let before = self.notes.received.get();
        let is_right = data.iter().enumerate().all(|(at, byte)| *byte == byte_at(before + at));
        assert!(is_right, "wrong bytes after {before}");
        self.notes.received.set(before + data.len());
        match self.sends {
            None => _ = transport.write(data),
            Some(sent) => {
                assert!(before + data.len() <= sent, "more than was sent");
                if before + data.len() == sent {
                    transport.close();
                }
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let is_ours = error.is_some_and(|error| error.is_panic() || error.is_application());
        assert!(!is_ours, "{error:?}");
        let before = self.notes.lost.replace(Some(error.is_none()));
        assert_eq!(before, None, "connection_lost twice");
        Ok(())
    }
}

/// What happens to a chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Pass,
    /// It comes in two pieces.
    Cut,
    /// Byte for byte.
    Dribble,
    /// It comes after the next one of its direction.
    Swap,
    Flip,
    /// Its end is lost.
    Shorten,
    /// It comes twice.
    Repeat,
    /// Something comes before it that nobody sent.
    Insert,
    /// It and all after it are lost, and the connection ends.
    End,
    /// It is lost.
    Lose,
}

impl Deed {
    const ALL: [Self; 10] = [
        Self::Pass,
        Self::Cut,
        Self::Dribble,
        Self::Swap,
        Self::Flip,
        Self::Shorten,
        Self::Repeat,
        Self::Insert,
        Self::End,
        Self::Lose,
    ];

    fn is_harmless(self) -> bool {
        matches!(self, Self::Pass | Self::Cut | Self::Dribble)
    }
}

/// What is on its way.
enum Piece {
    Data(Vec<u8>),
    Eof,
    Close,
}

/// One direction of the way.
#[derive(Default)]
struct Lane {
    to: RefCell<Option<TransportHandle>>,
    pieces: RefCell<VecDeque<Piece>>,
    held: RefCell<Option<Vec<u8>>>,
    is_running: Cell<bool>,
}

impl Lane {
    /// Hands the pieces on one by one, in different ticks.
    fn send(self: &Rc<Self>, event_loop: &EventLoop, pieces: impl IntoIterator<Item = Piece>) {
        self.pieces.borrow_mut().extend(pieces);
        if !self.is_running.replace(true) {
            self.run(event_loop);
        }
    }

    fn run(self: &Rc<Self>, event_loop: &EventLoop) {
        let (lane, again) = (Rc::clone(self), event_loop.clone());
        event_loop.call_later(Duration::from_millis(1), move || {
            let piece = lane.pieces.borrow_mut().pop_front();
            let to = lane.to.borrow().clone();
            match (piece, to) {
                (None, _) => return lane.is_running.set(false),
                (Some(Piece::Data(data)), Some(to)) => _ = to.write(&data),
                (Some(Piece::Eof), Some(to)) => to.write_eof(),
                (Some(Piece::Close), Some(to)) => to.close(),
                (Some(_), None) => {}
            }
            lane.run(&again);
        });
    }
}

/// A client, a server, and a way between them.
struct Session {
    version: TlsVersion,
    script: Rc<RefCell<VecDeque<u8>>>,
    is_harmed: Rc<Cell<bool>>,
}

/// One end of the way.
struct End {
    script: Rc<RefCell<VecDeque<u8>>>,
    is_harmed: Rc<Cell<bool>>,
    /// To the other end, and back.
    lanes: [Rc<Lane>; 2],
}

impl Session {
    fn new(version: TlsVersion, script: &[u8]) -> Self {
        let script = Rc::new(RefCell::new(script.iter().copied().collect()));
        Self { version, script, is_harmed: Rc::default() }
    }

    fn play(self, event_loop: &EventLoop, capacity: u8, amount: u8, early: Option<usize>) {
        let sides = usize::from(self.version == TlsVersion::Tls12);
        let (client, server) = &SIDES[sides + 2 * usize::from(early.is_some())];
        let capacity = 64 + usize::from(capacity) * 64;
        let sent = 1 + usize::from(amount) * 256;
        let [near, far] = [Rc::new(Notes::default()), Rc::new(Notes::default())];
        let lanes = [Rc::new(Lane::default()), Rc::new(Lane::default())];
        let end = |lanes: [&Rc<Lane>; 2]| End {
            script: Rc::clone(&self.script),
            is_harmed: Rc::clone(&self.is_harmed),
            lanes: lanes.map(Rc::clone),
        };
        let early = early.unwrap_or_default().min(sent);
        let side =
            Side { upgrade: client.into(), notes: Rc::clone(&near), sends: Some(sent), early };
        let near_end = end([&lanes[0], &lanes[1]]);
        let (client, near_end) = pair(event_loop, capacity, side, near_end).expect("a pair");
        let side = Side { upgrade: server.into(), notes: Rc::clone(&far), sends: None, early: 0 };
        let far_end = end([&lanes[1], &lanes[0]]);
        let (server, far_end) = pair(event_loop, capacity, side, far_end).expect("a pair");
        *lanes[0].to.borrow_mut() = Some(far_end.handle().clone());
        *lanes[1].to.borrow_mut() = Some(near_end.handle().clone());
        advance(event_loop, LONG).expect("it comes to rest");

        if !self.is_harmed.get() {
            assert_eq!((near.received.get(), far.received.get()), (sent, sent), "not complete");
            assert_eq!((near.lost.get(), far.lost.get()), (Some(true), Some(true)));
        }
        // Who has shaken hands may wait for more, as on any connection.
        for notes in [&near, &far] {
            assert!(notes.lost.get().is_some() || notes.is_established.get(), "it hangs");
        }
        for handle in [client.handle(), server.handle(), near_end.handle(), far_end.handle()] {
            handle.abort();
        }
        advance(event_loop, LONG).expect("it comes to rest");
        assert!(near.lost.get().is_some() && far.lost.get().is_some(), "abort did not end it");
        lanes.iter().for_each(|lane| *lane.to.borrow_mut() = None);
    }
}

impl End {
    fn treat(&self, data: &[u8]) -> Vec<Piece> {
        let mut script = self.script.borrow_mut();
        let deed = Deed::ALL[usize::from(script.pop_front().unwrap_or_default()) % 10];
        let at = usize::from(script.pop_front().unwrap_or_default());
        let at = (at * data.len() / 256).min(data.len() - 1);
        if !deed.is_harmless() {
            self.is_harmed.set(true);
        }
        let whole = || Piece::Data(data.to_vec());
        let mut pieces = match deed {
            Deed::Pass => vec![whole()],
            Deed::Cut => {
                let (first, second) = data.split_at(at);
                vec![Piece::Data(first.to_vec()), Piece::Data(second.to_vec())]
            }
            // Some of it: a large chunk would take longer than the deadlines.
            Deed::Dribble => {
                let (first, second) = data.split_at(at.min(100));
                let bytes = first.iter().map(|byte| Piece::Data(vec![*byte]));
                bytes.chain([Piece::Data(second.to_vec())]).collect()
            }
            Deed::Swap => {
                let before = self.lanes[0].held.replace(Some(data.to_vec()));
                return before.map(Piece::Data).into_iter().collect();
            }
            Deed::Flip => {
                let mut data = data.to_vec();
                data[at] ^= 1 << (at % 8);
                vec![Piece::Data(data)]
            }
            Deed::Shorten => vec![Piece::Data(data[..at].to_vec())],
            Deed::Repeat => vec![whole(), whole()],
            Deed::Insert => vec![Piece::Data(data[at..].to_vec()), whole()],
            Deed::End => vec![Piece::Data(data[..at].to_vec()), Piece::Close],
            Deed::Lose => Vec::new(),
        };
        pieces.extend(self.lanes[0].held.take().map(Piece::Data));
        pieces
    }

    fn finish(&self, transport: &dyn Transport, piece: Piece) {
        let held = self.lanes[0].held.take().map(Piece::Data);
        self.lanes[0].send(&transport.event_loop(), held.into_iter().chain([piece]));
    }
}

impl Protocol for End {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.lanes[0].send(&transport.event_loop(), self.treat(data));
        Ok(())
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.finish(transport, Piece::Eof);
        Ok(Eof::KeepOpen)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
        self.finish(transport, Piece::Close);
        *self.lanes[1].to.borrow_mut() = None;
        Ok(())
    }
}

/// Has a peer that knows no secret say `data`, piece by piece, and end, or say nothing more.
fn hear_anything(upgrade: TlsUpgrade, event_loop: &EventLoop, length: u8, data: &[u8]) {
    let notes = Rc::new(Notes::default());
    let side = Side { upgrade, notes: Rc::clone(&notes), sends: None, early: 0 };
    let (_, peer) = pair(event_loop, 4096, side, Deaf).expect("a pair");
    let lane = Rc::new(Lane::default());
    *lane.to.borrow_mut() = Some(peer.handle().clone());
    let pieces = data.chunks(1 + usize::from(length));
    lane.send(event_loop, pieces.map(|piece| Piece::Data(piece.to_vec())));
    if length % 2 == 1 {
        lane.send(event_loop, [Piece::Close]);
    }
    advance(event_loop, LONG).expect("it comes to rest");
    assert!(!notes.is_established.get(), "with a peer that knows nothing");
    assert_eq!(notes.lost.get(), Some(false), "it ends, with an error");
    peer.handle().abort();
    advance(event_loop, LONG).expect("it comes to rest");
}

/// Listens to nothing.
struct Deaf;

impl Protocol for Deaf {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}
