//! What is measured, and how often.

use std::fmt;

use super::contender::{Common, Contender, Oneshot, Own};
use super::{Work, sleeping, spawning, threads, turns};

/// What is done many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Spawn a task and join it, then the next one.
    SpawnOne,
    /// Spawn many tasks, then join them.
    SpawnMany,
    /// Spawn many tasks into the library's own group, and wait for it.
    Group,
    /// Run many futures that borrow side by side.
    Scope,
    /// One task yields.
    Yield,
    /// The same in the library's own way.
    YieldItsWay,
    /// Many tasks yield.
    YieldMany,
    /// A task wakes another one.
    Wake,
    /// The same through a channel for one value, made for it, of the library's own.
    OneshotItsOwn,
    /// The same through the same crate's channel.
    Oneshot,
    /// A thread and a task wake each other.
    ThreadPingPong,
    /// A thread wakes many tasks.
    ThreadOneWay,
    /// A task that sleeps, among many.
    Sleep,
    /// A sleep that begins and is dropped.
    SleepDropped,
    /// A sleep that begins and is dropped, among many.
    SleepManyDropped,
}

impl Operation {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 15] = [
        Self::SpawnOne,
        Self::SpawnMany,
        Self::Group,
        Self::Scope,
        Self::Yield,
        Self::YieldItsWay,
        Self::YieldMany,
        Self::Wake,
        Self::OneshotItsOwn,
        Self::Oneshot,
        Self::ThreadPingPong,
        Self::ThreadOneWay,
        Self::Sleep,
        Self::SleepDropped,
        Self::SleepManyDropped,
    ];

    /// What it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::SpawnOne => "spawn-one",
            Self::SpawnMany => "spawn-many",
            Self::Group => "group",
            Self::Scope => "scope",
            Self::Yield => "yield",
            Self::YieldItsWay => "yield-its-way",
            Self::YieldMany => "yield-many",
            Self::Wake => "wake",
            Self::OneshotItsOwn => "oneshot-its-own",
            Self::Oneshot => "oneshot",
            Self::ThreadPingPong => "thread-ping-pong",
            Self::ThreadOneWay => "thread-one-way",
            Self::Sleep => "sleep",
            Self::SleepDropped => "sleep-dropped",
            Self::SleepManyDropped => "sleep-many-dropped",
        }
    }

    /// How often it is done for one measurement of time.
    pub fn timed_count(self) -> u64 {
        match self {
            Self::Yield | Self::YieldMany | Self::Wake => 2_000_000,
            Self::YieldItsWay | Self::ThreadOneWay => 200_000,
            Self::ThreadPingPong => 20_000,
            Self::Sleep => sleeping::PENDING,
            _ => 1_000_000,
        }
    }

    /// How often it is done for the shorter and for the longer of two counts.
    pub fn counted(self) -> (u64, u64) {
        match self {
            Self::ThreadPingPong | Self::ThreadOneWay => (1_000, 6_000),
            Self::SpawnMany | Self::Group | Self::Scope => {
                (spawning::TOGETHER, 3 * spawning::TOGETHER)
            }
            Self::Sleep | Self::SleepManyDropped => (sleeping::PENDING, 2 * sleeping::PENDING),
            _ => (1_000, 21_000),
        }
    }

    /// How often it is done before it is measured: the loop's memory has its size then.
    pub fn warm_up(self) -> u64 {
        match self {
            Self::SpawnMany | Self::Group | Self::Scope => spawning::TOGETHER,
            Self::Sleep | Self::SleepManyDropped => sleeping::PENDING,
            _ => 1_000,
        }
    }

    /// Whether it takes two cores.
    pub fn has_a_thread(self) -> bool {
        matches!(self, Self::ThreadPingPong | Self::ThreadOneWay)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::SpawnOne => "spawn and join, one by one",
            Self::SpawnMany => "spawn and join, 10,000 at once",
            Self::Group => "group of 10,000 tasks, for each",
            Self::Scope => "scope of 10,000 tasks, for each",
            Self::Yield => "yield, 1 task",
            Self::YieldItsWay => "yield, 1 task, its own yield_now",
            Self::YieldMany => "yield, 100 tasks",
            Self::Wake => "wake, 2 tasks in turn",
            Self::OneshotItsOwn => "oneshot, its own, made and used",
            Self::Oneshot => "oneshot, the crate, made and used",
            Self::ThreadPingPong => "a thread and a task in turn",
            Self::ThreadOneWay => "a thread wakes 1,000 tasks",
            Self::Sleep => "task that sleeps, 100,000 at once",
            Self::SleepDropped => "sleep, dropped, one by one",
            Self::SleepManyDropped => "sleep, dropped, 100,000 at once",
        })
    }
}

impl Work {
    /// Performs the operation `count` times on the loop of `contender`.
    pub(super) async fn perform<C: Contender>(self, contender: C, count: u64)
    where
        Own: Oneshot<C>,
    {
        match self.operation {
            Operation::SpawnOne => spawning::one_by_one(contender, count).await,
            Operation::SpawnMany => spawning::together(contender, count).await,
            Operation::Group => spawning::in_groups(contender, count).await,
            Operation::Scope => spawning::in_scopes(contender, count).await,
            Operation::Yield => turns::yield_alone(contender, count).await,
            Operation::YieldItsWay => turns::yield_alone_its_way(contender, count).await,
            Operation::YieldMany => turns::yield_in_turn(contender, count).await,
            Operation::Wake => turns::wake(contender, count).await,
            Operation::OneshotItsOwn => turns::oneshot::<C, Own>(contender, count).await,
            Operation::Oneshot => turns::oneshot::<C, Common>(contender, count).await,
            Operation::ThreadPingPong => threads::ping_pong(contender, count).await,
            Operation::ThreadOneWay => threads::one_way(contender, count).await,
            Operation::Sleep => {
                sleeping::to_the_end(contender, count, self.shortest..self.longest).await;
            }
            Operation::SleepDropped => sleeping::dropped_at_once(contender, count).await,
            Operation::SleepManyDropped => sleeping::dropped_together(contender, count).await,
        }
    }
}
