use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fault::DiskFault;
use super::file::DiskFile;
use super::state::{OnPowerFailure, State};

/// What a [`Host`](super::super::Host) stores: files that are there when its programs begin anew.
///
/// - A program that is [killed](super::super::Host::kill) loses nothing of what it has written.
/// - A machine that [crashes](super::super::Host::crash) loses what was not [synced](DiskFile::sync): all of it, nothing,
///   or any part. Of each 512 bytes on the disk any of the writes that came since the last sync may be the last that is
///   there, whatever came before or after elsewhere; some are torn at any byte. A file that was never synced may be gone,
///   and a new length may be the former one. Names that were [given](Self::rename) or [taken](Self::remove) since they were
///   [synced](Self::sync) may be the former ones.
/// - [Faults](DiskFault) make it full, let calls or syncs fail, or the power in the middle of a sync.
///
/// What is lost follows from the seed, and from the places that were written since the last sync: not from the order in
/// which they were, which may be that of a `HashMap`. Calls take no time. Clones are the same disk, on any thread.
///
/// ```
/// use wharf::sim::Simulation;
///
/// # fn main() -> wharf::Result {
/// let simulation = Simulation::new(7);
/// let host = simulation.host("server");
/// let disk = host.disk();
/// host.serve(async move |_| {
///     let file = disk.open("log")?;
///     file.write_all_at(b"kept", 0)?;
///     file.sync()?;
///     file.write_all_at(b"lost, torn, or kept", 4)?;
///     std::future::pending().await
/// });
/// simulation.run_for(std::time::Duration::from_secs(1))?;
/// host.crash();
/// assert!(host.disk().contents("log").unwrap().starts_with(b"kept"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

impl Disk {
    pub(in crate::sim) fn new(seed: u64, on_power_failure: OnPowerFailure) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed, on_power_failure))) }
    }

    /// Opens a file, or makes it. Names are any text: there are no directories. It is used by the programs that run on the
    /// host now, until they are killed or the host crashes.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(&self, name: &str) -> io::Result<DiskFile> {
        let opened = lock(&self.state).open(name)?;
        Ok(DiskFile::new(Arc::clone(&self.state), opened))
    }

    /// Gives a file another name. A file that had that is replaced, at once for all who look: it is the one or the other.
    /// Who has opened either goes on with it.
    ///
    /// It is durable when names were [synced](Self::sync), and may be before. Of several such changes the first are left
    /// after a crash, as on a file system with a journal; whether what is in a file is there is another matter.
    ///
    /// # Errors
    /// There is no such file ([`NotFound`](io::ErrorKind::NotFound)), the disk fails, or the host is off.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        lock(&self.state).rename(from, to)
    }

    /// Removes a file. Who has opened it goes on with it. Durable as [`rename`](Self::rename).
    ///
    /// # Errors
    /// As [`rename`](Self::rename).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.state).remove(name)
    }

    /// Makes durable which files there are, with which names: as the sync of a directory. Not what is in them.
    ///
    /// # Errors
    /// The disk or the power of the machine fails, or the host is off. Nobody knows then what is durable.
    pub fn sync(&self) -> io::Result<()> {
        lock(&self.state).sync_names()
    }

    /// The names of its files, in order.
    pub fn names(&self) -> Vec<String> {
        lock(&self.state).names()
    }

    /// What a program would read of a file now, if its disk works; `None`: there is no such file.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        Some(lock(&self.state).content(name)?.seen().to_vec())
    }

    /// How much space is used, in bytes: 4 KiB for each block of a file that was written.
    pub fn used(&self) -> u64 {
        lock(&self.state).space()
    }

    /// How much space there is, in bytes; any amount unless set.
    pub fn set_capacity(&self, bytes: impl Into<Option<u64>>) {
        lock(&self.state).set_capacity(bytes.into());
    }

    pub(in crate::sim) fn set(&self, fault: DiskFault) {
        lock(&self.state).set(fault);
    }

    /// Whether its machine's power has not failed in the middle of something.
    pub(in crate::sim) fn has_power(&self) -> bool {
        lock(&self.state).has_power()
    }

    pub(in crate::sim) fn begin_run(&self) {
        lock(&self.state).begin_run();
    }

    pub(in crate::sim) fn end_run(&self, is_crash: bool) {
        lock(&self.state).end_run(is_crash);
    }
}

/// A panic elsewhere leaves files as they were written until then.
pub(super) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Disk").field("names", &self.names()).finish_non_exhaustive()
    }
}
