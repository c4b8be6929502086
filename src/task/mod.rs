//! Futures, tasks and threads on the loop.

// Modules with methods of `EventLoop` come first, in the order of its page.
mod handle;

mod clock;

mod structured;

mod future;

mod threads;

mod ambient;
mod detached;
mod local;
mod requests;
mod slab;
mod step;
mod table;

pub use self::ambient::{sleep, sleep_until, spawn, yield_now};
pub use self::clock::{
    CancelScope, Interval, MissedTickBehavior, PeriodicHandle, Shield, Sleep, interval,
    interval_at, move_on_after, move_on_at, shield, timeout, timeout_at,
};
pub use self::future::{LoopFuture, Promise};
pub use self::handle::Task;
pub use self::local::TaskLocal;
pub use self::requests::{Requests, RequestsById};
pub use self::structured::{Child, Ready, Scope, TaskGroup, scope, task_group};
pub use self::threads::{
    CancelFlag, CapacityLimiter, CapacityToken, Executor, ExecutorBuilder, ExecutorStatistics,
    JobBuilder, RemoteReceiver, RemoteSend, RemoteSendError, RemoteSender, RemoteTask,
};

pub(crate) use self::future::{Share, Waiters, discard, future};
pub(crate) use self::table::{TaskFacts, TaskTable, Waits, operation};
pub(crate) use self::threads::{Job, Jobs, ThreadPool, ThreadPoolOptions, Work, run_on_own_pool};
