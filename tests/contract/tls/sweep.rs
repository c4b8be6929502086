//! What can happen to bytes on their way, at every position of a connection's life: they are
//! changed, lost, repeated, put out of order, cut off, or come in pieces.
//!
//! Each run is a whole life in virtual time: handshake, a request, a reply in two parts, the end. Whatever happens, each side gets what was sent up to where it ends, nobody
//! waits beyond the deadlines, and the loop does not spin.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::testing::advance;
use wharf::{EventLoop, TlsClient, TlsServer, TlsVersion, Transport};

use super::wire::{Way, join_protocols};
use crate::encryption::SERVER;
use crate::loops::{memory_loop, settle};
use crate::probe::{Call, Log, Probe, assert_rules_were_kept};
use crate::running::Reports;

/// What is done at a position, which is that of a byte, or for whole records the number of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    None,
    /// The bytes before it come a tick before the others.
    Split,
    /// Every byte comes in a tick of its own, from here on.
    Dribble,
    Flip,
    Drop,
    Repeat,
    /// All after it is lost, and the connection stays open.
    Silence,
    /// All after it is lost, and the connection ends.
    Cut,
    /// So many bytes change places with as many after them.
    Swap(usize),
    SwapRecords,
    DropRecord,
    RepeatRecord,
}

impl Harm {
    fn is_harmless(self) -> bool {
        matches!(self, Self::None | Self::Split | Self::Dribble)
    }

    fn is_of_records(self) -> bool {
        matches!(self, Self::SwapRecords | Self::DropRecord | Self::RepeatRecord)
    }
}

const REQUEST: &[u8] = b"a request that is sent as soon as possible";
const REPLY: &[u8] = b"and the reply to it, which is longer than the request was, by some bytes";
/// Where the reply's second record begins.
const HALF: usize = 30;

/// More ticks than any life takes, in which bytes come together; a loop that spins takes thousands.
const MOST_TICKS: u64 = 120;

/// The harm and its place, with what has passed so far.
struct Harmful {
    from_client: bool,
    at: usize,
    harm: Harm,
    passed: Rc<Cell<Passed>>,
    /// What waits for the rest of a record, or for what it changes places with.
    held: Vec<u8>,
    /// The record that is to come after the next one.
    swapped: Option<Vec<u8>>,
    is_cut: Rc<Cell<bool>>,
}

/// What went over the wire from the client and from the server, unharmed.
#[derive(Clone, Copy, Default)]
struct Passed {
    bytes: [usize; 2],
    records: [usize; 2],
}

impl Way for Harmful {
    fn pass(&mut self, from_client: bool, data: &[u8]) -> Vec<Vec<u8>> {
        let mut passed = self.passed.get();
        let side = usize::from(!from_client);
        let begins = passed.bytes[side];
        passed.bytes[side] += data.len();
        self.passed.set(passed);
        if from_client != self.from_client {
            return vec![data.to_vec()];
        }
        if self.harm.is_of_records() || self.harm == Harm::None {
            return self.pass_records(data);
        }
        let ends = begins + data.len();
        if ends <= self.at {
            return vec![data.to_vec()];
        }
        let here = self.at.saturating_sub(begins);
        let is_here = begins <= self.at;
        let mut data = data.to_vec();
        match self.harm {
            Harm::Split if is_here => {
                let rest = data.split_off(here);
                return vec![data, rest];
            }
            Harm::Dribble => {
                let rest = data.split_off(here);
                return [data].into_iter().chain(rest.chunks(1).map(<[u8]>::to_vec)).collect();
            }
            Harm::Flip if is_here => data[here] ^= 1 << (self.at % 8),
            Harm::Drop if is_here => drop(data.remove(here)),
            Harm::Repeat if is_here => data.insert(here, data[here]),
            Harm::Silence => data.truncate(here),
            Harm::Cut => {
                data.truncate(here);
                self.is_cut.set(true);
            }
            Harm::Swap(len) if begins < self.at + 2 * len => {
                self.held.extend(data.split_off(here));
                if self.held.len() >= 2 * len {
                    self.held[..2 * len].rotate_left(len);
                    data.append(&mut self.held);
                }
            }
            _ => {}
        }
        vec![data]
    }

    fn end(&mut self, from_client: bool) -> Vec<Vec<u8>> {
        if from_client != self.from_client {
            return Vec::new();
        }
        self.swapped.take().into_iter().chain([std::mem::take(&mut self.held)]).collect()
    }
}

impl Harmful {
    fn pass_records(&mut self, data: &[u8]) -> Vec<Vec<u8>> {
        self.held.extend_from_slice(data);
        let mut out = Vec::new();
        while let [_, _, _, high, low, ..] = *self.held {
            let len = 5 + usize::from(u16::from_be_bytes([high, low]));
            if self.held.len() < len {
                break;
            }
            let rest = self.held.split_off(len);
            let record = std::mem::replace(&mut self.held, rest);
            self.pass_record(record, &mut out);
        }
        vec![out]
    }

    fn pass_record(&mut self, record: Vec<u8>, out: &mut Vec<u8>) {
        let mut passed = self.passed.get();
        let side = usize::from(!self.from_client);
        let is_here = passed.records[side] == self.at;
        passed.records[side] += 1;
        self.passed.set(passed);
        match self.harm {
            Harm::SwapRecords if is_here => self.swapped = Some(record),
            Harm::DropRecord if is_here => {}
            Harm::RepeatRecord if is_here => {
                out.extend_from_slice(&record);
                out.extend(record);
            }
            _ => {
                out.extend(record);
                out.extend(self.swapped.take().unwrap_or_default());
            }
        }
    }
}

/// What came of one run.
struct Outcome {
    passed: Passed,
    is_complete: bool,
}

/// A client that makes a full handshake each time, and the server.
type Sides = (TlsClient, TlsServer);

static SIDES: LazyLock<[Sides; 2]> = LazyLock::new(|| {
    [TlsVersion::Tls12, TlsVersion::Tls13].map(|version| {
        let client = TlsClient::builder().pin_certificate_pem(&SERVER.chain).session_cache(0);
        let client = client.min_version(version).max_version(version).build().unwrap();
        let server = TlsServer::builder().identity(SERVER.identity()).build().unwrap();
        (client.server_name("server.test"), server)
    })
});

fn client(log: &Log, tls: TlsClient) -> Probe {
    let own = log.clone();
    Probe::new(log)
        .on_made(move |transport| {
            transport.start_tls((&tls).into(), Bytes::new());
            transport.write(REQUEST);
            Ok(())
        })
        .on_data(move |transport, _| {
            if own.received_len() >= REPLY.len() {
                transport.close();
            }
            Ok(())
        })
}

fn server(log: &Log, tls: TlsServer) -> Probe {
    let own = log.clone();
    Probe::new(log)
        .on_made(move |transport| {
            transport.start_tls((&tls).into(), Bytes::new());
            Ok(())
        })
        .on_data(move |transport, _| {
            if own.received_len() == REQUEST.len() {
                transport.write(&REPLY[..HALF]);
                let handle = transport.handle();
                transport.event_loop().call_soon(move || _ = handle.write(&REPLY[HALF..]));
            }
            Ok(())
        })
}

/// A whole life of a connection, with `harm` done at `at` to what comes from one side.
fn live(
    event_loop: &EventLoop,
    version: TlsVersion,
    from_client: bool,
    at: usize,
    harm: Harm,
) -> Outcome {
    let what = || format!("{harm:?} at {at}, from the client: {from_client}, {version}");
    let reports = Reports::of(event_loop);
    let ticks_before = event_loop.statistics().ticks;
    let (near, far) = (Log::new(), Log::new());
    let (passed, is_cut) = (Rc::new(Cell::default()), Rc::new(Cell::new(false)));
    let way = Harmful {
        from_client,
        at,
        harm,
        passed: Rc::clone(&passed),
        held: Vec::new(),
        swapped: None,
        is_cut: Rc::clone(&is_cut),
    };
    let (tls, accepting) = SIDES[usize::from(version == TlsVersion::Tls13)].clone();
    let (near_probe, far_probe) = (client(&near, tls), server(&far, accepting));
    let (client_end, server_end) = join_protocols(event_loop, near_probe, far_probe, way);
    settle(event_loop).unwrap();
    if is_cut.get() {
        if from_client { server_end.handle() } else { client_end.handle() }.close();
    }
    // No deadline is longer than that.
    advance(event_loop, Duration::from_secs(120)).unwrap();
    let is_complete = far.received() == REQUEST && near.received() == REPLY;
    assert!(REQUEST.starts_with(&far.received()), "the server got something else: {}", what());
    assert!(REPLY.starts_with(&near.received()), "the client got something else: {}", what());
    if harm.is_harmless() {
        assert!(is_complete && near.cause().is_none() && far.cause().is_none(), "{}", what());
    }
    // Whoever has shaken hands may wait for more, as on any connection; all else has ended.
    for log in [&near, &far] {
        let is_established = log.count(Call::TlsEstablished) == 1;
        assert!(log.is_lost() || is_established, "it hangs, {}: {log:?}", what());
    }
    assert!(reports.take().is_empty(), "{}", what());
    let ticks = event_loop.statistics().ticks - ticks_before;
    let most = if harm == Harm::Dribble { MOST_TICKS + 4000 } else { MOST_TICKS };
    assert!(ticks <= most, "{ticks} ticks, {}", what());
    for handle in [&near.handle(), &far.handle(), client_end.handle(), server_end.handle()] {
        handle.abort();
    }
    advance(event_loop, Duration::from_secs(10)).unwrap();
    assert_eq!(event_loop.statistics().connections_open, 0, "{}", what());
    assert_rules_were_kept();
    Outcome { passed: passed.get(), is_complete }
}

/// Does each harm at each position of a life, which is that of a byte, in both directions.
fn sweep(version: TlsVersion, harms: &[Harm]) {
    // One for all lives: its buffers are made once.
    let event_loop = &memory_loop();
    for (side, from_client) in [(0, true), (1, false)] {
        let unharmed = live(event_loop, version, from_client, 0, Harm::None);
        for &harm in harms {
            let passed = unharmed.passed;
            let tried =
                if harm.is_of_records() { passed.records[side] } else { passed.bytes[side] };
            let lives = (0..tried).map(|at| live(event_loop, version, from_client, at, harm));
            let completed = lives.filter(|outcome| outcome.is_complete).count();
            if harm.is_harmless() {
                assert_eq!(completed, tried, "{harm:?}");
            } else {
                // Only what comes after the reply was there can be harmed and do no harm, and few
                // bytes that mean nothing.
                assert!(completed <= tried / 2, "{harm:?}: {completed} of {tried} went well");
            }
        }
    }
}

const CHANGES: [Harm; 3] = [Harm::Flip, Harm::Drop, Harm::Repeat];
const ENDS: [Harm; 2] = [Harm::Silence, Harm::Cut];
const SWAPS: [Harm; 2] = [Harm::Swap(1), Harm::Swap(40)];
const OF_RECORDS: [Harm; 3] = [Harm::SwapRecords, Harm::DropRecord, Harm::RepeatRecord];

#[test]
fn harm_to_any_byte_is_an_error_or_the_right_data_under_tls_1_3() {
    sweep(TlsVersion::Tls13, &CHANGES);
}

#[test]
fn harm_to_any_byte_is_an_error_or_the_right_data_under_tls_1_2() {
    sweep(TlsVersion::Tls12, &CHANGES);
}

#[test]
fn an_end_after_any_byte_is_an_error_or_the_right_data_under_tls_1_3() {
    sweep(TlsVersion::Tls13, &ENDS);
}

#[test]
fn an_end_after_any_byte_is_an_error_or_the_right_data_under_tls_1_2() {
    sweep(TlsVersion::Tls12, &ENDS);
}

#[test]
fn bytes_out_of_order_are_an_error_or_the_right_data_under_tls_1_3() {
    sweep(TlsVersion::Tls13, &SWAPS);
}

#[test]
fn bytes_out_of_order_are_an_error_or_the_right_data_under_tls_1_2() {
    sweep(TlsVersion::Tls12, &SWAPS);
}

#[test]
fn records_out_of_order_lost_or_repeated_are_an_error_or_the_right_data() {
    sweep(TlsVersion::Tls13, &OF_RECORDS);
    sweep(TlsVersion::Tls12, &OF_RECORDS);
}

#[test]
fn bytes_that_come_in_two_pieces_do_no_harm_wherever_they_are_cut() {
    sweep(TlsVersion::Tls13, &[Harm::Split]);
    sweep(TlsVersion::Tls12, &[Harm::Split]);
}

#[test]
fn bytes_that_come_one_by_one_do_no_harm() {
    let event_loop = &memory_loop();
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for from_client in [true, false] {
            assert!(live(event_loop, version, from_client, 0, Harm::Dribble).is_complete);
        }
    }
}

/// Pieces of any length at any places, in any order: as many as a seed says, each seed a life.
#[test]
fn pieces_that_are_shuffled_are_an_error_or_the_right_data() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below
    };
    let event_loop = &memory_loop();
    for round in 0..300 {
        let version = [TlsVersion::Tls12, TlsVersion::Tls13][round % 2];
        let (from_client, at) = (random(2) == 0, random(1300));
        live(event_loop, version, from_client, at, Harm::Swap(1 + random(400)));
    }
}
