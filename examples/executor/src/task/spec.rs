//! What a client asks for.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Kind, TaskId, Timestamp};

/// The largest arguments, in bytes of JSON.
pub(crate) const MOST_ARGUMENTS: usize = 1024 * 1024;
/// The most tasks that one can come after.
const MOST_PARENTS: usize = 10_000;
/// The most attempts to be asked for.
const MOST_RETRIES: u32 = 1_000;

/// A task as it is submitted.
///
/// Fields that nobody knows are an error: an option with a typing error would be ignored else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Which task this is. A second one with the same id is the same task. Made up if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<TaskId>,
    /// What it does.
    pub kind: Kind,
    /// What it does it with, as JSON; `null` by default.
    #[serde(default = "null")]
    pub args: Box<RawValue>,
    /// Who goes first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// Not before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Not before so many milliseconds after it was taken: [`at`](Self::at), by the coordinator's clock alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<u64>,
    /// How often it is tried again after it has failed.
    #[serde(default = "three")]
    pub retries: u32,
    /// How long it waits before it is tried again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: Backoff,
    /// How long one attempt may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
    /// Until when it must have ended, all attempts included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Tasks that must have succeeded before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<TaskId>,
    /// What it gets of what those returned. Once they have, it is in [`args`](Self::args), and this is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// How long what became of it is kept once it has ended, in milliseconds; one day by default.
    #[serde(default = "one_day")]
    pub keep: u64,
}

impl Spec {
    /// A task of a kind with these arguments, and the defaults for everything else.
    pub fn new(kind: Kind, args: Box<RawValue>) -> Self {
        Self {
            id: None,
            kind,
            args,
            priority: Priority::default(),
            at: None,
            delay: None,
            retries: three(),
            backoff: Backoff::default(),
            timeout: None,
            deadline: None,
            after: Vec::new(),
            input: None,
            keep: one_day(),
        }
    }

    /// Its delay begins now: it is a time from here on.
    pub(crate) fn begin_delay(&mut self, now: Timestamp) {
        if let Some(delay) = self.delay.take() {
            self.at = self.at.max(Some(now.after(Duration::from_millis(delay))));
        }
    }

    /// Whether it keeps the limits.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), InvalidSpec> {
        if self.args.get().len() > MOST_ARGUMENTS {
            return Err(InvalidSpec::Arguments);
        }
        if self.after.len() > MOST_PARENTS {
            return Err(InvalidSpec::After);
        }
        if self.input == Some(Input::Result) && self.after.len() != 1 {
            return Err(InvalidSpec::Input);
        }
        if self.retries > MOST_RETRIES {
            return Err(InvalidSpec::Retries);
        }
        if self.timeout == Some(0) {
            return Err(InvalidSpec::Timeout);
        }
        if self.backoff.initial > self.backoff.longest {
            return Err(InvalidSpec::Backoff);
        }
        Ok(())
    }
}

/// What a task gets of what the tasks before it have returned.
///
/// Without arguments of its own (`null`) these are its arguments. Else its arguments are a pair: these, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The result of the one task that it comes after: a chain.
    Result,
    /// The results of all, in the order of [`Spec::after`]: a function over a group.
    Results,
}

/// Who goes first: 0 to 9, 9 first, 5 by default.
///
/// A level is worth a minute: a task goes before one of the next level that was ready a minute later. So none waits for
/// ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// A level of 0 to 9.
    pub fn new(level: u8) -> Option<Self> {
        (level <= 9).then_some(Self(level))
    }

    /// 0 to 9.
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<u8> for Priority {
    type Error = &'static str;

    fn try_from(level: u8) -> Result<Self, Self::Error> {
        Self::new(level).ok_or("a priority is 0 to 9")
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// How long a task waits before it is tried again: twice as long each time, and a random part of that, so that those
/// who failed together do not come back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Before the second attempt, in milliseconds.
    pub initial: u64,
    /// Never longer than this, in milliseconds.
    pub longest: u64,
}

impl Backoff {
    /// How long after so many failures, of which there is one at least.
    pub(crate) fn wait(self, failures: u32, random: &mut fastrand::Rng) -> Duration {
        let doubled = self.initial.saturating_mul(1 << failures.saturating_sub(1).min(32));
        let most = doubled.min(self.longest);
        Duration::from_millis(random.u64(most / 2..=most))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: 1_000, longest: 600_000 }
    }
}

/// What is wrong with a [`Spec`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidSpec {
    /// Its arguments are too large.
    Arguments,
    /// It comes after too many tasks.
    After,
    /// It gets the result of one task, and does not come after one.
    Input,
    /// Too many retries.
    Retries,
    /// An attempt may take no time at all.
    Timeout,
    /// The first wait is longer than the longest.
    Backoff,
}

impl fmt::Display for InvalidSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arguments => write!(formatter, "arguments have at most {MOST_ARGUMENTS} bytes"),
            Self::After => write!(formatter, "a task comes after {MOST_PARENTS} others at most"),
            Self::Input => formatter.write_str("who gets one result comes after one task"),
            Self::Retries => write!(formatter, "a task is retried {MOST_RETRIES} times at most"),
            Self::Timeout => formatter.write_str("a timeout is longer than 0"),
            Self::Backoff => formatter.write_str("the initial wait is not above the longest"),
        }
    }
}

impl std::error::Error for InvalidSpec {}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

fn three() -> u32 {
    3
}

fn one_day() -> u64 {
    24 * 60 * 60 * 1_000
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
