//! What becomes of tasks: no I/O, and no clock.

use std::rc::Rc;
use std::time::Duration;

use super::task::QueuedTask;
use crate::task::{MOST_LOSSES, Outcome, Record, State, TaskId, Timestamp, kept_error};
use crate::wire::Replied;

/// What a worker does with a message whose turn it is.
#[derive(Debug)]
pub(super) enum Take {
    /// Nobody wants it run: it is acknowledged.
    Nothing,
    /// Its time has not come: it is to be delivered again after so long.
    Later(Duration),
    /// It ends without being run.
    End(Record),
    /// It is run as it is: nobody had it before.
    Run(Record),
    /// It is run as soon as this is recorded, which takes it away from whoever had it.
    Claim(Record),
}

/// How a message is answered once a record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settle {
    /// It is done with.
    Ack,
    /// It is delivered again after so long.
    Again(Duration),
}

/// Whether what is known of a task must be read before it is run. It need not be for the first delivery of a new one, which
/// makes most tasks cost one read and one write less: when somebody else has changed the record, the outcome is not taken.
pub(super) fn must_read(task: &QueuedTask, delivered: u64) -> bool {
    delivered > 1 || task.again.is_some()
}

/// Decides what to do with a message, with the record and its revision if there is one.
pub(super) fn take(
    task: &QueuedTask,
    delivered: u64,
    known: Option<(Record, u64)>,
    worker: &Rc<str>,
    now: Timestamp,
) -> Take {
    let is_new = known.is_none();
    let mut record = match known {
        None => {
            let mut record = task.record();
            // Each delivery but this one may have been an attempt that left no trace.
            record.attempts = u32::try_from(delivered).unwrap_or(u32::MAX) - 1;
            record
        }
        Some((record, revision)) => match record.state {
            State::Ended { .. } if task.again == Some(revision) => again(record, now),
            State::Ended { .. } => return Take::Nothing,
            State::Delayed { until } if until > now => {
                return Take::Later(now.until(until));
            }
            State::Running { .. } => lost(record),
            _ => record,
        },
    };
    if task.spec.deadline.is_some_and(|deadline| deadline <= now) {
        return Take::End(end(record, Outcome::Failed, "its deadline has passed", now));
    }
    if record.losses >= MOST_LOSSES {
        let error = format!("{} workers were lost while it ran", record.losses);
        return Take::End(end(record, Outcome::Failed, &error, now));
    }
    record.attempts = record.attempts.saturating_add(1);
    if is_new && !must_read(task, delivered) {
        return Take::Run(record);
    }
    Take::Claim(running(record, worker, now))
}

/// The record while a worker has the task.
pub(super) fn running(mut record: Record, worker: &Rc<str>, now: Timestamp) -> Record {
    let fence = u64::from(record.attempts);
    record.state =
        State::Running { worker: Rc::clone(worker), fence, since: now, cancelled: false };
    record
}

/// The record after an attempt, and how its message is answered.
pub(super) fn settle(
    mut record: Record,
    replied: Replied,
    now: Timestamp,
    random: &mut fastrand::Rng,
) -> (Record, Settle) {
    let error = match replied {
        Replied::Succeeded(result) => {
            record.result = Some(result.into());
            record.state = State::Ended { outcome: Outcome::Succeeded, at: now };
            return (record, Settle::Ack);
        }
        Replied::GivenBack => {
            record.state = State::Queued { since: now };
            return (record, Settle::Again(Duration::ZERO));
        }
        Replied::FailedForGood(error) => {
            record.failures = record.failures.saturating_add(1);
            return (end(record, Outcome::Failed, &error, now), Settle::Ack);
        }
        Replied::Failed(error) => error,
        Replied::Stopped => "it was stopped".into(),
    };
    let Some(until) = record.failed(now, random) else {
        return (end(record, Outcome::Failed, &error, now), Settle::Ack);
    };
    record.error = Some(kept_error(&error).into());
    record.state = State::Delayed { until };
    (record, Settle::Again(now.until(until)))
}

/// The record of a task that ends without a result.
pub(super) fn end(mut record: Record, outcome: Outcome, error: &str, at: Timestamp) -> Record {
    record.state = State::Ended { outcome, at };
    record.error = Some(kept_error(error).into());
    record
}

/// The record of a task that has ended and is tried again by hand.
pub(super) fn again(mut record: Record, now: Timestamp) -> Record {
    (record.failures, record.losses) = (0, 0);
    record.state = State::Queued { since: now };
    record
}

/// Whether what became of a task is no longer kept.
pub(super) fn is_expired(record: &Record, now: Timestamp) -> bool {
    match record.state {
        State::Ended { at, .. } => at.0.saturating_add(record.spec.keep) <= now.0,
        _ => false,
    }
}

/// What is known of a task that others come after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    /// It has not ended.
    Pending,
    /// It has.
    Ended(Outcome),
    /// It is neither waiting nor recorded: what became of it has expired.
    Gone,
}

/// What becomes of a task that could not run when it was submitted.
#[derive(Debug)]
pub(super) enum Later {
    /// It can.
    Ready,
    /// It comes after this one, which has not ended.
    After(TaskId),
    /// Its time has not come.
    Until(Duration),
    /// It never can.
    End(Record),
}

/// Decides about a task that comes after others, or later, with what is known of the others in their order.
pub(super) fn later(task: &QueuedTask, parents: &[Parent], now: Timestamp) -> Later {
    let spec = &task.spec;
    if spec.deadline.is_some_and(|deadline| deadline <= now) {
        let error = "its deadline has passed";
        return Later::End(end(task.later_record(), Outcome::Failed, error, now));
    }
    let mut pending = None;
    for (id, parent) in spec.after.iter().zip(parents) {
        let (outcome, why) = match parent {
            Parent::Ended(Outcome::Succeeded) => continue,
            Parent::Pending => {
                pending.get_or_insert(id);
                continue;
            }
            Parent::Ended(outcome) => (*outcome, "did not succeed"),
            Parent::Gone => (Outcome::Failed, "is not there any more"),
        };
        let error = format!("{id}, which it comes after, {why}");
        let record = Record { cause: Some(id.clone()), ..task.later_record() };
        return Later::End(end(record, outcome, &error, now));
    }
    match (pending, spec.at) {
        (Some(id), _) => Later::After(id.clone()),
        (None, Some(at)) if at > now => Later::Until(now.until(at)),
        _ => Later::Ready,
    }
}

/// The worker that had a task did not end it.
fn lost(mut record: Record) -> Record {
    if let State::Running { worker, .. } = &record.state {
        record.losses = record.losses.saturating_add(1);
        record.error = Some(format!("worker {worker} was lost while it ran").into());
    }
    record
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::task::{Kind, Spec};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn task(change: impl FnOnce(&mut Spec)) -> QueuedTask {
        let mut spec = Spec::new(Kind::new("k").unwrap(), RawValue::NULL.to_owned());
        change(&mut spec);
        let id = TaskId::new("t").unwrap();
        QueuedTask { id, spec: Rc::new(spec), submitted: NOW, again: None }
    }

    fn worker() -> Rc<str> {
        "w".into()
    }

    fn with_state(task: &QueuedTask, state: State) -> Record {
        Record { state, ..task.record() }
    }

    #[test]
    fn a_new_task_is_run_without_a_record_and_one_that_comes_again_is_claimed() {
        let task = task(|_| ());
        let Take::Run(record) = take(&task, 1, None, &worker(), NOW) else { panic!() };
        assert_eq!(record.attempts, 1);
        let Take::Claim(record) = take(&task, 2, None, &worker(), NOW) else { panic!() };
        assert_eq!((record.attempts, record.losses), (2, 0));
        assert!(matches!(record.state, State::Running { .. }));
    }

    #[test]
    fn a_task_whose_workers_are_lost_again_and_again_fails() {
        let task = task(|_| ());
        let mut record = running(task.record(), &worker(), NOW);
        for delivered in 2.. {
            match take(&task, delivered, Some((record, 1)), &worker(), NOW) {
                Take::Claim(claimed) => record = claimed,
                Take::End(ended) => {
                    assert_eq!((delivered, ended.losses), (4, MOST_LOSSES));
                    assert_eq!(ended.outcome(), Some(Outcome::Failed));
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_has_ended_is_not_run_again_unless_somebody_asks() {
        let mut task = task(|_| ());
        let ended = end(task.record(), Outcome::Failed, "no", NOW);
        let known = || Some((ended.clone(), 7));
        assert!(matches!(take(&task, 2, known(), &worker(), NOW), Take::Nothing));
        task.again = Some(6);
        assert!(matches!(take(&task, 1, known(), &worker(), NOW), Take::Nothing));
        task.again = Some(7);
        assert!(matches!(take(&task, 1, known(), &worker(), NOW), Take::Claim(_)));
    }

    #[test]
    fn a_failure_waits_longer_each_time_and_the_last_one_stays() {
        let task = task(|spec| spec.retries = 2);
        let mut random = fastrand::Rng::with_seed(1);
        let (mut record, mut waits) = (task.record(), Vec::new());
        loop {
            let (next, settled) = settle(record, Replied::Failed("no".into()), NOW, &mut random);
            record = next;
            let Settle::Again(wait) = settled else { break };
            let State::Delayed { until } = record.state else { panic!() };
            assert_eq!(until, NOW.after(wait));
            let Take::Later(left) = take(&task, 2, Some((record.clone(), 1)), &worker(), NOW)
            else {
                panic!()
            };
            assert_eq!(left.as_millis(), wait.as_millis());
            waits.push(wait);
        }
        assert_eq!(record.outcome(), Some(Outcome::Failed));
        assert_eq!((record.failures, record.error.as_deref()), (3, Some("no")));
        assert!(waits.len() == 2 && waits[1] >= Duration::from_secs(1), "{waits:?}");
    }

    #[test]
    fn given_back_is_no_failure() {
        let mut random = fastrand::Rng::with_seed(1);
        let (record, settled) = settle(task(|_| ()).record(), Replied::GivenBack, NOW, &mut random);
        assert_eq!((record.failures, settled), (0, Settle::Again(Duration::ZERO)));
    }

    #[test]
    fn a_deadline_ends_what_has_not_begun_and_what_would_be_tried_too_late() {
        let late = task(|spec| spec.deadline = Some(NOW));
        assert!(matches!(take(&late, 1, None, &worker(), NOW), Take::End(_)));
        assert!(matches!(later(&late, &[], NOW), Later::End(_)));
        let soon = task(|spec| spec.deadline = Some(Timestamp(NOW.0 + 100)));
        let mut random = fastrand::Rng::with_seed(1);
        let (record, _) = settle(soon.record(), Replied::Failed("no".into()), NOW, &mut random);
        assert_eq!(record.outcome(), Some(Outcome::Failed));
    }

    #[test]
    fn a_task_comes_after_all_others_have_succeeded_and_its_time_has_come() {
        let names = ["a", "b"].map(|name| TaskId::new(name).unwrap());
        let task = task(|spec| {
            spec.after = names.to_vec();
            spec.at = Some(Timestamp(NOW.0 + 10));
        });
        let well = Parent::Ended(Outcome::Succeeded);
        let Later::After(first) = later(&task, &[well, Parent::Pending], NOW) else { panic!() };
        assert_eq!(first, names[1]);
        assert!(matches!(later(&task, &[well, well], NOW), Later::Until(_)));
        assert!(matches!(later(&task, &[well, well], Timestamp(NOW.0 + 10)), Later::Ready));
        for (parent, outcome) in [
            (Parent::Ended(Outcome::Failed), Outcome::Failed),
            (Parent::Ended(Outcome::Cancelled), Outcome::Cancelled),
            (Parent::Gone, Outcome::Failed),
        ] {
            // The first one need not have ended.
            let Later::End(record) = later(&task, &[Parent::Pending, parent], NOW) else {
                panic!()
            };
            assert_eq!(record.outcome(), Some(outcome));
        }
    }

    #[test]
    fn an_outcome_expires_and_what_runs_does_not() {
        let task = task(|spec| spec.keep = 100);
        let ended = end(task.record(), Outcome::Failed, "no", NOW);
        assert!(!is_expired(&ended, Timestamp(NOW.0 + 99)));
        assert!(is_expired(&ended, Timestamp(NOW.0 + 100)));
        let queued = with_state(&task, State::Queued { since: NOW });
        assert!(!is_expired(&queued, Timestamp(u64::MAX)));
    }
}
