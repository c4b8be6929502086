//! Bytes that the operating system has not taken yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use bytes::{Buf, Bytes};

use crate::driver::os::SplicePipe;

/// The bytes written to one connection and not yet sent, in order.
///
/// Small copies share a chunk; `Bytes` are kept as they are. An empty queue holds no memory.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    /// In a box: most connections have nothing queued at any time, and many never.
    #[expect(clippy::box_collection, reason = "three words less in every connection")]
    chunks: Option<Box<VecDeque<Chunk>>>,
    /// Bytes over all chunks, so that asking for the size costs nothing.
    len: usize,
}

#[derive(Debug)]
enum Chunk {
    Shared(Bytes),
    /// Filled at the end by copies; the first `sent` bytes are gone already.
    Copied {
        data: Vec<u8>,
        sent: usize,
    },
    /// Spliced from another socket: sent without passing through memory.
    Piped(SplicePipe),
}

/// What a chunk of copies has room for when it is begun.
const CHUNK_CAPACITY: usize = 4 * 1024;

/// `Bytes` shorter than this are copied: a chunk of their own costs more than the copy.
const SHARE_FROM: usize = 512;

impl WriteQueue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push_copy(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.len += data.len();
        let chunks = self.chunks.get_or_insert_default();
        if let Some(Chunk::Copied { data: tail, .. }) = chunks.back_mut()
            && tail.capacity() - tail.len() >= data.len()
        {
            tail.extend_from_slice(data);
            return;
        }
        // The next chunk is twice the last one, so that a long queue is not a long list.
        let last = match chunks.back() {
            Some(Chunk::Copied { data, .. }) => data.capacity(),
            _ => 0,
        };
        let capacity = (last * 2).clamp(CHUNK_CAPACITY, 16 * CHUNK_CAPACITY).max(data.len());
        let mut chunk = Vec::with_capacity(capacity);
        chunk.extend_from_slice(data);
        chunks.push_back(Chunk::Copied { data: chunk, sent: 0 });
    }

    /// Takes a reference, so that the caller's `Bytes` is dropped when the queue is not borrowed.
    pub(crate) fn push_bytes(&mut self, data: &Bytes) {
        if data.len() < SHARE_FROM {
            self.push_copy(data);
        } else {
            self.len += data.len();
            self.chunks.get_or_insert_default().push_back(Chunk::Shared(data.clone()));
        }
    }

    /// What was spliced from another socket comes next.
    pub(crate) fn push_pipe(&mut self, pipe: SplicePipe) {
        self.len += pipe.level();
        self.chunks.get_or_insert_default().push_back(Chunk::Piped(pipe));
    }

    /// Whether what comes next has no bytes to show.
    pub(crate) fn is_pipe_first(&self) -> bool {
        matches!(self.chunks.as_ref().and_then(|chunks| chunks.front()), Some(Chunk::Piped(_)))
    }

    /// Sends at most `limit` bytes of the pipe that comes next; how many it was.
    pub(crate) fn drain_pipe(&mut self, to: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        let Some(chunks) = &mut self.chunks else { return Ok(0) };
        let Some(Chunk::Piped(pipe)) = chunks.front_mut() else { return Ok(0) };
        let sent = pipe.drain(to, limit)?;
        self.len -= sent;
        if pipe.level() == 0 {
            chunks.pop_front();
            if chunks.is_empty() {
                self.chunks = None;
            }
        }
        Ok(sent)
    }

    /// Takes the bytes out of the pipe that comes next, for a socket that cannot be spliced to.
    pub(crate) fn copy_pipe(&mut self) -> io::Result<()> {
        let front = self.chunks.as_mut().and_then(|chunks| chunks.front_mut());
        if let Some(chunk) = front
            && let Chunk::Piped(pipe) = chunk
        {
            let level = pipe.level();
            let data = pipe.take_out()?;
            self.len -= level - data.len();
            *chunk = Chunk::Copied { data, sent: 0 };
        }
        Ok(())
    }

    /// Fills `slices` with as many chunks from the front as there is room for, no more than `limit`
    /// bytes; how many they are.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>], mut limit: usize) -> usize {
        let mut count = 0;
        for (slice, chunk) in
            slices.iter_mut().zip(self.chunks.iter().flat_map(|chunks| chunks.iter()))
        {
            let bytes = chunk.bytes();
            if limit == 0 || matches!(chunk, Chunk::Piped(_)) {
                break;
            }
            let part = bytes.len().min(limit);
            *slice = IoSlice::new(&bytes[..part]);
            limit -= part;
            count += 1;
        }
        count
    }

    /// Drops `count` bytes from the front: they are sent.
    ///
    /// What it drops of the user's (`Bytes` can run code when dropped) goes to `spent` once it is
    /// done, to be dropped when the queue is no longer borrowed.
    pub(crate) fn advance(&mut self, mut count: usize, spent: &mut Vec<Bytes>) {
        debug_assert!(count <= self.len);
        self.len -= count;
        let Some(chunks) = &mut self.chunks else { return };
        while count > 0 {
            let Some(front) = chunks.front_mut() else { break };
            let len = front.len();
            if count < len {
                front.advance(count);
                return;
            }
            count -= len;
            if let Some(Chunk::Shared(bytes)) = chunks.pop_front() {
                spent.push(bytes);
            }
        }
        if chunks.is_empty() {
            self.chunks = None;
        }
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Copied { data, sent } => &data[*sent..],
            Self::Piped(_) => &[],
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Piped(pipe) => pipe.level(),
            other => other.bytes().len(),
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Shared(bytes) => bytes.advance(count),
            Self::Copied { sent, .. } => *sent += count,
            // Only `drain_pipe` takes a part of it.
            Self::Piped(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(queue: &mut WriteQueue, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = queue.fill(&mut slices, step);
            let mut taken = 0;
            for slice in &slices[..count] {
                assert!(!slice.is_empty(), "an empty slice in a flush spins");
                let part = slice.len().min(step - taken);
                out.extend_from_slice(&slice[..part]);
                taken += part;
            }
            queue.advance(taken, &mut Vec::new());
        }
        out
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let mut queue = WriteQueue::default();
        queue.push_copy(b"some");
        queue.push_bytes(&Bytes::from(vec![1; SHARE_FROM]));
        queue.advance(4 + SHARE_FROM, &mut Vec::new());
        assert!(queue.chunks.is_none());
    }

    #[test]
    fn empty_writes_leave_no_chunk() {
        let mut queue = WriteQueue::default();
        queue.push_copy(b"");
        queue.push_bytes(&Bytes::new());
        assert!(queue.chunks.is_none());
    }

    #[test]
    fn small_copies_share_a_chunk() {
        let mut queue = WriteQueue::default();
        for _ in 0..100 {
            queue.push_copy(b"0123456789");
        }
        assert_eq!(queue.chunks.unwrap().len(), 1);
    }

    #[test]
    fn spent_bytes_are_handed_back() {
        let mut queue = WriteQueue::default();
        queue.push_bytes(&Bytes::from(vec![1; SHARE_FROM]));
        let mut spent = Vec::new();
        queue.advance(1, &mut spent);
        assert!(spent.is_empty());
        queue.advance(SHARE_FROM - 1, &mut spent);
        assert_eq!(spent.len(), 1);
    }

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in(
            writes in prop::collection::vec((any::<bool>(), 0usize..3000), 0..40),
            step in 1usize..5000,
        ) {
            let mut queue = WriteQueue::default();
            let mut model = Vec::new();
            for (position, (shared, len)) in writes.into_iter().enumerate() {
                let data = vec![position as u8; len];
                model.extend_from_slice(&data);
                if shared { queue.push_bytes(&data.into()) } else { queue.push_copy(&data) }
                prop_assert_eq!(queue.len(), model.len());
            }
            prop_assert_eq!(drain(&mut queue, step), model);
        }
    }
}
