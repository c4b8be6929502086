//! A redb database that is opened again after a failure.

use std::any::Any;
use std::cell::Cell;
use std::fmt::{self, Display};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{PoisonError, RwLock};

use redb::{
    CommitError, Database, DatabaseError, StorageBackend as _, StorageError, TableError,
    TransactionError,
};

use super::StoreError;
use super::medium::{Medium, SharedMedium};

/// What redb keeps of a store in memory, in bytes; a tenth of it is for what is being written.
const CACHE: usize = 128 * 1024 * 1024;

/// A database that a reader and a writer share.
///
/// After an error of the disk redb does nothing more with a database, so it is opened again, and has what was committed;
/// its file stays locked meanwhile. A panic of redb, which a damaged file can cause, is an error, and its end.
pub(super) struct SharedDatabase {
    backend: SharedMedium,
    state: RwLock<State>,
}

struct State {
    database: Result<Database, StoreError>,
    /// How often it was opened: of several who see it fail, one opens it again.
    opened: u64,
    /// Why it is not opened again.
    lost: Option<StoreError>,
}

impl SharedDatabase {
    /// Opens or makes what is in `backend`, and verifies its checksums.
    pub(super) fn open(backend: impl Medium) -> Result<Self, StoreError> {
        let backend = SharedMedium::new(backend);
        let database = contained(|| open(&backend))??;
        let state = State { database: Ok(database), opened: 1, lost: None };
        Ok(Self { backend, state: RwLock::new(state) })
    }

    /// Reads. It is tried twice, since a write that has failed is in the way of reads, too.
    pub(super) fn read<R>(
        &self,
        act: impl Fn(&Database) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.read_opened(|database, _| act(database))
    }

    /// Reads, and is told how often the database was opened: what is kept of a former time is void.
    pub(super) fn read_opened<R>(
        &self,
        act: impl Fn(&Database, u64) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        self.attempt(&act).or_else(|(opened, _)| {
            self.open_again(opened)?;
            self.attempt(&act).map_err(|(_, error)| error)
        })
    }

    /// Writes. If that fails, the database is as it was; nobody knows whether it is, if it cannot be opened again.
    pub(super) fn write<R>(
        &self,
        act: impl Fn(&Database) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        if let Some(opened) = self.is_closed() {
            self.open_again(opened)?;
        }
        self.attempt(|database, _| act(database)).map_err(|(opened, error)| {
            // Whoever is next to read or write hears of it.
            let _ = self.open_again(opened);
            error
        })
    }

    fn attempt<R>(
        &self,
        act: impl Fn(&Database, u64) -> Result<R, StoreError>,
    ) -> Result<R, (u64, StoreError)> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let opened = state.opened;
        let database = state.database.as_ref().map_err(|error| (opened, error.clone()))?;
        match contained(|| act(database, opened)) {
            Ok(outcome) => outcome.map_err(|error| (opened, error)),
            Err(panic) => {
                drop(state);
                let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                state.lost.get_or_insert(panic.clone());
                Err((opened, panic))
            }
        }
    }

    fn is_closed(&self) -> Option<u64> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.database.is_err().then_some(state.opened)
    }

    /// Opens the database again, unless somebody has since it was opened for this time.
    fn open_again(&self, opened: u64) -> Result<(), StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lost) = &state.lost {
            let lost = lost.clone();
            if let Ok(database) = std::mem::replace(&mut state.database, Err(lost.clone())) {
                // Its locks are poisoned: to drop it would be the next panic.
                std::mem::forget(database);
            }
            return Err(lost);
        }
        if state.opened != opened {
            return Ok(());
        }
        state.opened += 1;
        let closed = StoreError("it is closed".into());
        let former = std::mem::replace(&mut state.database, Err(closed));
        let outcome = contained(|| {
            drop(former);
            open(&self.backend)
        });
        if let Err(panic) = &outcome {
            state.lost = Some(panic.clone());
        }
        let outcome = outcome.and_then(|opened| opened);
        let answer = outcome.as_ref().map(drop).map_err(StoreError::clone);
        state.database = outcome;
        answer
    }
}

impl fmt::Debug for SharedDatabase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedDatabase").finish_non_exhaustive()
    }
}

macro_rules! is_failure {
    ($($error:ty),+) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                failed(error)
            }
        })+
    };
}

is_failure!(io::Error, CommitError, DatabaseError, StorageError, TableError, TransactionError);

/// Opens a database whose checksums are right.
fn open(backend: &SharedMedium) -> Result<Database, StoreError> {
    backend.make_good()?;
    let is_verified = Rc::new(Cell::new(backend.len()? == 0));
    let repairs = Rc::clone(&is_verified);
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    // One that was not closed in order is verified in any case.
    builder.set_repair_callback(move |_| repairs.set(true));
    let mut database = builder.create_with_backend(backend.clone())?;
    if !is_verified.get() {
        database.check_integrity()?;
    }
    Ok(database)
}

/// A panic of foreign code is an error.
pub(super) fn contained<R>(act: impl FnOnce() -> R) -> Result<R, StoreError> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let text = text_of(&*panic).unwrap_or("for no reason");
        StoreError(format!("it is damaged: redb has panicked: {text}").into())
    })
}

pub(super) fn failed(error: impl Display) -> StoreError {
    StoreError(error.to_string().into())
}

fn text_of(panic: &(dyn Any + Send)) -> Option<&str> {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(|text| &**text))
}
