//! One entry of a write queue, and how much memory it holds.

use std::os::fd::OwnedFd;

use bytes::{Buf, Bytes};

use super::super::send_file::QueuedFile;
use crate::driver::os::SplicePipe;

/// The most bytes that one chunk of copies is begun or filled up to.
pub(super) const CHUNK: usize = 64 * 1024;

/// Sent bytes at the front of a chunk are not worth a copy of the others before they are this many.
const TRIM_FROM: usize = 4 * 1024;

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
    /// Its memory grows by half, so that it is at most one and a half times what was written.
    pub(super) fn append<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let Self::Copied { data: copy, .. } = self else { return data };
        let (part, rest) = data.split_at(data.len().min(CHUNK.saturating_sub(copy.len())));
        let len = copy.len() + part.len();
        if len > copy.capacity() {
            let capacity = len.max((copy.len() + copy.len() / 2).min(CHUNK));
            copy.reserve_exact(capacity - copy.len());
        }
        copy.extend_from_slice(part);
        rest
    }

    /// Nothing is appended any more: gives back what it has too much room of.
    pub(super) fn close(&mut self) {
        if let Self::Copied { data, .. } = self
            && data.capacity() > data.len() + data.len() / 2
        {
            data.shrink_to_fit();
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
    /// copied than twice what was sent. `Bytes` that somebody else has stay as they are. Returns
    /// those that it lets go of.
    pub(super) fn advance(&mut self, count: usize) -> Option<Bytes> {
        match self {
            Self::Shared { bytes, sent } => {
                bytes.advance(count);
                *sent = sent.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                if is_little(bytes.len(), *sent as usize) && bytes.is_unique() {
                    let rest = Self::Copied { data: bytes.to_vec(), sent: 0 };
                    if let Self::Shared { bytes, .. } = std::mem::replace(self, rest) {
                        return Some(bytes);
                    }
                }
            }
            Self::Copied { data, sent } => {
                *sent += count;
                if is_little(data.len() - *sent, *sent) {
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

/// Whether what is left of a chunk is little beside what was sent of it.
fn is_little(left: usize, sent: usize) -> bool {
    sent >= TRIM_FROM && sent > left / 2 && left <= CHUNK
}
