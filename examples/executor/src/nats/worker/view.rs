//! Workers say what they do to whoever asks.

use std::rc::Rc;

use wharf_protocols::nats::{Message, NatsError};

use super::NatsWorker;
use crate::coordinator::{SlotView, WorkerView};
use crate::nats::spans::WANTED;

/// The most kinds, and the most tasks, that one tells of.
const MOST: usize = 100;

impl NatsWorker {
    /// Answers for as long as it is there.
    pub(super) fn answer(self: &Rc<Self>) -> Result<(), NatsError> {
        let weak = Rc::downgrade(self);
        let answer = move |message: Message| {
            let Some(worker) = weak.upgrade() else { return };
            if message.payload() == WANTED {
                worker.tell_spans();
            }
            let json = serde_json::to_vec(&worker.view()).unwrap_or_default();
            // Who hears nothing asks again.
            let _ = worker.session.connection.respond(&message, json);
        };
        let subject = self.session.names.workers();
        self.session.connection.subscription(subject).on_message(answer)?.detach();
        Ok(())
    }

    fn view(&self) -> WorkerView {
        let options = self.runner.options();
        let (held, reports) = (self.held.borrow(), self.reports.borrow());
        let runs = held.values().filter_map(|held| {
            let fence = held.fence().filter(|fence| reports.contains_key(fence))?;
            Some((fence, held))
        });
        let mut runs: Vec<_> = runs.collect();
        runs.sort_by_key(|(fence, _)| *fence);
        let view = |(_, held): &(u64, &Rc<super::Held>)| SlotView {
            slot: held.slot(),
            id: held.task().id.clone(),
            kind: held.task().spec.kind.clone(),
            since: held.since(),
        };
        let slots = options.slots.max(1);
        let is_closed = self.slots.is_closed();
        WorkerView {
            key: self.key,
            name: Rc::clone(&self.name),
            kinds: self.runner.kinds().into_iter().take(MOST).collect(),
            slots,
            capacity: if is_closed { 0 } else { slots + options.prefetch },
            waiting: held.len() - runs.len(),
            running: runs.iter().take(MOST).map(view).collect(),
        }
    }
}
