//! What tasks write is kept.

use std::rc::Rc;

use wharf_protocols::nats::NatsError;

use super::NatsWorker;
use super::held::Held;
use crate::nats::output::length;
use crate::task::Progress;
use crate::wire::{OutputPart, Written};

impl NatsWorker {
    /// A task has written more, and waits until that is kept before it writes much more, or ends.
    pub(super) fn wrote(self: &Rc<Self>, written: &Written) {
        let fence = written.fence;
        let held = self.held.borrow().values().find(|held| held.fence() == Some(fence)).cloned();
        let Some(held) = held else { return self.runner.kept(fence, false) };
        if let Some(progress) = written.progress {
            self.tell_progress(&held, progress);
        }
        if written.pieces.is_empty() {
            return self.runner.kept(fence, true);
        }
        let (worker, written) = (Rc::clone(self), written.clone());
        self.spawn(async move {
            let kept = worker.keep_output(&held, written).await;
            if let Err(error) = &kept
                && !matches!(error, NatsError::Closed)
            {
                eprintln!("{}: what it writes is not kept: {error}", held.task().id);
            }
            worker.runner.kept(fence, kept.is_ok());
        });
    }

    async fn keep_output(&self, held: &Held, written: Written) -> Result<(), NatsError> {
        let (records, keep) = self.session.records().await?;
        let (record, attempt) = (held.task().record(), held.attempt());
        let before = match held.written_before() {
            Some(before) => before,
            None if attempt <= 1 => 0,
            None => {
                let end = records.output_end(&record.id).await?;
                end.map_or(0, |part| part.offset.saturating_add(length(&part)))
            }
        };
        held.set_written_before(before);
        let offset = before.saturating_add(written.offset);
        let part = OutputPart { offset, attempt, pieces: written.pieces };
        records.keep_output(&record, &part, (self.session.options.replicas, keep)).await
    }

    /// It is not kept: who follows the task hears it, or nobody.
    fn tell_progress(&self, held: &Held, progress: Progress) {
        let subject = self.session.names.progress(&held.task().id);
        let json = serde_json::to_vec(&progress).unwrap_or_default();
        let _ = self.session.connection.publish(&subject, json);
    }
}
