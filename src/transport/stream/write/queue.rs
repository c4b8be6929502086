//! Bytes that the operating system has not taken yet.

mod chunk;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;

use bytes::Bytes;

use self::chunk::Chunk;
use super::file::QueuedFile;
use crate::driver::SplicePipe;
use crate::transport::Progress;

/// What was written to one connection and not yet sent, in order.
///
/// Small copies share a chunk; `Bytes` are kept as they are. An empty queue holds no memory, any
/// other at most one and a half times its length and a few KiB. (`Bytes` count as their length:
/// nobody can ask what buffer they keep alive.) No operation looks at more than a
/// bounded number of chunks, clearing excepted.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    /// In a box: most connections have nothing queued at any time, and many never.
    chunks: Option<Box<Chunks>>,
    /// Bytes over all chunks, so that asking for the size costs nothing.
    len: usize,
    /// How many chunks were looked at.
    #[cfg(test)]
    looked_at: std::cell::Cell<usize>,
}

#[derive(Debug, Default)]
struct Chunks {
    list: VecDeque<Chunk>,
    /// How many are more than bytes.
    special: usize,
    /// How many descriptors they carry.
    descriptors: usize,
    /// How many chunks have left the front: a chunk's number, less this, is its position.
    first_number: u64,
    /// How many places of cancelled files there are.
    gone: usize,
}

/// What is at the front of a queue with more than bytes in it.
pub(in crate::transport::stream) enum Front<'a> {
    Bytes {
        /// Whether a file follows soon.
        before_file: bool,
    },
    File(&'a mut QueuedFile),
    Carrying(&'a [u8], &'a [OwnedFd]),
    Piped,
}

/// What a file counts as, however long it is: nothing of it is in memory, but there must be an end
/// to how many can wait.
pub(in crate::transport::stream) const FILE_WEIGHT: usize = 4 * 1024;

/// `Bytes` shorter than this are copied: a chunk of their own costs more than the copy.
const SHARE_FROM: usize = 512;

/// What the first chunk of an empty queue has room for at least, so that a few small writes are one
/// allocation.
const FIRST_CHUNK: usize = 512;

/// How many chunks ahead a file is looked for: about what one system call sends.
const LOOK_AHEAD: usize = 16;

/// A list of chunks with room for no more than this is left as it is.
const SMALL_LIST: usize = 16;

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
        let list = &mut self.chunks.get_or_insert_default().list;
        let (mut rest, room) = match list.back_mut() {
            Some(last @ Chunk::Copied { .. }) => (last.append(data), self.len / 32),
            Some(_) => (data, 0),
            None => (data, FIRST_CHUNK),
        };
        while !rest.is_empty() {
            let chunk;
            (chunk, rest) = Chunk::copied(rest, room);
            list.push_back(chunk);
        }
    }

    /// Takes a reference, so that the caller's `Bytes` is dropped when the queue is not borrowed.
    pub(crate) fn push_bytes(&mut self, data: &Bytes) {
        if data.len() < SHARE_FROM {
            self.push_copy(data);
        } else {
            self.len += data.len();
            self.chunks.get_or_insert_default().push(Chunk::shared(data.clone()));
        }
    }

    pub(in crate::transport::stream) fn push_file(&mut self, file: QueuedFile) {
        self.len += FILE_WEIGHT;
        let chunks = self.chunks.get_or_insert_default();
        file.progress().number.set(chunks.first_number + chunks.list.len() as u64);
        chunks.special += 1;
        chunks.push(Chunk::File(Box::new(file)));
    }

    pub(in crate::transport::stream) fn push_carrying(
        &mut self,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) {
        self.len += data.len();
        let chunks = self.chunks.get_or_insert_default();
        chunks.special += 1;
        chunks.descriptors += descriptors.len();
        chunks.push(Chunk::Carrying(Box::new((data.to_vec(), descriptors))));
    }

    /// What was spliced from another socket comes next.
    pub(in crate::transport::stream) fn push_pipe(&mut self, pipe: SplicePipe) {
        self.len += pipe.level();
        let chunks = self.chunks.get_or_insert_default();
        chunks.special += 1;
        chunks.push(Chunk::Piped(pipe));
    }

    /// Sends at most `limit` bytes of the pipe at the front. Returns how many it was.
    pub(in crate::transport::stream) fn drain_pipe(
        &mut self,
        to: BorrowedFd<'_>,
        limit: usize,
    ) -> io::Result<usize> {
        let Some(chunks) = &mut self.chunks else { return Ok(0) };
        let Some(Chunk::Piped(pipe)) = chunks.list.front_mut() else { return Ok(0) };
        let sent = pipe.drain(to, limit)?;
        self.len -= sent;
        if pipe.level() == 0 {
            chunks.special -= 1;
            chunks.pop();
            self.give_back_memory();
        }
        Ok(sent)
    }

    /// Takes the bytes out of the pipe at the front, for a socket that cannot be spliced to.
    pub(in crate::transport::stream) fn copy_pipe(&mut self) -> io::Result<()> {
        if let Some(chunks) = &mut self.chunks
            && let Some(chunk) = chunks.list.front_mut()
            && let Chunk::Piped(pipe) = chunk
        {
            let level = pipe.level();
            let data = pipe.take_out()?;
            self.len -= level - data.len();
            chunks.special -= 1;
            if data.is_empty() {
                chunks.pop();
            } else {
                *chunk = Chunk::Copied { data, sent: 0 };
            }
            self.give_back_memory();
        }
        Ok(())
    }

    /// Fills `slices` with as many chunks of bytes from the front as there is room for, no more than
    /// `limit` bytes. Returns how many they are.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>], mut limit: usize) -> usize {
        let mut count = 0;
        let chunks = self.chunks.iter().flat_map(|chunks| chunks.list.iter());
        for chunk in chunks.take(slices.len()) {
            self.note_look();
            let bytes = match chunk.bytes() {
                Some(bytes) if limit > 0 => bytes,
                None if matches!(chunk, Chunk::Gone) => continue,
                _ => break,
            };
            let part = bytes.len().min(limit);
            slices[count] = IoSlice::new(&bytes[..part]);
            limit -= part;
            count += 1;
        }
        count
    }

    /// Whether there is more in it than bytes.
    pub(in crate::transport::stream) fn is_mixed(&self) -> bool {
        self.chunks.as_ref().is_some_and(|chunks| chunks.special > 0)
    }

    /// How many descriptors wait in it.
    pub(in crate::transport::stream) fn descriptors(&self) -> usize {
        self.chunks.as_ref().map_or(0, |chunks| chunks.descriptors)
    }

    /// What comes next; `None`: nothing.
    pub(in crate::transport::stream) fn front(&mut self) -> Option<Front<'_>> {
        let chunks = self.chunks.as_ref()?;
        if chunks.list.front().is_some_and(|chunk| chunk.bytes().is_some()) {
            let next = chunks.list.iter().take(LOOK_AHEAD + 1).find(|chunk| {
                self.note_look();
                chunk.bytes().is_none() && !matches!(chunk, Chunk::Gone)
            });
            return Some(Front::Bytes { before_file: matches!(next, Some(Chunk::File(_))) });
        }
        match self.chunks.as_mut()?.list.front_mut()? {
            Chunk::File(file) => Some(Front::File(file)),
            Chunk::Carrying(carrying) => Some(Front::Carrying(&carrying.0, &carrying.1)),
            Chunk::Piped(_) => Some(Front::Piped),
            Chunk::Shared { .. } | Chunk::Copied { .. } | Chunk::Gone => None,
        }
    }

    /// Takes out the file at the front.
    pub(in crate::transport::stream) fn take_front_file(&mut self) -> Option<Box<QueuedFile>> {
        let chunks = self.chunks.as_mut()?;
        if !matches!(chunks.list.front(), Some(Chunk::File(_))) {
            return None;
        }
        let Some(Chunk::File(file)) = chunks.pop() else { return None };
        chunks.special -= 1;
        self.len -= FILE_WEIGHT;
        self.give_back_memory();
        Some(file)
    }

    /// Takes out the file with this progress, wherever it is.
    pub(in crate::transport::stream) fn take_file(
        &mut self,
        progress: &Rc<Progress>,
    ) -> Option<Box<QueuedFile>> {
        let chunks = self.chunks.as_mut()?;
        let position = progress.number.get().checked_sub(chunks.first_number)?;
        let position = usize::try_from(position).ok()?;
        let place = chunks.list.get_mut(position)?;
        if !matches!(place, Chunk::File(file) if Rc::ptr_eq(file.progress(), progress)) {
            return None;
        }
        let Chunk::File(file) = std::mem::replace(place, Chunk::Gone) else { return None };
        chunks.special -= 1;
        chunks.gone += 1;
        chunks.forget_gone();
        self.len -= FILE_WEIGHT;
        self.give_back_memory();
        Some(file)
    }

    /// The first `count` bytes of the chunk at the front are sent, and with them what it carried.
    pub(in crate::transport::stream) fn carried(&mut self, count: usize) -> Vec<OwnedFd> {
        let Some(chunks) = &mut self.chunks else { return Vec::new() };
        let Some(Chunk::Carrying(carrying)) = chunks.list.front_mut() else { return Vec::new() };
        let data = std::mem::take(&mut carrying.0);
        let descriptors = std::mem::take(&mut carrying.1);
        chunks.special -= 1;
        chunks.descriptors -= descriptors.len();
        self.len -= count;
        if count < data.len() {
            chunks.list[0] = Chunk::Copied { data, sent: 0 };
            chunks.list[0].advance(count);
        } else {
            chunks.pop();
        }
        self.give_back_memory();
        descriptors
    }

    /// Empties the queue. As with [`advance`](Self::advance), what is the user's is handed back.
    pub(in crate::transport::stream) fn clear(
        &mut self,
        drops: &mut Vec<Bytes>,
    ) -> Vec<QueuedFile> {
        self.len = 0;
        let mut files = Vec::new();
        for chunk in self.chunks.take().into_iter().flat_map(|chunks| chunks.list) {
            match chunk {
                Chunk::Shared { bytes, .. } => drops.push(bytes),
                Chunk::File(file) => files.push(*file),
                Chunk::Copied { .. } | Chunk::Carrying(_) | Chunk::Piped(_) | Chunk::Gone => {}
            }
        }
        files
    }

    /// What is held follows a length that became less.
    fn give_back_memory(&mut self) {
        match self.chunks.as_mut().map(|chunks| chunks.list.back_mut()) {
            Some(Some(last)) => last.limit_room(FIRST_CHUNK.max(self.len / 16)),
            Some(None) => self.chunks = None,
            None => {}
        }
    }

    /// Drops `count` bytes from the front: they are sent.
    ///
    /// They are all bytes: not those of a file, nor those that carry descriptors.
    ///
    /// What it drops of the user's (`Bytes` can run code when dropped) goes to `drops` once it is
    /// done, to be dropped when the queue is no longer borrowed.
    pub(crate) fn advance(&mut self, mut count: usize, drops: &mut Vec<Bytes>) {
        debug_assert!(count <= self.len);
        self.len -= count;
        while count > 0 {
            self.note_look();
            let Some(chunks) = &mut self.chunks else { return };
            let Some(front) = chunks.list.front_mut() else { break };
            let Some(len) = front.bytes().map(<[u8]>::len) else { break };
            if count < len {
                drops.extend(front.advance(count));
                break;
            }
            count -= len;
            if let Some(Chunk::Shared { bytes, .. }) = chunks.pop() {
                drops.push(bytes);
            }
        }
        self.give_back_memory();
    }

    fn note_look(&self) {
        #[cfg(test)]
        self.looked_at.set(self.looked_at.get() + 1);
    }
}

impl Chunks {
    /// Appends a chunk that no copies are added to.
    fn push(&mut self, chunk: Chunk) {
        if let Some(last) = self.list.back_mut() {
            last.limit_room(0);
        }
        self.list.push_back(chunk);
    }

    /// Takes the first chunk, and gives back room that a longer list needed.
    fn pop(&mut self) -> Option<Chunk> {
        let chunk = self.pop_one();
        while let Some(Chunk::Gone) = self.list.front() {
            self.pop_one();
            self.gone -= 1;
        }
        let (len, capacity) = (self.list.len(), self.list.capacity());
        if capacity > SMALL_LIST && len < capacity / 8 * 3 {
            self.list.shrink_to(len + len / 4);
        }
        chunk
    }

    fn pop_one(&mut self) -> Option<Chunk> {
        let chunk = self.list.pop_front();
        self.first_number += u64::from(chunk.is_some());
        chunk
    }

    /// Removes the places of cancelled files at both ends, and all of them once they are most of the
    /// list.
    fn forget_gone(&mut self) {
        while let Some(Chunk::Gone) = self.list.back() {
            self.list.pop_back();
            self.gone -= 1;
        }
        if let Some(Chunk::Gone) = self.list.front() {
            self.gone -= 1;
            self.pop();
        }
        if self.gone > SMALL_LIST && self.gone > self.list.len() / 2 {
            self.list.retain(|chunk| !matches!(chunk, Chunk::Gone));
            self.list.shrink_to_fit();
            self.gone = 0;
            for (position, chunk) in self.list.iter().enumerate() {
                if let Chunk::File(file) = chunk {
                    file.progress().number.set(self.first_number + position as u64);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
