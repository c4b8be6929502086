//! Bytes that the operating system has not taken yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use bytes::{Buf, Bytes};

use super::send_file::QueuedFile;
use crate::driver::os::SplicePipe;

/// What was written to one connection and not yet sent, in order.
///
/// Small copies share a chunk; `Bytes` are kept as they are. An empty queue holds no memory.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    /// In a box: most connections have nothing queued at any time, and many never.
    chunks: Option<Box<Chunks>>,
    /// Bytes over all chunks, so that asking for the size costs nothing.
    len: usize,
}

#[derive(Debug, Default)]
struct Chunks {
    list: VecDeque<Chunk>,
    /// How many are more than bytes.
    special: usize,
    /// How many descriptors they carry.
    descriptors: usize,
}

#[derive(Debug)]
enum Chunk {
    Shared(Bytes),
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
}

/// What is at the front of a queue with more than bytes in it.
pub(super) enum Front<'a> {
    Bytes {
        /// Whether a file comes next.
        before_file: bool,
    },
    File(&'a mut QueuedFile),
    Carrying(&'a [u8], &'a [OwnedFd]),
    Piped,
}

/// What a file counts as, however long it is: nothing of it is in memory, but there must be an end
/// to how many can wait.
pub(super) const FILE_WEIGHT: usize = 4 * 1024;

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
        let chunks = &mut self.chunks.get_or_insert_default().list;
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
            let chunks = self.chunks.get_or_insert_default();
            chunks.list.push_back(Chunk::Shared(data.clone()));
        }
    }

    pub(super) fn push_file(&mut self, file: QueuedFile) {
        self.len += FILE_WEIGHT;
        let chunks = self.chunks.get_or_insert_default();
        chunks.special += 1;
        chunks.list.push_back(Chunk::File(Box::new(file)));
    }

    pub(super) fn push_carrying(&mut self, data: &[u8], descriptors: Vec<OwnedFd>) {
        self.len += data.len();
        let chunks = self.chunks.get_or_insert_default();
        chunks.special += 1;
        chunks.descriptors += descriptors.len();
        chunks.list.push_back(Chunk::Carrying(Box::new((data.to_vec(), descriptors))));
    }

    /// What was spliced from another socket comes next.
    pub(super) fn push_pipe(&mut self, pipe: SplicePipe) {
        self.len += pipe.level();
        let chunks = self.chunks.get_or_insert_default();
        chunks.special += 1;
        chunks.list.push_back(Chunk::Piped(pipe));
    }

    /// Sends at most `limit` bytes of the pipe at the front; how many it was.
    pub(super) fn drain_pipe(&mut self, to: BorrowedFd<'_>, limit: usize) -> io::Result<usize> {
        let Some(chunks) = &mut self.chunks else { return Ok(0) };
        let Some(Chunk::Piped(pipe)) = chunks.list.front_mut() else { return Ok(0) };
        let sent = pipe.drain(to, limit)?;
        self.len -= sent;
        if pipe.level() == 0 {
            chunks.list.pop_front();
            chunks.special -= 1;
            self.free_if_empty();
        }
        Ok(sent)
    }

    /// Takes the bytes out of the pipe at the front, for a socket that cannot be spliced to.
    pub(super) fn copy_pipe(&mut self) -> io::Result<()> {
        if let Some(chunks) = &mut self.chunks
            && let Some(chunk) = chunks.list.front_mut()
            && let Chunk::Piped(pipe) = chunk
        {
            let level = pipe.level();
            let data = pipe.take_out()?;
            self.len -= level - data.len();
            chunks.special -= 1;
            if data.is_empty() {
                chunks.list.pop_front();
            } else {
                *chunk = Chunk::Copied { data, sent: 0 };
            }
            self.free_if_empty();
        }
        Ok(())
    }

    /// Fills `slices` with as many chunks of bytes from the front as there is room for, no more than
    /// `limit` bytes; how many they are.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>], mut limit: usize) -> usize {
        let mut count = 0;
        let chunks = self.chunks.iter().flat_map(|chunks| chunks.list.iter());
        for (slice, bytes) in slices.iter_mut().zip(chunks.map_while(Chunk::bytes)) {
            if limit == 0 {
                break;
            }
            let part = bytes.len().min(limit);
            *slice = IoSlice::new(&bytes[..part]);
            limit -= part;
            count += 1;
        }
        count
    }

    /// Whether there is more in it than bytes.
    pub(super) fn is_mixed(&self) -> bool {
        self.chunks.as_ref().is_some_and(|chunks| chunks.special > 0)
    }

    /// How many descriptors wait in it.
    pub(super) fn descriptors(&self) -> usize {
        self.chunks.as_ref().map_or(0, |chunks| chunks.descriptors)
    }

    /// What comes next; `None`: nothing.
    pub(super) fn front(&mut self) -> Option<Front<'_>> {
        let list = &mut self.chunks.as_mut()?.list;
        if list.front().is_some_and(|chunk| chunk.bytes().is_some()) {
            let next = list.iter().find(|chunk| chunk.bytes().is_none());
            return Some(Front::Bytes { before_file: matches!(next, Some(Chunk::File(_))) });
        }
        match list.front_mut()? {
            Chunk::File(file) => Some(Front::File(file)),
            Chunk::Carrying(carrying) => Some(Front::Carrying(&carrying.0, &carrying.1)),
            Chunk::Piped(_) => Some(Front::Piped),
            Chunk::Shared(_) | Chunk::Copied { .. } => None,
        }
    }

    /// Takes the file out that `is_it` says it is.
    pub(super) fn take_file(
        &mut self,
        is_it: impl Fn(&QueuedFile) -> bool,
    ) -> Option<Box<QueuedFile>> {
        let chunks = self.chunks.as_mut()?;
        let found = |chunk: &Chunk| matches!(chunk, Chunk::File(file) if is_it(file));
        let position = chunks.list.iter().position(found)?;
        let Some(Chunk::File(file)) = chunks.list.remove(position) else { return None };
        chunks.special -= 1;
        self.len -= FILE_WEIGHT;
        self.free_if_empty();
        Some(file)
    }

    /// The first `count` bytes of the chunk at the front are sent, and with them what it carried.
    pub(super) fn carried(&mut self, count: usize) -> Vec<OwnedFd> {
        let Some(chunks) = &mut self.chunks else { return Vec::new() };
        let Some(Chunk::Carrying(carrying)) = chunks.list.pop_front() else { return Vec::new() };
        let (data, descriptors) = *carrying;
        chunks.special -= 1;
        chunks.descriptors -= descriptors.len();
        self.len -= count;
        if count < data.len() {
            chunks.list.push_front(Chunk::Copied { data, sent: count });
        }
        self.free_if_empty();
        descriptors
    }

    /// Empties the queue. As with [`advance`](Self::advance), what is the user's is handed back.
    pub(super) fn clear(&mut self, spent: &mut Vec<Bytes>) -> Vec<QueuedFile> {
        self.len = 0;
        let mut files = Vec::new();
        for chunk in self.chunks.take().into_iter().flat_map(|chunks| chunks.list) {
            match chunk {
                Chunk::Shared(bytes) => spent.push(bytes),
                Chunk::File(file) => files.push(*file),
                Chunk::Copied { .. } | Chunk::Carrying(_) | Chunk::Piped(_) => {}
            }
        }
        files
    }

    fn free_if_empty(&mut self) {
        if self.chunks.as_ref().is_some_and(|chunks| chunks.list.is_empty()) {
            self.chunks = None;
        }
    }

    /// Drops `count` bytes from the front: they are sent.
    ///
    /// They are all bytes: not those of a file, nor those that carry descriptors.
    ///
    /// What it drops of the user's (`Bytes` can run code when dropped) goes to `spent` once it is
    /// done, to be dropped when the queue is no longer borrowed.
    pub(crate) fn advance(&mut self, mut count: usize, spent: &mut Vec<Bytes>) {
        debug_assert!(count <= self.len);
        self.len -= count;
        let Some(chunks) = &mut self.chunks else { return };
        while count > 0 {
            let Some(front) = chunks.list.front_mut() else { break };
            let Some(len) = front.bytes().map(<[u8]>::len) else { break };
            if count < len {
                front.advance(count);
                return;
            }
            count -= len;
            if let Some(Chunk::Shared(bytes)) = chunks.list.pop_front() {
                spent.push(bytes);
            }
        }
        if chunks.list.is_empty() {
            self.chunks = None;
        }
    }
}

impl Chunk {
    /// Just bytes, which can be sent together with others.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Shared(bytes) => Some(bytes),
            Self::Copied { data, sent } => Some(&data[*sent..]),
            Self::File(_) | Self::Carrying(_) | Self::Piped(_) => None,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Shared(bytes) => bytes.advance(count),
            Self::Copied { sent, .. } => *sent += count,
            Self::File(_) | Self::Carrying(_) | Self::Piped(_) => {
                debug_assert!(false, "more than bytes");
            }
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
        assert_eq!(queue.chunks.unwrap().list.len(), 1);
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

    #[test]
    fn what_carries_descriptors_is_apart_from_the_bytes_around_it() {
        let mut queue = WriteQueue::default();
        queue.push_copy(b"before");
        let pipe = std::io::pipe().unwrap();
        queue.push_carrying(b"with", vec![pipe.0.into(), pipe.1.into()]);
        queue.push_copy(b"after");
        assert_eq!((queue.len(), queue.descriptors()), (15, 2));
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(queue.fill(&mut slices, usize::MAX), 1);
        assert_eq!(&*slices[0], b"before");
        queue.advance(6, &mut Vec::new());
        assert!(matches!(queue.front(), Some(Front::Carrying(b"with", [_, _]))));
        assert_eq!(queue.carried(1).len(), 2);
        assert_eq!((queue.len(), queue.descriptors()), (8, 0));
        assert!(!queue.is_mixed());
        assert_eq!(drain(&mut queue, 3), b"ithafter");
        assert!(queue.chunks.is_none());
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
