//! What a store is in, and what is done after a sync has failed.
//!
//! After a failed `fsync` a system counts what it could not write as written: it shows it as long as it is in its cache, says
//! nothing of it at the next `fsync`, and does not have it after a loss of power. Whoever opens the store in between must
//! not build on what is shown before it is written again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;
use redb::backends::{FileBackend, InMemoryBackend};

use super::StoreError;
use super::database::failed;

/// What a store is in.
pub trait Medium: StorageBackend {
    /// Notes that it may show what was not written, or does not any more: for other processes, and as long as this may be
    /// so, which is until the machine is off.
    ///
    /// # Errors
    /// That cannot be noted.
    fn set_suspect(&self, _on: bool) -> io::Result<()> {
        Ok(())
    }

    /// Whether that was noted.
    fn is_suspect(&self) -> bool {
        false
    }
}

impl Medium for InMemoryBackend {}

/// A file. That a sync has failed is noted by another, whose name has `.unsynced` at its end.
#[derive(Debug)]
pub(super) struct FileMedium {
    backend: FileBackend,
    note: PathBuf,
}

impl FileMedium {
    /// Opens or makes a file that no other process has.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let backend = FileBackend::new(file.map_err(failed)?).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => {
                StoreError(format!("{} is in use by another process", path.display()).into())
            }
            error => failed(error),
        })?;
        let mut note = path.as_os_str().to_owned();
        note.push(".unsynced");
        Ok(Self { backend, note: note.into() })
    }
}

impl Medium for FileMedium {
    fn set_suspect(&self, on: bool) -> io::Result<()> {
        match on {
            true => File::create(&self.note).map(drop),
            false => fs::remove_file(&self.note),
        }
    }

    fn is_suspect(&self) -> bool {
        self.note.exists()
    }
}

impl StorageBackend for FileMedium {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.backend.read(offset, length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.backend.set_len(length)
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        self.backend.sync_data(eventual)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }
}

/// One that outlives a database, with its lock.
#[derive(Clone, Debug)]
pub(super) struct SharedMedium {
    medium: Arc<dyn Medium>,
    /// Also when that could not be noted.
    is_suspect: Arc<AtomicBool>,
}

impl SharedMedium {
    pub(super) fn new(medium: impl Medium) -> Self {
        let is_suspect = Arc::new(AtomicBool::new(medium.is_suspect()));
        Self { medium: Arc::new(medium), is_suspect }
    }

    /// Writes again what it shows, if that may not be there: then it is.
    pub(super) fn make_good(&self) -> io::Result<()> {
        if !self.is_suspect.load(Ordering::Acquire) {
            return Ok(());
        }
        let length = self.medium.len()?;
        for offset in (0..length).step_by(PART) {
            let part = self.medium.read(offset, PART.min((length - offset) as usize))?;
            // What was never written takes no space.
            if part.iter().any(|byte| *byte != 0) {
                self.medium.write(offset, &part)?;
            }
        }
        self.medium.set_len(length)?;
        self.medium.sync_data(false)?;
        self.medium.set_suspect(false)?;
        self.is_suspect.store(false, Ordering::Release);
        Ok(())
    }
}

/// How much is read and written at once.
const PART: usize = 64 * 1024;

impl StorageBackend for SharedMedium {
    fn len(&self) -> io::Result<u64> {
        self.medium.len()
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.medium.read(offset, length)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.medium.set_len(length)
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        self.medium.sync_data(eventual).inspect_err(|_| {
            self.is_suspect.store(true, Ordering::Release);
            // If it cannot be noted, this process knows it all the same.
            let _ = self.medium.set_suspect(true);
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.medium.write(offset, data)
    }
}
