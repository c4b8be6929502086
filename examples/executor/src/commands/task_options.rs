//! Options of a task, as members of its JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::parse;
use crate::task::{Backoff, Kind, Priority, Spec, milliseconds};

/// Members of a task's JSON: its options and all else.
pub(super) type Members = BTreeMap<String, Box<RawValue>>;

/// What is said of a task besides what it does and when.
#[derive(Clone, Debug, Args)]
pub(super) struct TaskOptions {
    /// Who goes first: 0 to 9, 9 first; 5 by default
    #[arg(long, value_parser = parse::priority)]
    priority: Option<Priority>,
    /// How often it is tried again after it has failed; 3 times by default
    #[arg(long)]
    retries: Option<u32>,
    /// How long it waits before it is tried again: at first, and at most; 1s..10m by default
    #[arg(long, value_parser = parse::backoff)]
    backoff: Option<Backoff>,
    /// How long one attempt may take: 10s, 1m30s, 2h; for ever by default
    #[arg(long, value_parser = parse::duration)]
    timeout: Option<Duration>,
    /// How long what became of it is kept: 1h, 7days; one day by default
    #[arg(long, value_parser = parse::duration)]
    keep: Option<Duration>,
}

impl TaskOptions {
    /// Those that are given.
    pub(super) fn members(&self) -> Result<Members, serde_json::Error> {
        let mut members = Members::new();
        set(&mut members, "priority", self.priority)?;
        set(&mut members, "retries", self.retries)?;
        set(&mut members, "backoff", self.backoff)?;
        set(&mut members, "timeout", self.timeout.map(milliseconds))?;
        set(&mut members, "keep", self.keep.map(milliseconds))?;
        Ok(members)
    }

    /// A task that has them.
    pub(super) fn spec(&self, kind: &Kind, args: Box<RawValue>) -> Result<Spec, serde_json::Error> {
        let mut members = self.members()?;
        set(&mut members, "kind", Some(kind))?;
        members.insert("args".to_owned(), args);
        spec(&members)
    }
}

/// A task of the members of its JSON.
pub(super) fn spec(members: &Members) -> Result<Spec, serde_json::Error> {
    serde_json::from_str(&serde_json::to_string(members)?)
}

/// A member, if it has a value.
pub(super) fn set(
    members: &mut Members,
    name: &str,
    value: Option<impl Serialize>,
) -> Result<(), serde_json::Error> {
    if let Some(value) = value {
        members.insert(name.to_owned(), to_raw_value(&value)?);
    }
    Ok(())
}
