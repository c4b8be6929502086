//! Tasks in the stream that have no record yet, as a list.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use wharf_protocols::nats::NatsError;

use super::NatsClient;
use crate::coordinator::{Filter, TaskView};
use crate::nats::records::{Records, Stored};
use crate::nats::task::QueuedTask;
use crate::store::Key;
use crate::task::{Phase, Record, TaskId};

/// Keys of tasks in the stream are their numbers there above this; records have revisions, which are less.
pub(super) const IN_STREAM: u64 = 1 << 52;
/// How many numbers are looked at at once, at least.
const LEAST: u64 = 64;
/// The most messages that are read for that, until fewer numbers are looked at.
const MOST_READ: usize = 256;

/// The most messages that one list looks at.
const MOST_LOOKED_AT: usize = 1_000;

impl NatsClient {
    /// No more than `most` tasks that wait and fit, the newest first, whose numbers are below this; and below which number
    /// there may be more. It looks at a bounded part of the stream, however many there are of which few fit.
    pub(super) async fn waiting(
        &self,
        records: &Records,
        filter: &Filter,
        below: Option<u64>,
        most: usize,
    ) -> Result<(Vec<TaskView>, Option<u64>), NatsError> {
        let subject = match (filter.state, &filter.kind) {
            (Some(Phase::Blocked | Phase::Delayed), _) => records.names.all_later(),
            (Some(Phase::Queued), Some(kind)) => records.names.all_of(kind),
            (Some(Phase::Queued), None) => records.names.all_queues(),
            (None, _) => records.names.all(),
            // What has another state has a record.
            _ => return Ok((Vec::new(), None)),
        };
        let stream = records.names.stream();
        let info = async || records.jetstream.stream_info(&stream).await;
        let state = records.patiently(info).await?.state;
        let high = below.map_or(state.last_seq, |below| state.last_seq.min(below - 1));
        let mut windows = Windows::new(state.first_seq.max(1), high);
        let (mut found, mut looked_at) = (Found::default(), 0);
        while let Some((low, high)) = windows.current() {
            if looked_at >= MOST_LOOKED_AT {
                return Ok((found.tasks, Some(high + 1)));
            }
            let Some(stored) = between(records, &subject, low, high).await? else {
                looked_at += MOST_READ;
                windows.had_too_many();
                continue;
            };
            looked_at += stored.len();
            windows.had(stored.len());
            let fits = |record: &Record| {
                filter.state.is_none_or(|state| state == Phase::from(&record.state))
                    && filter.kind.as_ref().is_none_or(|kind| *kind == record.spec.kind)
            };
            let fitting = stored.iter().rev().filter_map(|stored| {
                waiting_record(records, stored).filter(fits).map(|record| (stored.number, record))
            });
            let looking = fitting.map(async |(number, record)| {
                let is_waiting = !has_record(records, &record.id).await?;
                Ok::<_, NatsError>(is_waiting.then_some((number, record)))
            });
            for (number, record) in try_join_all(looking).await?.into_iter().flatten() {
                found.add(number, &record);
                if found.tasks.len() == most {
                    return Ok((found.tasks, Some(number)));
                }
            }
        }
        Ok((found.tasks, None))
    }
}

/// Whether a task in the stream has a record. One that nobody can read is none.
async fn has_record(records: &Records, id: &TaskId) -> Result<bool, NatsError> {
    match records.read(id).await {
        Err(NatsError::Unexpected(_)) => Ok(false),
        read => read.map(|record| record.is_some()),
    }
}

/// What a list has so far: each task once, also one that is on its way from one subject to another.
#[derive(Default)]
struct Found {
    tasks: Vec<TaskView>,
    ids: HashSet<TaskId>,
}

impl Found {
    fn add(&mut self, number: u64, record: &Record) {
        if self.ids.insert(record.id.clone()) {
            self.tasks.push(TaskView::new(Key(IN_STREAM + number), record));
        }
    }
}

/// The messages with these numbers; `None`: there are too many.
async fn between(
    records: &Records,
    subject: &str,
    low: u64,
    high: u64,
) -> Result<Option<Vec<Stored>>, NatsError> {
    let (stream, mut all, mut next) = (records.names.stream(), Vec::new(), low);
    while next <= high {
        let request = serde_json::json!({ "seq": next, "next_by_subj": subject });
        let found = records.patiently(async || records.stored(&stream, &request).await).await?;
        let Some(stored) = found.filter(|stored| stored.number <= high) else { break };
        if all.len() == MOST_READ {
            return Ok(None);
        }
        next = stored.number + 1;
        all.push(stored);
    }
    Ok(Some(all))
}

/// The record of a task in the stream, if it has none of its own; `None`: what is there is no task.
fn waiting_record(records: &Records, stored: &Stored) -> Option<Record> {
    let task: QueuedTask = serde_json::from_slice(&stored.payload).ok()?;
    let is_later = stored.subject == records.names.later(&task.id);
    Some(if is_later { task.later_record() } else { task.record() })
}

/// Which numbers are looked at, from the highest down: many at once where few messages are left.
#[derive(Debug)]
struct Windows {
    first: u64,
    high: u64,
    width: u64,
}

impl Windows {
    fn new(first: u64, high: u64) -> Self {
        Self { first, high, width: LEAST }
    }

    /// These; `None`: there are no more.
    fn current(&self) -> Option<(u64, u64)> {
        let low = self.first.max(self.high.saturating_sub(self.width - 1));
        (self.high >= self.first).then_some((low, self.high))
    }

    /// So many messages had these numbers.
    fn had(&mut self, messages: usize) {
        let Some((low, _)) = self.current() else { return };
        self.high = low - 1;
        if (messages as u64) < LEAST / 2 {
            self.width = self.width.saturating_mul(4);
        }
    }

    /// They are looked at again, fewer at once.
    fn had_too_many(&mut self) {
        self.width = (self.width / 8).max(LEAST);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn few_messages_among_many_numbers_are_found_from_the_highest_down_with_few_looks() {
        // A million that are gone, with some left at the beginning, in the middle, and at the end.
        let left: BTreeSet<u64> =
            [3..=4, 500_000..=501_000, 999_990..=1_000_000].into_iter().flatten().collect();
        let mut windows = Windows::new(3, 1_000_000);
        let (mut found, mut reads) = (Vec::new(), 0);
        while let Some((low, high)) = windows.current() {
            let numbers: Vec<_> = left.range(low..=high).copied().collect();
            reads += numbers.len().min(MOST_READ + 1) + 1;
            if numbers.len() > MOST_READ {
                windows.had_too_many();
                continue;
            }
            windows.had(numbers.len());
            found.extend(numbers.into_iter().rev());
        }
        assert!(found.iter().copied().eq(left.iter().rev().copied()));
        assert!(reads < 4 * left.len(), "{reads}");
        assert_eq!(Windows::new(1, 0).current(), None);
    }
}
