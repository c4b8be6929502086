//! Subjects, keys, and names of streams and consumers.

use std::fmt::Write as _;

use crate::schedule::ScheduleName;
use crate::task::{InvalidName, Kind, Priority, TaskId};

/// The names that an executor has on NATS.
#[derive(Clone, Debug)]
pub struct Names {
    name: Box<str>,
}

/// Who goes first, as far as JetStream has it: three queues for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Priorities 7 to 9.
    High,
    /// Priorities 4 to 6.
    Normal,
    /// Priorities 0 to 3.
    Low,
}

impl Names {
    /// Names that begin with `name`.
    ///
    /// # Errors
    /// It has other characters than letters, digits, `-` and `_`, or is not 1 to 64 bytes long.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        if Kind::new(name)?.as_str().contains(['.', ':']) {
            return Err(InvalidName);
        }
        Ok(Self { name: name.into() })
    }

    /// The stream of tasks that wait.
    pub fn stream(&self) -> String {
        format!("{}-tasks", self.name)
    }

    /// The bucket of records.
    pub fn bucket(&self) -> String {
        format!("{}-records", self.name)
    }

    /// The bucket of schedules, and of whether nothing new begins.
    pub fn control(&self) -> String {
        format!("{}-control", self.name)
    }

    /// The subjects of the stream.
    pub(super) fn subjects(&self) -> [String; 2] {
        [self.all_queues(), self.all_later()]
    }

    /// Where a task is published that may run now.
    pub fn queue(&self, priority: Priority, kind: &Kind, id: &TaskId) -> String {
        let class = Class::of(priority).name();
        format!("{}.q.{class}.{}.{}", self.name, token(kind.as_str()), key(id))
    }

    /// Where a task is published whose time has not come, or that comes after others.
    pub fn later(&self, id: &TaskId) -> String {
        format!("{}.later.{}", self.name, key(id))
    }

    /// Where workers say that a task has ended, with its record unless that is long.
    pub fn ended(&self, id: &TaskId) -> String {
        format!("{}.ended.{}", self.name, key(id))
    }

    /// The stream of what tasks write.
    pub fn output_stream(&self) -> String {
        format!("{}-output", self.name)
    }

    /// Where workers publish what a task writes.
    pub fn output(&self, id: &TaskId) -> String {
        format!("{}.output.{}", self.name, key(id))
    }

    /// All subjects of [`output`](Self::output).
    pub(super) fn all_output(&self) -> String {
        format!("{}.output.>", self.name)
    }

    /// Where workers say how far a task is.
    pub fn progress(&self, id: &TaskId) -> String {
        format!("{}.progress.{}", self.name, key(id))
    }

    /// Where workers are asked what they do.
    pub fn workers(&self) -> String {
        format!("{}.workers", self.name)
    }

    /// Where workers tell what has run in their slots, while somebody wants to hear it.
    pub fn spans(&self) -> String {
        format!("{}.spans", self.name)
    }

    /// All that is said of a task while it runs, and when it ends.
    pub(super) fn told_of(&self, id: &TaskId) -> String {
        format!("{}.*.{}", self.name, key(id))
    }

    /// Where clients say that a task was cancelled.
    pub fn cancelled(&self, id: &TaskId) -> String {
        format!("{}.cancelled.{}", self.name, key(id))
    }

    /// All subjects of [`cancelled`](Self::cancelled).
    pub(super) fn all_cancelled(&self) -> String {
        format!("{}.cancelled.>", self.name)
    }

    /// All subjects of [`ended`](Self::ended) whose ids are those of one session.
    pub(super) fn ended_of(&self, session: &str) -> String {
        format!("{}.ended.{session}.*", self.name)
    }

    /// The key that a subject of [`ended`](Self::ended) or [`cancelled`](Self::cancelled) is about.
    pub(super) fn key_of<'a>(&self, subject: &'a str) -> &'a str {
        let rest = subject.get(self.name.len() + 1..).unwrap_or_default();
        rest.split_once('.').map_or("", |(_, key)| key)
    }

    /// Where a task may be that can run, whatever its kind and priority.
    pub(super) fn somewhere(&self, id: &TaskId) -> String {
        format!("{}.q.*.*.{}", self.name, key(id))
    }

    /// The consumer of a queue.
    pub(super) fn consumer(&self, class: Class, kind: &Kind) -> String {
        format!("{}-{}", class.name(), token(kind.as_str()))
    }

    /// What that consumer takes.
    pub(super) fn filter(&self, class: Class, kind: &Kind) -> String {
        format!("{}.q.{}.{}.>", self.name, class.name(), token(kind.as_str()))
    }

    /// All queues.
    pub(super) fn all_queues(&self) -> String {
        format!("{}.q.>", self.name)
    }

    /// All queues of a kind.
    pub(super) fn all_of(&self, kind: &Kind) -> String {
        format!("{}.q.*.{}.>", self.name, token(kind.as_str()))
    }

    /// All tasks that wait.
    pub(super) fn all(&self) -> String {
        format!("{}.>", self.name)
    }

    /// What the consumer of tasks that cannot run yet takes.
    pub(super) fn all_later(&self) -> String {
        format!("{}.later.>", self.name)
    }
}

impl Class {
    pub(super) const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    pub(super) fn of(priority: Priority) -> Self {
        match priority.level() {
            7.. => Self::High,
            4..=6 => Self::Normal,
            _ => Self::Low,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// The key of a task in the bucket: a dot stays a dot where keys may have one.
pub(super) fn key(id: &TaskId) -> String {
    let id = id.as_str();
    if id.split('.').any(str::is_empty) {
        return token(id);
    }
    id.split('.').map(token).collect::<Vec<_>>().join(".")
}

/// The key of a schedule in the bucket of these.
pub(super) fn schedule_key(name: &ScheduleName) -> String {
    format!("schedule.{}", token(name.as_str()))
}

/// A name as one token of a subject: letters, digits, `-` and `_` stay, others are `=` and two digits.
fn token(name: &str) -> String {
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            token.push(char::from(byte));
        } else {
            let _ = write!(token, "={byte:02X}");
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> TaskId {
        TaskId::new(text).unwrap()
    }

    #[test]
    fn names_become_tokens_and_keys() {
        for (name, expected) in [("a-b_C9", "a-b_C9"), ("a.b:c", "a=2Eb=3Ac")] {
            assert_eq!(token(name), expected);
        }
        for (name, expected) in
            [("s.1", "s.1"), ("a:b.c", "a=3Ab.c"), (".a", "=2Ea"), ("a..b", "a=2E=2Eb")]
        {
            assert_eq!(key(&id(name)), expected);
        }
    }

    #[test]
    fn subjects_have_the_kind_and_the_id() {
        let names = Names::new("wharf").unwrap();
        let kind = Kind::new("a.b").unwrap();
        let queue = |level| names.queue(Priority::new(level).unwrap(), &kind, &id("s.1"));
        assert_eq!(queue(9), "wharf.q.high.a=2Eb.s.1");
        assert_eq!(queue(5), "wharf.q.normal.a=2Eb.s.1");
        assert_eq!(queue(0), "wharf.q.low.a=2Eb.s.1");
        assert_eq!(names.key_of(&names.ended(&id("s.1"))), "s.1");
        assert_eq!(names.key_of(&names.cancelled(&id("x"))), "x");
        assert!(Names::new("a.b").is_err() && Names::new("").is_err());
    }
}
