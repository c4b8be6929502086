//! What tasks write while they run.

use super::workers::WorkerKey;
use super::{Coordinator, Effect};
use crate::store::{Key, Store, StoreError};
use crate::task::{Piece, Progress};

/// The most that an attempt may say it has written, in bytes: far more than one can write, and little enough for what all
/// attempts have written together to be a number.
const MOST_WRITTEN: u64 = 1 << 48;

impl<S: Store> Coordinator<S> {
    /// A task has written more, at an offset of this assignment's output; what it says again changes nothing. Returns the
    /// batch that has it; `None`: it is not that worker's any more, or an offset that none can be, and nothing is kept. The worker is told when the batch
    /// is durable, and says it again until then.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn wrote(
        &mut self,
        worker: WorkerKey,
        fence: u64,
        offset: u64,
        pieces: &[Piece],
        progress: Option<Progress>,
    ) -> Result<Option<u64>, StoreError> {
        let is_its = |running: &&mut super::Running| running.worker == Some(worker);
        let Some(running) = self.running.get_mut(&fence).filter(is_its) else { return Ok(None) };
        if offset > MOST_WRITTEN {
            return Ok(None);
        }
        running.progress = progress.or(running.progress);
        let (key, attempt) = (running.key, running.attempt);
        let mut batch = 0;
        if !pieces.is_empty() {
            let most = self.settings.most_output;
            batch = self.journal.append_output(key, attempt, offset, pieces, most)?;
        }
        self.effects.push_back(Effect::Wrote { key, batch });
        Ok(Some(batch))
    }

    /// How far an assignment is, if that was said. It is not kept in the store.
    pub fn progress(&self, fence: u64) -> Option<Progress> {
        self.running.get(&fence)?.progress
    }

    /// Whether all that a task has written so far is in the store.
    pub fn has_all_output(&self, key: Key) -> bool {
        self.journal.has_all_output(key)
    }
}
