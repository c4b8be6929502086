//! What a file has.

use std::collections::BTreeSet;
use std::ops::Range;

use super::survival::Survival;

/// What space is taken in.
const BLOCK: u64 = 4096;

/// A file.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What programs see.
    seen: Vec<u8>,
    /// What is there when the power has failed and nothing else is left.
    durable: Vec<u8>,
    /// It has been synced: it is there.
    is_durable: bool,
    /// What came since the last sync.
    pending: Vec<Pending>,
    /// What has been written, and so takes space.
    blocks: BTreeSet<u64>,
}

#[derive(Debug)]
enum Pending {
    Write(u64, Box<[u8]>),
    Length(usize),
}

impl Content {
    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// In bytes.
    pub(super) fn space(&self) -> u64 {
        self.blocks.len() as u64 * BLOCK
    }

    /// How much of a write there is room for if there is `room` bytes of space left.
    pub(super) fn room(&self, write: &Range<u64>, room: Option<u64>) -> u64 {
        let Some(room) = room else { return write.end - write.start };
        let new = blocks(write).filter(|block| !self.blocks.contains(block));
        match new.into_iter().nth((room / BLOCK) as usize) {
            Some(block) => (block * BLOCK).saturating_sub(write.start),
            None => write.end - write.start,
        }
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        put(&mut self.seen, offset, data);
        self.blocks.extend(blocks(&(offset..offset + data.len() as u64)));
        self.pending.push(Pending::Write(offset, data.into()));
    }

    pub(super) fn set_length(&mut self, length: usize) {
        self.seen.resize(length, 0);
        self.blocks.split_off(&(length as u64).div_ceil(BLOCK));
        self.pending.push(Pending::Length(length));
    }

    /// It has a name that is durable.
    pub(super) fn is_there(&mut self) {
        self.is_durable = true;
    }

    pub(super) fn sync(&mut self) {
        self.is_durable = true;
        for change in self.pending.drain(..) {
            match change {
                Pending::Write(offset, data) => put(&mut self.durable, offset, &data),
                Pending::Length(length) => self.durable.resize(length, 0),
            }
        }
    }

    /// What was to be synced is, or is not. If it is to be `shown`, programs see it as it was written all the same.
    pub(super) fn fail_to_sync(&mut self, survival: &Survival, shown: bool) {
        self.settle(survival);
        if !shown {
            self.show_what_is_there();
        }
    }

    /// The power has failed. Whether there is a file still.
    pub(super) fn lose_power(&mut self, survival: &Survival) -> bool {
        if !self.is_durable && !survival.keeps(u64::MAX) {
            return false;
        }
        self.settle(survival);
        self.show_what_is_there();
        self.is_durable = true;
        true
    }

    /// Changes a bit.
    pub(super) fn rot(&mut self, place: usize, bit: u32) {
        for bytes in [&mut self.seen, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    fn show_what_is_there(&mut self) {
        self.seen.clone_from(&self.durable);
        self.blocks.split_off(&(self.seen.len() as u64).div_ceil(BLOCK));
    }

    /// Some of what is pending becomes durable, and nothing is pending any more.
    fn settle(&mut self, survival: &Survival) {
        let writes: Vec<_> = self.pending.iter().filter_map(Pending::range).collect();
        let mut parts = survival.parts(&writes).into_iter();
        for (index, change) in self.pending.drain(..).enumerate() {
            match change {
                Pending::Write(offset, data) => {
                    for part in parts.next().into_iter().flatten() {
                        let within = (part.start - offset) as usize..(part.end - offset) as usize;
                        put(&mut self.durable, part.start, &data[within]);
                    }
                }
                Pending::Length(length) if survival.keeps(index as u64) => {
                    self.durable.resize(length, 0);
                }
                Pending::Length(_) => {}
            }
        }
    }
}

impl Pending {
    fn range(&self) -> Option<Range<u64>> {
        match self {
            Self::Write(offset, data) => Some(*offset..*offset + data.len() as u64),
            Self::Length(_) => None,
        }
    }
}

fn blocks(write: &Range<u64>) -> Range<u64> {
    write.start / BLOCK..write.end.div_ceil(BLOCK)
}

/// Writes there, and makes it longer if need be.
fn put(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let range = offset as usize..offset as usize + data.len();
    if bytes.len() < range.end {
        bytes.resize(range.end, 0);
    }
    bytes[range].copy_from_slice(data);
}
