//! Futures, tasks and threads on the loop.

// Modules with methods of `EventLoop` come first, in the order of its page.
mod spawn;

mod clock;

mod structured;

mod future;

mod threads;

mod detached;
mod finished;
mod handle;
mod local;
mod requests;
mod slab;
mod step;
mod table;
mod yield_now;

pub use self::clock::{
    CancelScope, Interval, MissedTickBehavior, PeriodicHandle, Shield, Sleep, interval,
    interval_at, move_on_after, move_on_at, shield, sleep, sleep_until, timeout, timeout_at,
};
pub use self::future::{LoopFuture, Promise};
pub use self::handle::Task;
pub use self::local::TaskLocal;
pub use self::requests::{Requests, RequestsById};
pub use self::spawn::spawn;
pub use self::structured::{Child, Ready, Scope, TaskGroup, scope, task_group};
pub use self::threads::{
    CancelFlag, CapacityLimiter, CapacityToken, Executor, ExecutorBuilder, ExecutorStatistics,
    JobBuilder, RemoteReceiver, RemoteSend, RemoteSendError, RemoteSender, RemoteTask,
};
pub use self::yield_now::yield_now;

pub(crate) use self::future::{Share, Waiters, discard, future};
pub(crate) use self::spawn::operation;
pub(crate) use self::table::{TaskFacts, TaskTable, Waits};
pub(crate) use self::threads::{Job, Jobs, ThreadPool, ThreadPoolOptions, Work, run_on_own_pool};
