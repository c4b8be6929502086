//! The coordinator's store on a simulated disk.

use std::io;

use redb::StorageBackend;
use wharf::sim::{Disk, DiskFile};
use wharf_executor::store::{Medium, StoreError};

#[derive(Debug)]
pub(crate) struct SimulatedFile {
    disk: Disk,
    file: DiskFile,
    /// It says that it has synced, and has not.
    lies: bool,
}

impl SimulatedFile {
    pub(crate) fn open(disk: &Disk, lies: bool) -> Result<Self, StoreError> {
        let failed = |error: io::Error| StoreError(error.to_string().into());
        Ok(Self { disk: disk.clone(), file: disk.open(NAME).map_err(failed)?, lies })
    }
}

const NAME: &str = "tasks.redb";
const NOTE: &str = "tasks.redb.unsynced";

impl Medium for SimulatedFile {
    fn set_suspect(&self, on: bool) -> io::Result<()> {
        let note = self.disk.open(NOTE)?;
        if on { note.write_all_at(b"x", 0) } else { note.set_len(0) }
    }

    fn is_suspect(&self) -> bool {
        self.disk.contents(NOTE).is_some_and(|note| !note.is_empty())
    }
}

impl StorageBackend for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; length];
        self.file.read_exact_at(&mut data, offset)?;
        Ok(data)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync_data(&self, _: bool) -> io::Result<()> {
        if self.lies { Ok(()) } else { self.file.sync() }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}
