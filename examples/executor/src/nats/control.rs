//! What all have to know: schedules, and whether nothing new begins. A bucket without an age.

use serde::{Deserialize, Serialize};
use wharf_protocols::nats::NatsError;
use wharf_protocols::nats::jetstream::{Entry, KeyValue, Operation, Update, Watch};

use super::names::schedule_key;
use super::records::{Records, Written, is_unreachable_or_full, json};
use super::setup;
use crate::schedule::{ScheduleName, ScheduleRecord};
use crate::task::Timestamp;

/// The key of whether nothing new begins: `true` or `false`.
const DRAIN: &str = "drain";

/// The bucket. A clone is the same.
#[derive(Clone)]
pub(super) struct Control {
    records: Records,
    bucket: KeyValue,
}

/// A schedule as it is kept, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptSchedule {
    pub(super) record: ScheduleRecord,
    /// A task of it that is being submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<Claim>,
}

/// Who submits a task of a schedule. Another does it if nothing comes of that.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Claim {
    /// Which: its id is made of this.
    pub(super) time: Timestamp,
    /// By whom: no two claims are equal.
    pub(super) by: Box<str>,
}

/// What a change of the bucket says.
#[derive(Debug)]
pub(super) enum Said {
    /// Whether nothing new begins.
    Drain(bool),
    Schedule(Box<KeptSchedule>),
    /// The key of a schedule that is not there any more.
    Removed,
    /// What is under the key of a schedule is none that is known here, and why: of a program to come, perhaps.
    NotUnderstood(Box<str>),
}

impl Control {
    pub(super) fn new(records: &Records) -> Self {
        Self { records: records.clone(), bucket: records.control.clone() }
    }

    /// Makes the bucket unless it is there: somebody has deleted it.
    pub(super) async fn make(&self, replicas: usize) -> Result<(), NatsError> {
        let Records { jetstream, names, .. } = &self.records;
        setup::control(jetstream, names, replicas).await.map(drop)
    }

    /// A schedule, and the revision that a change of it expects, also if there is none.
    pub(super) async fn schedule(
        &self,
        name: &ScheduleName,
    ) -> Result<(Option<KeptSchedule>, u64), NatsError> {
        let key = schedule_key(name);
        let Some(entry) = self.records.patiently(async || self.bucket.entry(&key).await).await?
        else {
            return Ok((None, 0));
        };
        if entry.operation != Operation::Put {
            return Ok((None, entry.revision));
        }
        match understood(&entry) {
            Ok(kept) => Ok((Some(kept), entry.revision)),
            Err(why) => Err(NatsError::Unexpected(format!("the schedule {name}: {why}"))),
        }
    }

    /// All schedules, in the order of their names.
    pub(super) async fn schedules(&self) -> Result<Vec<KeptSchedule>, NatsError> {
        let mut watch = self.watch().await?;
        let mut all = std::collections::BTreeMap::new();
        while let Update::Entry(entry) = watch.next().await? {
            match said(&entry) {
                Some(Said::Schedule(kept)) => {
                    all.insert(entry.key, *kept);
                }
                Some(Said::Removed | Said::NotUnderstood(_)) => drop(all.remove(&entry.key)),
                _ => {}
            }
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by(|one, other| one.record.schedule.name.cmp(&other.record.schedule.name));
        Ok(all)
    }

    /// Writes a schedule if its revision is still this one. It waits for servers that can take it.
    pub(super) async fn write(
        &self,
        kept: &KeptSchedule,
        revision: u64,
    ) -> Result<Written, NatsError> {
        let (key, json) = (schedule_key(&kept.record.schedule.name), json(kept)?);
        let update = async || self.bucket.update(&key, &json, revision).await;
        match self.records.until(update, is_unreachable_or_full).await {
            Ok(revision) => return Ok(Written::At(revision)),
            Err(NatsError::JetStream(error)) if error.is_wrong_last_sequence() => {}
            Err(error) => return Err(error),
        }
        // The answer to an earlier try may have been lost.
        let entry = self.records.patiently(async || self.bucket.get(&key).await).await?;
        let is_same = |entry: &Entry| entry.value == json;
        Ok(entry.filter(is_same).map_or(Written::Lost, |entry| Written::At(entry.revision)))
    }

    /// Forgets a schedule, also one that is not understood; gives whether there was one.
    pub(super) async fn remove(&self, name: &ScheduleName) -> Result<bool, NatsError> {
        let key = schedule_key(name);
        if self.records.patiently(async || self.bucket.get(&key).await).await?.is_none() {
            return Ok(false);
        }
        self.records.patiently(async || self.bucket.delete(&key).await).await?;
        Ok(true)
    }

    /// Says whether something new begins from now on.
    pub(super) async fn set_draining(&self, on: bool) -> Result<(), NatsError> {
        let value = if on { "true" } else { "false" };
        let put = async || self.bucket.put(DRAIN, value).await;
        self.records.until(put, is_unreachable_or_full).await.map(drop)
    }

    /// All that is there, and then each change.
    pub(super) async fn watch(&self) -> Result<Watch, NatsError> {
        self.records.patiently(async || self.bucket.watch(">").await).await
    }
}

impl Records {
    /// Whether nothing new begins.
    pub(super) async fn is_draining(&self) -> Result<bool, NatsError> {
        let entry = self.patiently(async || self.control.get(DRAIN).await).await?;
        Ok(entry.is_some_and(|entry| entry.value == "true"))
    }
}

/// What a change says; `None`: nothing that is known here.
pub(super) fn said(entry: &Entry) -> Option<Said> {
    let is_there = entry.operation == Operation::Put;
    if entry.key == DRAIN {
        return Some(Said::Drain(is_there && entry.value == "true"));
    }
    entry.key.strip_prefix("schedule.")?;
    if !is_there {
        return Some(Said::Removed);
    }
    Some(match understood(entry) {
        Ok(kept) => Said::Schedule(Box::new(kept)),
        Err(why) => Said::NotUnderstood(why),
    })
}

/// The schedule that is under a key, or why that is none.
fn understood(entry: &Entry) -> Result<KeptSchedule, Box<str>> {
    let kept: KeptSchedule =
        serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
    let name = &kept.record.schedule.name;
    // Who changes it would change another one.
    if schedule_key(name) != entry.key {
        return Err(format!("it says that it is {name}").into());
    }
    Ok(kept)
}
