//! Datagrams that wait to be handed to the operating system.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use super::tight;
use crate::address::Address;

/// What a datagram counts beside its bytes: what is held for one of another size or to another
/// destination than the one before, with its share of the room that lists keep. asyncio counts 8,
/// which is much less than what it holds.
pub(crate) const OVERHEAD: usize = 64;

/// The most datagrams a kernel takes apart of one run, and the most bytes of them.
const RUN_DATAGRAMS: usize = 64;
const RUN_BYTES: usize = 65_000;

/// The least by which the bytes' memory grows.
const LEAST_GROWTH: usize = 32;

/// Datagrams in the order in which they were sent; those of one size to one destination that
/// follow each other are one run, which a kernel may take as one.
///
/// Memory grows by a quarter at a time. It is given back by [`fit`](Self::fit) only, so that what
/// gathers the datagrams of a callback stays warm.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Where the first run begins.
    start: usize,
    /// All runs but the last.
    runs: VecDeque<ClosedRun>,
    /// How many datagrams are in `runs`.
    datagrams: usize,
    /// The lengths of the Unix names that the runs go to.
    names: usize,
    /// What the next datagram may be added to. At hand: most answers are.
    last: Run,
}

#[derive(Debug)]
struct Run {
    to: Option<Address>,
    /// The size of each datagram.
    segment: usize,
    /// The same where there can be more than one. Known not to be 0, a copy needs no test of it.
    alike: NonZeroUsize,
    /// How many datagrams it could be of, and of how many more.
    most: usize,
    room: usize,
}

/// A run to which nothing is added.
#[derive(Debug)]
struct ClosedRun {
    to: Option<Address>,
    segment: usize,
    count: usize,
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
        self.datagrams() == 0
    }

    #[inline]
    pub(crate) fn datagrams(&self) -> usize {
        self.datagrams + self.last.count()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// What flow control counts.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.bytes() + self.datagrams() * OVERHEAD + self.names
    }

    /// What a datagram adds to the [size](Self::size) at most.
    pub(crate) fn weight(data: &[u8], to: Option<&Address>) -> usize {
        data.len() + OVERHEAD + name_len(to)
    }

    #[inline]
    pub(crate) fn push(&mut self, data: &[u8], to: Option<&Address>) {
        self.extend(data);
        if self.last.room > 0 && self.last.segment == data.len() && self.last.to.as_ref() == to {
            self.last.room -= 1;
        } else {
            self.begin(Run::new(data.len(), to.cloned()));
        }
    }

    /// Takes `data` as datagrams of `size` bytes, the last one shorter. Not more than one run.
    pub(crate) fn push_run(&mut self, data: &[u8], size: usize, to: Option<&Address>) {
        let count = data.len() / size;
        let (whole, rest) = data.split_at(count * size);
        if count > 0 {
            self.extend(whole);
            let mut run = Run::new(size, to.cloned());
            run.room -= count - 1;
            self.begin(run);
        }
        if !rest.is_empty() {
            self.push(rest, to);
        }
    }

    /// How many datagrams of `size` bytes can be one run.
    pub(crate) fn run_of(size: usize) -> usize {
        RUN_BYTES.checked_div(size).map_or(1, |most| most.clamp(1, RUN_DATAGRAMS))
    }

    fn begin(&mut self, run: Run) {
        self.names += name_len(run.to.as_ref());
        let last = std::mem::replace(&mut self.last, run);
        self.close(last);
    }

    fn close(&mut self, run: Run) {
        if run.count() > 0 {
            self.datagrams += run.count();
            let run = ClosedRun { segment: run.segment, count: run.count(), to: run.to };
            tight::push(&mut self.runs, run);
        }
    }

    #[inline]
    fn extend(&mut self, data: &[u8]) {
        if self.bytes.capacity() - self.bytes.len() < data.len() {
            self.grow(data.len());
        }
        self.bytes.extend_from_slice(data);
    }

    #[cold]
    fn grow(&mut self, needed: usize) {
        let live = self.bytes();
        let more = needed.max(live / 4).max(LEAST_GROWTH);
        if self.start == 0 {
            self.bytes.reserve_exact(more);
        } else {
            self.move_bytes(live + more);
        }
    }

    /// Moves the bytes that are left to memory of their own.
    fn move_bytes(&mut self, capacity: usize) {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(&self.bytes[self.start..]);
        self.bytes = bytes;
        self.start = 0;
    }

    /// Gives back memory that is more than one and a half times what is left. So many bytes are
    /// moved for it as were sent, times three at most.
    pub(crate) fn fit(&mut self) {
        let live = self.bytes();
        if self.bytes.capacity() > live + live / 2 + LEAST_GROWTH {
            self.move_bytes(live + live / 8);
        }
        tight::fit(&mut self.runs);
    }

    /// Takes the datagram if it goes where the last one went and is as long: whether it did. Nothing
    /// else needs to be looked at then; [`seal`](Self::seal) ends that.
    ///
    /// It has no call but the copy, and nothing that could fail: that is most of what it costs.
    #[inline(always)]
    pub(crate) fn push_alike(&mut self, data: &[u8], to: Option<&Address>) -> bool {
        let last = &mut self.last;
        if last.alike.get() != data.len()
            || last.room == 0
            || !is_alike(&last.to, to)
            || self.bytes.capacity() - self.bytes.len() < data.len()
        {
            return false;
        }
        last.room -= 1;
        self.bytes.extend_from_slice(data);
        true
    }

    /// Ends the last run: what comes next does not belong to it.
    pub(crate) fn seal(&mut self) {
        self.last.most -= self.last.room;
        self.last.room = 0;
    }

    /// What is left of the runs, from the front.
    fn runs(&self) -> impl Iterator<Item = RunView<'_>> {
        let closed = self.runs.iter().map(|run| RunView {
            to: run.to.as_ref(),
            segment: run.segment,
            count: run.count,
        });
        closed.chain((self.last.count() > 0).then(|| RunView {
            to: self.last.to.as_ref(),
            segment: self.last.segment,
            count: self.last.count(),
        }))
    }

    /// The first run, whole or what is left of it.
    #[cfg_attr(not(any(feature = "udp-batch", test)), expect(dead_code))]
    #[inline]
    pub(crate) fn front(&self) -> Option<FrontRun<'_>> {
        let run = self.runs().next()?;
        Some(FrontRun {
            data: &self.bytes[self.start..self.start + run.len()],
            to: run.to,
            count: run.count,
            segment: run.segment,
        })
    }

    /// The first datagram.
    pub(crate) fn first(&self) -> Option<Outgoing<'_>> {
        let run = self.runs().next()?;
        let data = &self.bytes[self.start..self.start + run.segment];
        Some(Outgoing { data, to: run.to })
    }

    /// Every datagram, from the front.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        let mut rest = &self.bytes[self.start..];
        self.runs().flat_map(move |run| {
            let data;
            (data, rest) = rest.split_at(run.len());
            (0..run.count).map(move |position| {
                let begin = position * run.segment;
                Outgoing { data: &data[begin..begin + run.segment], to: run.to }
            })
        })
    }

    /// Removes `count` datagrams from the front. Returns how many bytes they were.
    #[inline]
    pub(crate) fn advance(&mut self, mut count: usize) -> usize {
        debug_assert!(count <= self.datagrams());
        if count == self.datagrams() {
            let bytes = self.bytes();
            self.clear();
            return bytes;
        }
        let before = self.start;
        while let Some(run) = self.runs.front_mut() {
            let gone = count.min(run.count);
            run.count -= gone;
            self.start += gone * run.segment;
            self.datagrams -= gone;
            count -= gone;
            if run.count > 0 {
                break;
            }
            self.names -= name_len(run.to.as_ref());
            self.runs.pop_front();
        }
        self.last.most -= count;
        self.start += count * self.last.segment;
        self.start - before
    }

    /// Removes the last datagram.
    pub(crate) fn pop_last(&mut self) {
        if self.last.count() == 0 {
            let Some(run) = self.runs.pop_back() else { return };
            self.datagrams -= run.count;
            self.last = run.reopened();
        }
        self.last.most -= 1;
        self.bytes.truncate(self.bytes.len() - self.last.segment);
        if self.last.count() == 0 {
            self.names -= name_len(self.last.to.as_ref());
            self.last.most = 0;
            self.last.room = 0;
        }
    }

    /// Moves everything behind what `other` holds. The memory stays: it may be much more than that.
    pub(crate) fn move_to(&mut self, other: &mut Self) {
        other.extend(&self.bytes[self.start..]);
        let last = std::mem::take(&mut other.last);
        other.close(last);
        other.datagrams += self.datagrams;
        other.names += self.names;
        tight::extend(&mut other.runs, self.runs.drain(..));
        other.last = std::mem::take(&mut self.last);
        self.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
        self.start = 0;
        self.datagrams = 0;
        self.names = 0;
        // Its destination stays: nobody looks at it, and dropping it costs.
        self.last.most = 0;
        self.last.room = 0;
    }
}

impl Run {
    /// A run of one datagram so far. Empty ones are none: a kernel could not cut it.
    fn new(len: usize, to: Option<Address>) -> Self {
        let most = Outbox::run_of(len);
        let alike = NonZeroUsize::new(len).unwrap_or(NonZeroUsize::MAX);
        Self { to, segment: len, alike, most, room: most - 1 }
    }

    #[inline]
    fn count(&self) -> usize {
        self.most - self.room
    }
}

impl ClosedRun {
    /// As the last run, to which nothing is added still.
    fn reopened(self) -> Run {
        Run { most: self.count, room: 0, ..Run::new(self.segment, self.to) }
    }
}

/// A run, closed or not.
struct RunView<'a> {
    to: Option<&'a Address>,
    segment: usize,
    count: usize,
}

impl RunView<'_> {
    fn len(&self) -> usize {
        self.count * self.segment
    }
}

/// What is held on the heap for a destination.
#[inline]
fn name_len(to: Option<&Address>) -> usize {
    match to {
        Some(Address::Unix(name)) => name.len(),
        _ => 0,
    }
}

/// Whether two destinations are known to be the same without a call. Unix addresses are not.
#[inline(always)]
fn is_alike(one: &Option<Address>, other: Option<&Address>) -> bool {
    match other {
        None => one.is_none(),
        Some(Address::Ip(SocketAddr::V4(other))) => {
            matches!(one, Some(Address::Ip(SocketAddr::V4(one))) if one == other)
        }
        Some(Address::Ip(SocketAddr::V6(other))) => {
            matches!(one, Some(Address::Ip(SocketAddr::V6(one))) if one == other)
        }
        Some(Address::Unix(_)) => false,
    }
}

impl Default for Run {
    /// None.
    fn default() -> Self {
        Self { to: None, segment: 0, alike: NonZeroUsize::MAX, most: 0, room: 0 }
    }
}

#[cfg(test)]
mod tests;
