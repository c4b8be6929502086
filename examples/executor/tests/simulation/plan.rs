//! Tasks at random.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use wharf::Result;
use wharf::sim::Random;
use wharf_executor::task::{Backoff, Kind, Priority, Spec, TaskId, Timestamp};

/// What a task does, and its arguments.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// How often it fails before it succeeds.
    pub(crate) fails: u32,
    /// And then for good.
    pub(crate) for_good: bool,
    /// How long it takes.
    pub(crate) millis: u64,
    /// Whether it writes something.
    pub(crate) writes: bool,
}

/// A task, which may come after some of those that are `known`.
pub(crate) fn spec(
    random: &Random,
    id: TaskId,
    known: &[TaskId],
    date: SystemTime,
) -> Result<Spec> {
    let is_one_in = |count: usize| random.below(count) == 0;
    let within = |most: u64| random.duration(Duration::ZERO..=Duration::from_millis(most));
    let millis = |most: u64| within(most).as_millis() as u64;
    let plan = Plan {
        fails: if is_one_in(4) { random.below(5) as u32 } else { 0 },
        for_good: is_one_in(20),
        // Some take longer than a lease.
        millis: millis(if is_one_in(6) { 20_000 } else { 600 }),
        writes: is_one_in(4),
    };
    let kind = if is_one_in(3) { "computes" } else { "waits" };
    let mut spec = Spec::new(Kind::new(kind)?, to_raw_value(&plan)?);
    spec.id = Some(id);
    spec.priority = Priority::new(random.below(10) as u8).unwrap_or_default();
    spec.retries = random.below(4) as u32;
    spec.backoff = Backoff { initial: 200, longest: 2_000 };
    spec.delay = is_one_in(5).then(|| millis(5_000));
    spec.at = is_one_in(8).then(|| Timestamp::from_system_time(date + within(5_000)));
    spec.timeout = is_one_in(8).then(|| 1 + millis(5_000));
    spec.deadline = is_one_in(10).then(|| Timestamp::from_system_time(date + within(40_000)));
    if is_one_in(4) {
        let parents = (0..1 + random.below(3)).filter_map(|_| random.choose(known).cloned());
        spec.after = parents.collect();
        spec.after.sort();
        spec.after.dedup();
    }
    Ok(spec)
}
