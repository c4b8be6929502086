//! Tasks, as a list.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::future::try_join_all;
use wharf_protocols::nats::NatsError;

use super::NatsClient;
use super::waiting::IN_STREAM;
use crate::coordinator::{Filter, Page, TaskView};
use crate::nats::records::Records;
use crate::store::Key;
use crate::task::{Phase, Record, TaskId};
use crate::wire::{Answer, AskedList};

/// How many tasks a page has at most: it is not sent anywhere, and each reads all records.
const MOST: usize = 5_000;

impl NatsClient {
    /// Tasks that fit: those in the stream without a record, which nobody has had yet, the newest first; then those whose
    /// records fit, in the order in which these were changed last. All records are read, unless there was an overview: from
    /// then on it is known which fit, and those are read.
    pub(super) async fn list(&self, asked: AskedList) -> Result<Answer, NatsError> {
        let is_failed = asked.filter == Filter { state: Some(Phase::Failed), kind: None };
        // Who has had an overview has these at hand.
        if is_failed
            && asked.before.is_none()
            && let Some(page) = self.watching.failed(asked.limit.max(1))
        {
            return Ok(Answer::Listed(page));
        }
        let records = self.records().await?;
        let (before, most) = (asked.before, asked.limit.clamp(1, MOST));
        let mut tasks = Vec::new();
        if before.is_none_or(|before| before > IN_STREAM) {
            let below = before.map(|before| before - IN_STREAM);
            let next;
            (tasks, next) = self.waiting(&records, &asked.filter, below, most).await?;
            if let Some(next) = next.map(|number| IN_STREAM + number) {
                return Ok(Answer::Listed(Page { tasks, next: Some(next) }));
            }
        }
        let limit = most - tasks.len();
        let before = before.filter(|before| *before < IN_STREAM);
        let asked = AskedList { limit, before, ..asked };
        let recorded = match self.watching.listed(&asked.filter, before, limit) {
            Some((found, next)) => Page { tasks: read(&records, found).await?, next },
            None => read_all(&records, asked).await?,
        };
        // What a worker has taken meanwhile is there twice.
        let waiting: HashSet<_> = tasks.iter().map(|task| task.id.clone()).collect();
        tasks.extend(recorded.tasks.into_iter().filter(|task| !waiting.contains(&task.id)));
        Ok(Answer::Listed(Page { tasks, next: recorded.next }))
    }
}

/// The records that still are what they were.
async fn read(records: &Records, found: Vec<(TaskId, u64)>) -> Result<Vec<TaskView>, NatsError> {
    let reading = found.into_iter().map(async |(id, revision)| {
        let record = records.read(&id).await?.filter(|(_, now)| *now == revision);
        Ok::<_, NatsError>(record.map(|(record, _)| TaskView::new(Key(revision), &record)))
    });
    Ok(try_join_all(reading).await?.into_iter().flatten().collect())
}

async fn read_all(records: &Records, asked: AskedList) -> Result<Page, NatsError> {
    let mut newest = Newest::new(asked);
    records.each(|record, revision| newest.see(&record, revision)).await?;
    Ok(newest.page())
}

/// The newest of those that are seen, and fit.
struct Newest {
    asked: AskedList,
    most: usize,
    /// By their revisions.
    tasks: BTreeMap<u64, TaskView>,
    /// The revisions of these.
    revisions: HashMap<TaskId, u64>,
    /// There are older ones.
    has_more: bool,
}

impl Newest {
    fn new(asked: AskedList) -> Self {
        let most = asked.limit.clamp(1, MOST);
        Self { asked, most, tasks: BTreeMap::new(), revisions: HashMap::new(), has_more: false }
    }

    /// They come in the order of their revisions. A record that is changed meanwhile comes again.
    fn see(&mut self, record: &Record, revision: u64) {
        if let Some(former) = self.revisions.remove(&record.id) {
            self.tasks.remove(&former);
        }
        let filter = &self.asked.filter;
        let fits = filter.state.is_none_or(|state| state == Phase::from(&record.state))
            && filter.kind.as_ref().is_none_or(|kind| *kind == record.spec.kind)
            && self.asked.before.is_none_or(|before| revision < before);
        if !fits {
            return;
        }
        self.revisions.insert(record.id.clone(), revision);
        self.tasks.insert(revision, TaskView::new(Key(revision), record));
        if self.tasks.len() > self.most
            && let Some((_, oldest)) = self.tasks.pop_first()
        {
            self.revisions.remove(&oldest.id);
            self.has_more = true;
        }
    }

    fn page(self) -> Page {
        let next = self.tasks.first_key_value().map(|(revision, _)| *revision);
        let next = next.filter(|_| self.has_more);
        Page { tasks: self.tasks.into_values().rev().collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::task::{Kind, Outcome, Spec, State, TaskId, Timestamp};

    fn record(id: &str, outcome: Outcome) -> Record {
        let spec = Spec::new(Kind::new("k").unwrap(), RawValue::NULL.to_owned());
        let mut record = Record::of_shared(TaskId::new(id).unwrap(), spec.into(), Timestamp(1));
        record.state = State::Ended { outcome, at: Timestamp(2) };
        record
    }

    fn ids(page: &Page) -> Vec<&str> {
        page.tasks.iter().map(|task| task.id.as_str()).collect()
    }

    #[test]
    fn a_list_of_records_has_the_newest_first_and_says_what_to_ask_for_next() {
        let page = |before| {
            let filter = Filter { state: Some(Phase::Failed), kind: None };
            let mut newest = Newest::new(AskedList { filter, limit: 2, before });
            for (revision, id) in [(1, "a"), (2, "b"), (4, "c")] {
                newest.see(&record(id, Outcome::Failed), revision);
            }
            newest.see(&record("d", Outcome::Succeeded), 5);
            newest.page()
        };
        let first = page(None);
        assert_eq!((ids(&first), first.next), (vec!["c", "b"], Some(2)));
        let second = page(first.next);
        assert_eq!((ids(&second), second.next), (vec!["a"], None));
    }

    #[test]
    fn a_record_that_changes_while_it_is_listed_is_in_the_list_once_or_not_at_all() {
        let filter = Filter { state: Some(Phase::Failed), kind: None };
        let mut newest = Newest::new(AskedList { filter, limit: 3, before: None });
        for (revision, id, outcome) in [
            (1, "a", Outcome::Failed),
            (2, "b", Outcome::Failed),
            (3, "c", Outcome::Failed),
            (4, "a", Outcome::Failed),
            (5, "b", Outcome::Succeeded),
        ] {
            newest.see(&record(id, outcome), revision);
        }
        let page = newest.page();
        assert_eq!((ids(&page), page.next), (vec!["a", "c"], None));
    }
}
