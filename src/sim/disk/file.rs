use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use super::handle::lock;
use super::state::{Opened, State};

/// A file on a [`Disk`](super::Disk), which a program has opened. It may be used on any thread. Clones are the same file.
///
/// Once its host was crashed or killed, all calls fail: the program that has opened it is gone. So what it does when it is
/// dropped changes nothing.
#[derive(Clone)]
pub struct DiskFile {
    disk: Arc<Mutex<State>>,
    opened: Opened,
}

impl DiskFile {
    pub(super) fn new(disk: Arc<Mutex<State>>, opened: Opened) -> Self {
        Self { disk, opened }
    }

    /// Reads what is at `offset`, and returns how much that is: less than asked for at the end of the file, 0 behind it.
    ///
    /// # Errors
    /// The disk fails, or the program has ended.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = lock(&self.disk);
        let seen = disk.file(&self.opened)?.seen();
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(seen.len());
        let length = buffer.len().min(seen.len() - begin);
        buffer[..length].copy_from_slice(&seen[begin..begin + length]);
        Ok(length)
    }

    /// Reads as much as `buffer` takes.
    ///
    /// # Errors
    /// The file ends before ([`UnexpectedEof`](io::ErrorKind::UnexpectedEof)), the disk fails, or the program has ended.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.read_at(buffer, offset)? < buffer.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Writes at `offset`, and returns how much was written: less than `data` on a disk that becomes full. The file is
    /// made longer if need be. It is durable when it was [synced](Self::sync), and may be before.
    ///
    /// # Errors
    /// The disk is [full](io::ErrorKind::StorageFull) or fails, the file would be longer than 4 GiB, or the program has
    /// ended.
    pub fn write_at(&self, data: &[u8], offset: u64) -> io::Result<usize> {
        lock(&self.disk).write(&self.opened, offset, data)
    }

    /// Writes all of `data`.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at), and part of it may be written.
    pub fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let mut written = 0;
        while written < data.len() {
            written += self.write_at(&data[written..], offset + written as u64)?;
        }
        Ok(())
    }

    /// Cuts the file, or makes it longer, with zeros that take no space.
    ///
    /// # Errors
    /// The disk fails, `length` is more than 4 GiB, or the program has ended.
    pub fn set_len(&self, length: u64) -> io::Result<()> {
        lock(&self.disk).set_length(&self.opened, length)
    }

    /// How long it is, in bytes.
    ///
    /// # Errors
    /// The disk fails, or the program has ended.
    pub fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.disk).file(&self.opened)?.seen().len() as u64)
    }

    /// Whether there is nothing in it.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes durable what was written, its length, and that it is there: under the name that it was made with. A name
    /// that it was given later is durable with a [sync of the disk](super::Disk::sync).
    ///
    /// # Errors
    /// The disk or the power of the machine fails, or the program has ended. Nobody knows then what is durable.
    pub fn sync(&self) -> io::Result<()> {
        lock(&self.disk).sync(&self.opened)
    }
}

impl fmt::Debug for DiskFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DiskFile").field("name", &self.opened.name).finish_non_exhaustive()
    }
}
