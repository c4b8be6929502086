//! One entry of a write queue, and how much memory it holds.
//!
//! A chunk of copies grows by a quarter, up to 64 KiB, and gives its room back when something else follows
//! it. What is left of a chunk is copied once it is less than twice what the chunk holds beside it.

use std::os::fd::OwnedFd;

use bytes::{Buf, Bytes};

use crate::driver::SplicePipe;
use crate::transport::stream::write::file::QueuedFile;

/// The most bytes that one chunk of copies is begun or filled up to.
pub(super) const CHUNK: usize = 64 * 1024;

/// Sent bytes at the front of a chunk are not worth a copy of the others before they are this many.
const TRIM_FROM: usize = 4 * 1024;

/// A chunk of copies grows by so much at least, so that small ones are not each an allocation.
const LEAST_GROWTH: usize = 128;

#[derive(Debug)]
pub(super) enum Chunk {
    Shared {
        bytes: Bytes,
        /// How many bytes before `bytes` are sent, at most what the type holds: the memory of them
        /// is held, too.
        sent: u32,
    },
    /// Filled at the end by copies; the first `sent` bytes are gone already.
    Copied {
        data: Vec<u8>,
        sent: usize,
    },
    File(Box<QueuedFile>),
    /// Descriptors, and the bytes that they go with.
    Carrying(Box<(Vec<u8>, Vec<OwnedFd>)>),
    /// Spliced from another socket: sent without passing through memory.
    Piped(SplicePipe),
    /// The place of a file that was cancelled. It is never the first.
    Gone,
}

impl Chunk {
    pub(super) fn shared(bytes: Bytes) -> Self {
        Self::Shared { bytes, sent: 0 }
    }

    /// A chunk of as much of `data` as one takes, with room for `room` bytes in all; and the rest.
    pub(super) fn copied(data: &[u8], room: usize) -> (Self, &[u8]) {
        let (part, rest) = data.split_at(data.len().min(CHUNK));
        let mut copy = Vec::with_capacity(part.len().max(room.min(CHUNK)));
        copy.extend_from_slice(part);
        (Self::Copied { data: copy, sent: 0 }, rest)
    }

    /// Appends as much of `data` as it takes; the rest.
    ///
    /// Its memory grows by a quarter, and what is sent is not copied to where it grows.
    pub(super) fn append<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let Self::Copied { data: copy, sent } = self else { return data };
        let (part, rest) = data.split_at(data.len().min(CHUNK.saturating_sub(copy.len())));
        if copy.len() + part.len() > copy.capacity() {
            let unsent = &copy[*sent..];
            let grown = (unsent.len() + (unsent.len() / 4).max(LEAST_GROWTH)).min(CHUNK);
            let mut larger = Vec::with_capacity(grown.max(unsent.len() + part.len()));
            larger.extend_from_slice(unsent);
            *copy = larger;
            *sent = 0;
        }
        copy.extend_from_slice(part);
        rest
    }

    /// Gives back room for copies if it is more than a quarter of what is copied, and than `room`.
    pub(super) fn limit_room(&mut self, room: usize) {
        if let Self::Copied { data, .. } = self {
            let free = data.capacity() - data.len();
            if free > room && free > data.len() / 4 {
                data.shrink_to_fit();
            }
        }
    }

    /// Just bytes, which can be sent together with others.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Shared { bytes, .. } => Some(bytes),
            Self::Copied { data, sent } => Some(&data[*sent..]),
            Self::File(_) | Self::Carrying(_) | Self::Piped(_) | Self::Gone => None,
        }
    }

    /// The first `count` bytes, and not all, are sent.
    ///
    /// What is left is copied once it is little beside what it keeps in memory: no more is ever
    /// copied than a few times what was sent. `Bytes` that somebody else has stay as they are.
    /// Returns the `Bytes` that it drops.
    pub(super) fn advance(&mut self, count: usize) -> Option<Bytes> {
        match self {
            Self::Shared { bytes, sent } => {
                bytes.advance(count);
                *sent = sent.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                let sent = *sent as usize;
                if is_little(bytes.len(), sent, sent) && bytes.is_unique() {
                    let rest = Self::Copied { data: bytes.to_vec(), sent: 0 };
                    if let Self::Shared { bytes, .. } = std::mem::replace(self, rest) {
                        return Some(bytes);
                    }
                }
            }
            Self::Copied { data, sent } => {
                *sent += count;
                let left = data.len() - *sent;
                if is_little(left, *sent, data.capacity() - left) {
                    *data = data[*sent..].to_vec();
                    *sent = 0;
                }
            }
            Self::File(_) | Self::Carrying(_) | Self::Piped(_) | Self::Gone => {
                debug_assert!(false, "more than bytes");
            }
        }
        None
    }
}

/// Whether what is left of a chunk is little beside what is held and not needed: what is sent of it,
/// and the room for more.
fn is_little(left: usize, sent: usize, unneeded: usize) -> bool {
    sent >= TRIM_FROM && unneeded > left / 2 && left <= CHUNK
}
