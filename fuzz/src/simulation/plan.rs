//! What an input means.

use std::time::Duration;

use wharf::WaterMarks;
use wharf::sim::{Fault, KernelFault, LinkOptions, Script};

/// What is simulated.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) seed: u64,
    /// What happens at one instant happens in any order.
    pub(super) is_shuffled: bool,
    pub(super) talk: Talk,
    pub(super) cover: Cover,
    pub(super) clients: usize,
    /// How often each client talks to the server, and how long it waits before.
    pub(super) conversations: usize,
    pub(super) pause: Duration,
    /// How many bytes a client sends in a conversation.
    pub(super) amount: usize,
    pub(super) manner: Manner,
    pub(super) server: Serving,
    pub(super) links: LinkOptions,
    /// Links lose so little that no connection is given up for it.
    is_reliable: bool,
    /// Links neither lose nor double datagrams.
    is_exact: bool,
    pub(super) script: Script,
    /// When the last fault is over.
    pub(super) recovers_at: Duration,
}

/// What clients and server say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Talk {
    /// The server sends back what comes, as it comes.
    Echo,
    /// It sends it back when all has come: at the end of the client's side, where TLS has one.
    Answer,
    /// It sends back lines.
    Lines,
    /// As `Echo`, with streams in place of protocols.
    Streams,
    /// As `Echo`, behind an upgrade to TLS that the client asks for.
    StartTls,
    /// It sends back datagrams.
    Datagrams,
}

/// What connections are covered by from their beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    Nothing,
    Tls12,
    Tls13,
}

/// How clients talk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// They stop reading for a while, again and again.
    pub(super) is_slow: bool,
    /// They close when they have heard everything; otherwise they end their side when they have said everything.
    pub(super) closes: bool,
    /// They write so much at a time.
    pub(super) step: usize,
    /// When everybody stops writing.
    pub(super) marks: WaterMarks,
}

/// How the server serves: it ends some times, and begins anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    pub(super) rounds: usize,
    pub(super) round: Duration,
    pub(super) end: Ending,
}

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Shutdown,
    CloseClients,
    AbortClients,
    /// It waits for its clients to leave by themselves.
    Close,
}

impl Plan {
    /// Any bytes are a plan: those that are missing are zeros.
    pub(super) fn read(data: &[u8]) -> Self {
        let (head, events) = data.split_at(data.len().min(HEAD));
        let mut bytes = [0; HEAD];
        bytes[..head.len()].copy_from_slice(head);
        let [talk, who, seed, latency, loss, flow, amount, manner, server, pause] = bytes;
        let clients = 1 + usize::from(who >> 2 & 3);
        let (script, recovers_at) = script(events, clients);
        Self {
            seed: seed.into(),
            is_shuffled: who & 64 != 0,
            talk: TALKS[usize::from(talk) % TALKS.len()],
            cover: COVERS[usize::from(who & 3) % COVERS.len()],
            clients,
            conversations: 1 + usize::from(who >> 4 & 3),
            pause: u32::from(pause) * 20 * MS,
            amount: usize::from(amount) * usize::from(amount) * 2,
            manner: Manner {
                is_slow: manner & 1 != 0,
                closes: manner & 2 != 0,
                step: 1 + 60 * usize::from(manner >> 4),
                marks: if manner & 4 == 0 {
                    WaterMarks::default()
                } else {
                    WaterMarks { low: 100, high: 1_000 }
                },
            },
            server: Serving {
                rounds: usize::from(server & 3),
                round: (1 + u32::from(server >> 4)) * 200 * MS,
                end: ENDINGS[usize::from(server >> 2 & 3)],
            },
            links: links(latency, loss, flow),
            is_reliable: loss & 15 <= 3,
            is_exact: loss == 0,
            script,
            recovers_at,
        }
    }

    /// Nothing fails, so that each conversation must succeed.
    pub(super) fn is_calm(&self) -> bool {
        let is_left_alone = self.script.events().len() == 1 && self.server.rounds == 0;
        is_left_alone && if self.talk == Talk::Datagrams { self.is_exact } else { self.is_reliable }
    }
}

/// How many bytes come before the events.
const HEAD: usize = 10;
/// The most events; what comes after them means nothing.
const EVENTS: usize = 40;
const MS: Duration = Duration::from_millis(1);

const TALKS: [Talk; 6] =
    [Talk::Echo, Talk::Answer, Talk::Lines, Talk::Streams, Talk::StartTls, Talk::Datagrams];
const COVERS: [Cover; 4] = [Cover::Nothing, Cover::Tls12, Cover::Tls13, Cover::Nothing];
const ENDINGS: [Ending; 4] =
    [Ending::Shutdown, Ending::CloseClients, Ending::AbortClients, Ending::Close];
const LATENCIES: [u32; 16] = [0, 1, 2, 3, 5, 8, 10, 15, 20, 30, 40, 50, 80, 100, 200, 400];

fn links(latency: u8, loss: u8, flow: u8) -> LinkOptions {
    let low = |byte: u8| usize::from(byte & 15);
    let high = |byte: u8| usize::from(byte >> 4);
    let least = LATENCIES[low(latency)] * MS;
    LinkOptions::new()
        .latency(least..=least + LATENCIES[high(latency)] * MS)
        .loss(low(loss) as f64 * 0.015)
        .duplication(high(loss) as f64 * 0.03)
        .split(low(flow) as f64 / 15.0)
        .bandwidth((high(flow) > 0).then(|| 10_000 << high(flow)))
}

/// Faults at their times, and calm after the last of them.
fn script(bytes: &[u8], clients: usize) -> (Script, Duration) {
    let mut at = Duration::ZERO;
    let mut script = Script::new();
    for event in bytes.as_chunks().0.iter().take(EVENTS) {
        let [wait, what, who] = *event;
        at += u32::from(wait & 63) * UNITS[usize::from(wait >> 6)];
        for fault in faults(what, who, clients).into_iter().flatten() {
            script = script.at(at, fault);
        }
    }
    at += MS;
    (script.at(at, Fault::Recover), at)
}

const UNITS: [Duration; 4] = [
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_millis(1_000),
];

fn faults(what: u8, who: u8, clients: usize) -> [Option<Fault>; 2] {
    let name = |index: usize| if index == 0 { "server".to_owned() } else { client(index) };
    let (from, to) = (usize::from(who & 15) % (clients + 1), usize::from(who >> 4));
    let one = || name(from);
    let other = || name((from + 1 + to % clients) % (clients + 1));
    let fault = match what % 15 {
        0 => Fault::Cut(one(), other()),
        1 => return [Some(Fault::Cut(one(), other())), Some(Fault::Cut(other(), one()))],
        2 => Fault::Clog(one(), other()),
        3 => return [Some(Fault::Clog(one(), other())), Some(Fault::Clog(other(), one()))],
        4 => Fault::Join(one(), other()),
        5 => Fault::Heal,
        6 => Fault::Loss(f64::from(who % 60) / 100.0),
        7 => Fault::Crash(one()),
        8 => Fault::Kill(one()),
        9 => Fault::Restart(one()),
        10 => Fault::Pause(one()),
        11 => Fault::Resume(one()),
        12 => Fault::Clock(one(), (f64::from(who) - 128.0) * 60.0),
        13 => {
            let kind = KERNEL_FAULTS[to % KERNEL_FAULTS.len()];
            Fault::Kernel(one(), kind, f64::from(what) / 512.0)
        }
        _ => Fault::Recover,
    };
    [Some(fault), None]
}

const KERNEL_FAULTS: [KernelFault; 6] = [
    KernelFault::ShortReads,
    KernelFault::ShortWrites,
    KernelFault::WouldBlock,
    KernelFault::SpuriousReadiness,
    KernelFault::NoBuffers,
    KernelFault::NoDescriptors,
];

/// The name of a client's host, counted from 1.
pub(super) fn client(number: usize) -> String {
    format!("client{number}")
}
