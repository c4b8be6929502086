use std::ops::RangeInclusive;
use std::time::Duration;

use crate::sim::random::probable;

/// What a link does to what passes over it.
///
/// Of what passes both ways, each way for itself. Probabilities are 0 to 1: less is as 0, more as 1.
#[derive(Clone, Debug)]
#[must_use = "links have them once they are given to a simulation"]
pub struct LinkOptions {
    pub(super) latency: RangeInclusive<Duration>,
    pub(super) loss: f64,
    pub(super) duplication: f64,
    pub(super) split: f64,
    pub(super) bandwidth: Option<u64>,
    pub(super) mtu: Option<usize>,
    pub(super) fragments: bool,
}

impl LinkOptions {
    /// 1 ms each way, no limits, and no faults.
    pub fn new() -> Self {
        let latency = Duration::from_millis(1);
        Self {
            latency: latency..=latency,
            loss: 0.0,
            duplication: 0.0,
            split: 0.0,
            bandwidth: None,
            mtu: None,
            fragments: true,
        }
    }

    /// How long what passes takes: a random time of these, for each piece of a stream and each datagram. Datagrams
    /// overtake each other; the pieces of a stream do not.
    pub fn latency(mut self, latency: RangeInclusive<Duration>) -> Self {
        self.latency = latency;
        self
    }

    /// How probably a piece of a stream or a datagram is lost, 0 to 1. What a stream loses is sent again, 200 ms later,
    /// 400 ms after that, and so on; all behind it waits.
    pub fn loss(mut self, probability: f64) -> Self {
        self.loss = probable(probability);
        self
    }

    /// How probably a datagram arrives twice, 0 to 1.
    pub fn duplication(mut self, probability: f64) -> Self {
        self.duplication = probable(probability);
        self
    }

    /// How probably what is written is cut in two at a random place, and arrives and is read apart, 0 to 1. 1 cuts down
    /// to single bytes.
    pub fn split(mut self, probability: f64) -> Self {
        self.split = probable(probability);
        self
    }

    /// How many bytes pass in a second, each way: one at least. What is on the link shares it in turn.
    pub fn bandwidth(mut self, bytes_per_second: impl Into<Option<u64>>) -> Self {
        self.bandwidth = bytes_per_second.into();
        self
    }

    /// The largest packet that passes, in bytes with the headers of IP and UDP, which have 28 of them (48 with IPv6); 1,500
    /// is usual. A larger datagram passes in fragments, and is lost if one of them is.
    pub fn mtu(mut self, bytes: impl Into<Option<usize>>) -> Self {
        self.mtu = bytes.into();
        self
    }

    /// Whether fragments pass, as they do unless this is called: many firewalls drop them, and nobody is told.
    pub fn fragments(mut self, pass: bool) -> Self {
        self.fragments = pass;
        self
    }

    /// In how many packets something passes that has so many bytes without headers, from addresses of IPv6 or not;
    /// `None`: it does not.
    pub(super) fn packets(&self, length: usize, is_ipv6: bool) -> Option<u32> {
        const UDP_HEADER: usize = 8;
        let header = if is_ipv6 { 40 } else { 20 };
        // Each has some bytes at least, and but for the last a multiple of 8.
        let Some(room) = self.mtu.map(|mtu| mtu.saturating_sub(header).max(8)) else {
            return Some(1);
        };
        if length + UDP_HEADER <= room {
            return Some(1);
        }
        let packets = (length + UDP_HEADER).div_ceil(room / 8 * 8);
        self.fragments.then(|| u32::try_from(packets).unwrap_or(u32::MAX))
    }
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self::new()
    }
}
