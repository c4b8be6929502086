//! What is left of writes that were not synced.

use std::collections::BTreeMap;
use std::ops::Range;

/// What a disk writes as a whole, if its power does not fail just then.
const SECTOR: u64 = 512;

/// Decides what is left.
///
/// It depends on where something is written, and how often there, and not on what is written elsewhere before: a program
/// that writes in the order of a `HashMap` runs equally with equal seeds.
pub(super) struct Survival {
    seed: u64,
    /// Of 16 things, how many are left.
    of_16: u64,
}

/// What becomes of the writes to a sector.
struct Sector {
    /// How many have come.
    seen: u64,
    /// So many have reached it.
    reached: u64,
    /// So many bytes of the one after them have, too.
    torn: usize,
}

impl Survival {
    pub(super) fn new(seed: u64) -> Self {
        // None, all, about a half, all but few, few.
        let of_16 = [0, 16, 8, 15, 1][(mixed(seed) % 5) as usize];
        Self { seed, of_16 }
    }

    /// Whether the `index`th change of a length, or the file itself, is left.
    pub(super) fn keeps(&self, index: u64) -> bool {
        mixed(self.seed ^ mixed(!index)) % 16 < self.of_16
    }

    /// How many of so many things are left, of which none is without those before it.
    pub(super) fn first_of(&self, count: usize) -> usize {
        match self.of_16 {
            0 => 0,
            16 => count,
            _ => (mixed(self.seed) >> 8) as usize % (count + 1),
        }
    }

    /// Which parts of each of these writes are left, in their order.
    pub(super) fn parts(&self, writes: &[Range<u64>]) -> Vec<Vec<Range<u64>>> {
        let mut counts = BTreeMap::<u64, u64>::new();
        for sector in writes.iter().flat_map(sectors) {
            *counts.entry(sector).or_default() += 1;
        }
        let decide = |(sector, count)| (sector, self.sector(sector, count));
        let mut decided: BTreeMap<u64, Sector> = counts.into_iter().map(decide).collect();
        let parts = |write: &Range<u64>| {
            let part = |sector| part(write, sector, decided.get_mut(&sector)?);
            sectors(write).filter_map(part).collect()
        };
        writes.iter().map(parts).collect()
    }

    fn sector(&self, sector: u64, count: u64) -> Sector {
        let chance = mixed(self.seed ^ mixed(sector));
        // Of several writes an earlier one may be what is left.
        let reached = if chance % 16 < self.of_16 {
            count - if chance >> 8 & 7 == 0 { (chance >> 16) % count } else { 0 }
        } else {
            0
        };
        let may_tear = (1..16).contains(&self.of_16) && chance >> 12 & 7 == 0;
        let torn = if may_tear { (chance >> 32) % SECTOR } else { 0 };
        Sector { seen: 0, reached, torn: torn as usize }
    }
}

/// Which part of a write is left of what it has in a sector.
fn part(write: &Range<u64>, sector: u64, decided: &mut Sector) -> Option<Range<u64>> {
    decided.seen += 1;
    let begin = write.start.max(sector * SECTOR);
    let mut end = write.end.min((sector + 1) * SECTOR);
    if decided.seen > decided.reached {
        let is_torn = decided.seen == decided.reached + 1;
        end = end.min(begin + if is_torn { decided.torn as u64 } else { 0 });
    }
    (begin < end).then_some(begin..end)
}

fn sectors(write: &Range<u64>) -> Range<u64> {
    write.start / SECTOR..write.end.div_ceil(SECTOR)
}

/// A number that looks like none of its neighbours' (SplitMix64).
pub(super) fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
