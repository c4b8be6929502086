//! A disk in memory that fails when it is told to.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use crate::store::Medium;

/// What a block is allocated in, and what is torn when the power fails.
const BLOCK: usize = 4096;

/// A disk in memory. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk {
    state: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    /// What reads see.
    cache: Vec<u8>,
    /// What is there when the power has failed.
    durable: Vec<u8>,
    /// Which blocks of the file have been written, and so take space.
    allocated: Vec<bool>,
    /// How many blocks there are; `None`: enough.
    space: Option<usize>,
    /// So many calls are well, and those after that fail.
    fails: Option<(u32, Call)>,
    calls: u32,
}

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Write,
    /// Half of it is written, and then it fails.
    ShortWrite,
    /// And what was to be made durable is lost.
    Sync,
    SetLength,
    Any,
}

impl FaultyDisk {
    /// One that is made of the bytes of another.
    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        let mut state = disk.state.lock().unwrap();
        state.allocated = vec![true; bytes.len().div_ceil(BLOCK)];
        (state.cache, state.durable) = (bytes.clone(), bytes);
        drop(state);
        disk
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().cache.clone()
    }

    /// From now on there is room for so many more blocks; `None`: for any number.
    pub(crate) fn leave(&self, blocks: Option<usize>) {
        let mut disk = self.state.lock().unwrap();
        let used = disk.allocated.iter().filter(|block| **block).count();
        disk.space = blocks.map(|blocks| used + blocks);
    }

    /// After so many calls of this kind all of them fail.
    pub(crate) fn fail_after(&self, calls: u32, call: Call) {
        let mut disk = self.state.lock().unwrap();
        (disk.fails, disk.calls) = (Some((calls, call)), 0);
    }

    /// Nothing fails any more. Returns whether something did.
    pub(crate) fn heal(&self) -> bool {
        let mut disk = self.state.lock().unwrap();
        disk.space = None;
        disk.fails.take().is_some_and(|(calls, _)| disk.calls > calls)
    }

    /// The power fails: what was written since the last sync is kept or lost, block by block.
    pub(crate) fn lose_power(&self, random: &mut fastrand::Rng) -> Self {
        let disk = self.state.lock().unwrap();
        let mut bytes = disk.durable.clone();
        bytes.resize(disk.cache.len(), 0);
        for (kept, written) in bytes.chunks_mut(BLOCK).zip(disk.cache.chunks(BLOCK)) {
            if random.bool() {
                kept.copy_from_slice(written);
            }
        }
        Self::with(bytes)
    }
}

impl Disk {
    fn check(&mut self, call: Call) -> io::Result<()> {
        let Some((calls, fails)) = self.fails else { return Ok(()) };
        if fails == call || fails == Call::Any {
            self.calls += 1;
            if self.calls > calls {
                return Err(io::Error::other("the disk has failed on purpose"));
            }
        }
        Ok(())
    }

    /// Takes space for what is written there.
    fn allocate(&mut self, offset: usize, end: usize) -> io::Result<()> {
        if self.allocated.len() < end.div_ceil(BLOCK) {
            self.allocated.resize(end.div_ceil(BLOCK), false);
        }
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            if self.allocated[block] {
                continue;
            }
            let used = self.allocated.iter().filter(|block| **block).count();
            if self.space.is_some_and(|space| used >= space) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.allocated[block] = true;
        }
        Ok(())
    }
}

impl Medium for FaultyDisk {}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().cache.len() as u64)
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut disk = self.state.lock().unwrap();
        disk.check(Call::Read)?;
        let range = offset as usize..offset as usize + length;
        let found = disk.cache.get(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(found.to_vec())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut disk = self.state.lock().unwrap();
        disk.check(Call::SetLength)?;
        disk.cache.resize(length as usize, 0);
        disk.allocated.truncate((length as usize).div_ceil(BLOCK));
        Ok(())
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        let mut disk = self.state.lock().unwrap();
        let failed = disk.check(Call::Sync);
        let Disk { cache, durable, .. } = &mut *disk;
        if failed.is_err() {
            let length = cache.len();
            cache.clone_from(durable);
            cache.resize(length, 0);
        } else {
            durable.clone_from(cache);
        }
        failed
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.state.lock().unwrap();
        disk.check(Call::Write)?;
        let offset = offset as usize;
        if let Err(error) = disk.check(Call::ShortWrite) {
            let half = &data[..data.len() / 2];
            disk.cache[offset..offset + half.len()].copy_from_slice(half);
            return Err(error);
        }
        let end = offset + data.len();
        if end > disk.cache.len() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        disk.allocate(offset, end)?;
        disk.cache[offset..end].copy_from_slice(data);
        Ok(())
    }
}
