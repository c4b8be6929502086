//! Datagrams that wait to be handed to the operating system.

use std::net::SocketAddr;

use crate::net::Address;

/// What a datagram counts beside its bytes (asyncio's): so that empty ones are bounded, too.
pub(crate) const OVERHEAD: usize = 8;

/// The most datagrams a kernel takes apart of one run, and the most bytes of them.
const RUN_DATAGRAMS: usize = 64;
const RUN_BYTES: usize = 65_000;

/// From here on the memory of what is gone is made room of.
const COMPACT_FROM: usize = 64 * 1024;
const COMPACT_RUNS_FROM: usize = 1024;

/// Datagrams in the order in which they were sent; those of one size to one destination that
/// follow each other are one run, which a kernel may take as one.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Where the first run begins.
    start: usize,
    /// Those before `first` are gone.
    runs: Vec<Run>,
    first: usize,
    datagrams: usize,
}

#[derive(Debug)]
struct Run {
    to: Option<Address>,
    /// How many datagrams, and the size of each.
    count: usize,
    segment: usize,
    /// How many it can take.
    most: usize,
}

/// One datagram to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing<'a> {
    pub(crate) data: &'a [u8],
    /// `None`: to the peer of a connected socket.
    pub(crate) to: Option<&'a Address>,
}

/// The first run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrontRun<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) to: Option<&'a Address>,
    pub(crate) count: usize,
    pub(crate) segment: usize,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.datagrams == 0
    }

    pub(crate) fn datagrams(&self) -> usize {
        self.datagrams
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// What flow control counts.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.bytes() + self.datagrams * OVERHEAD
    }

    #[inline]
    pub(crate) fn push(&mut self, data: &[u8], to: Option<&Address>) {
        if self.push_alike(data, to) {
            return;
        }
        self.bytes.extend_from_slice(data);
        self.datagrams += 1;
        self.runs.push(Run::new(data.len(), to.cloned()));
    }

    /// Takes the datagram if it goes where the last one went and is as long: whether it did.
    #[inline(always)]
    pub(crate) fn push_alike(&mut self, data: &[u8], to: Option<&Address>) -> bool {
        let Some(last) = self.runs.last_mut() else { return false };
        if last.segment != data.len() || last.count >= last.most || !is_same(last.to.as_ref(), to) {
            return false;
        }
        last.count += 1;
        self.datagrams += 1;
        self.bytes.extend_from_slice(data);
        true
    }

    /// The first run, whole or what is left of it.
    #[cfg_attr(not(feature = "udp-batch"), expect(dead_code))]
    #[inline]
    pub(crate) fn front(&self) -> Option<FrontRun<'_>> {
        let run = self.runs.get(self.first)?;
        Some(FrontRun {
            data: &self.bytes[self.start..self.start + run.len()],
            to: run.to.as_ref(),
            count: run.count,
            segment: run.segment,
        })
    }

    /// Every datagram, from the front.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        let mut rest = &self.bytes[self.start..];
        self.runs[self.first..].iter().flat_map(move |run| {
            let data;
            (data, rest) = rest.split_at(run.len());
            (0..run.count).map(move |position| {
                let begin = position * run.segment;
                Outgoing { data: &data[begin..begin + run.segment], to: run.to.as_ref() }
            })
        })
    }

    /// Lets go of `count` datagrams at the front; how many bytes they were.
    #[inline]
    pub(crate) fn advance(&mut self, mut count: usize) -> usize {
        debug_assert!(count <= self.datagrams);
        self.datagrams -= count;
        let before = self.start;
        while count > 0 {
            let Some(run) = self.runs.get_mut(self.first) else { break };
            if count < run.count {
                run.count -= count;
                self.start += count * run.segment;
                break;
            }
            count -= run.count;
            self.start += run.len();
            self.first += 1;
        }
        let advanced = self.start - before;
        if self.first == self.runs.len() {
            self.clear();
        } else {
            self.compact();
        }
        advanced
    }

    /// Moves everything behind what `other` holds.
    pub(crate) fn move_to(&mut self, other: &mut Self) {
        if other.is_empty() {
            std::mem::swap(self, other);
            return;
        }
        other.bytes.extend_from_slice(&self.bytes[self.start..]);
        other.datagrams += self.datagrams;
        other.runs.extend(self.runs.drain(self.first..));
        self.clear();
    }

    /// Makes room of the memory of what is gone once it is more than what is left.
    fn compact(&mut self) {
        if self.start >= COMPACT_FROM && self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        if self.first >= COMPACT_RUNS_FROM && self.first > self.runs.len() / 2 {
            self.runs.drain(..self.first);
            self.first = 0;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
        self.first = 0;
        self.start = 0;
        self.datagrams = 0;
    }
}

impl Run {
    /// A run of one datagram so far. Empty ones are none: a kernel could not cut it.
    fn new(len: usize, to: Option<Address>) -> Self {
        let most = RUN_BYTES.checked_div(len).map_or(1, |most| most.clamp(1, RUN_DATAGRAMS));
        Self { to, count: 1, segment: len, most }
    }

    fn len(&self) -> usize {
        self.count * self.segment
    }
}

/// The comparison without a call in the case that counts: an answer to the same client.
#[inline(always)]
fn is_same(one: Option<&Address>, other: Option<&Address>) -> bool {
    match (one, other) {
        (Some(Address::Ip(SocketAddr::V4(one))), Some(Address::Ip(SocketAddr::V4(other)))) => {
            one.ip() == other.ip() && one.port() == other.port()
        }
        (one, other) => is_same_otherwise(one, other),
    }
}

#[inline(never)]
fn is_same_otherwise(one: Option<&Address>, other: Option<&Address>) -> bool {
    one == other
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use proptest::prelude::*;

    fn address(port: u16) -> Address {
        Address::Ip(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn datagrams_of_one_size_to_one_destination_are_one_run() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.push(b"four", Some(&address(1)));
        }
        outbox.push(b"four", Some(&address(2)));
        outbox.push(b"", None);
        outbox.push(b"", None);
        assert_eq!(outbox.front().map(|run| (run.count, run.segment)), Some((3, 4)));
        assert_eq!(outbox.runs.len(), 4, "empty datagrams are no run: a kernel could not cut it");
        assert_eq!(outbox.size(), 16 + 6 * OVERHEAD);
    }

    #[test]
    fn a_run_can_be_sent_in_parts() {
        let mut outbox = Outbox::default();
        for _ in 0..3 {
            outbox.push(b"four", None);
        }
        assert_eq!(outbox.advance(2), 8);
        assert_eq!(outbox.front().map(|run| (run.count, run.data.len())), Some((1, 4)));
        assert_eq!(outbox.advance(1), 4);
        assert_eq!(outbox.size(), 0);
    }

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in(
            sent in prop::collection::vec((0usize..5, 0u16..3, any::<bool>()), 0..200),
            steps in prop::collection::vec(1usize..40, 1..20),
        ) {
            let mut outbox = Outbox::default();
            let mut model = VecDeque::new();
            let mut steps = steps.into_iter().cycle();
            for (position, (kind, port, take)) in sent.into_iter().enumerate() {
                let data = vec![position as u8; [0, 1, 7, 1400, 9000][kind]];
                let to = (port > 0).then(|| address(port));
                outbox.push(&data, to.as_ref());
                model.push_back((data, to));
                if take {
                    let count = steps.next().unwrap_or(1).min(model.len());
                    let bytes: usize = model.drain(..count).map(|(data, _)| data.len()).sum();
                    prop_assert_eq!(outbox.advance(count), bytes);
                }
                let bytes: usize = model.iter().map(|(data, _)| data.len()).sum();
                prop_assert_eq!(outbox.size(), bytes + model.len() * OVERHEAD);
                if let Some(run) = outbox.front() {
                    prop_assert_eq!(run.data.len().div_ceil(run.segment.max(1)).max(1), run.count);
                }
            }
            let left: Vec<_> =
                outbox.iter().map(|one| (one.data.to_vec(), one.to.cloned())).collect();
            prop_assert_eq!(left, Vec::from(model));
        }
    }
}
