//! Schedules on the disk, in a table of their own.

use std::rc::Rc;

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};

use super::StoreError;
use super::database::failed;
use crate::schedule::{ScheduleName, ScheduleRecord};

/// Schedules, as JSON.
pub(super) const SCHEDULES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("schedules");

/// A schedule is kept so, or forgotten.
pub type ScheduleChange = (ScheduleName, Option<Rc<ScheduleRecord>>);

/// A [`ScheduleChange`] as it is written.
pub(super) type EncodedSchedule = (ScheduleName, Option<Vec<u8>>);

pub(super) fn encode((name, record): &ScheduleChange) -> Result<EncodedSchedule, StoreError> {
    let record = record.as_deref().map(serde_json::to_vec).transpose();
    Ok((name.clone(), record.map_err(failed)?))
}

pub(super) fn write<'a>(
    transaction: &WriteTransaction,
    changes: impl IntoIterator<Item = &'a EncodedSchedule>,
) -> Result<(), StoreError> {
    let mut changes = changes.into_iter().peekable();
    if changes.peek().is_none() {
        return Ok(());
    }
    let mut schedules = transaction.open_table(SCHEDULES)?;
    for (name, record) in changes {
        match record {
            Some(record) => drop(schedules.insert(name.as_str(), &**record)?),
            None => drop(schedules.remove(name.as_str())?),
        }
    }
    Ok(())
}

pub(super) fn read(transaction: &ReadTransaction) -> Result<Vec<ScheduleRecord>, StoreError> {
    let schedules = transaction.open_table(SCHEDULES)?;
    let mut all = Vec::new();
    for kept in schedules.iter()? {
        let (_, record) = kept?;
        let record = serde_json::from_slice(record.value());
        all.push(record.map_err(|error| {
            StoreError(format!("a schedule in it cannot be read: {error}").into())
        })?);
    }
    Ok(all)
}
