//! Futures, tasks and threads on the loop.

// Modules with methods of `EventLoop` come first, in the order of its page.
#[allow(clippy::module_inception, reason = "what `create_task` gives is called so")]
mod task;

mod sleep;

mod clock;

mod structured;

mod future;

mod threads;

mod ambient;
mod detached;
mod done_callbacks;
mod future_state;
mod local;
mod promise;
mod requests;
mod slab;
mod step;
mod table;
mod untaken;
mod waiters;

pub use self::ambient::{sleep, sleep_until, spawn, yield_now};
pub use self::clock::{
    CancelScope, Interval, MissedTickBehavior, PeriodicHandle, Shield, interval, interval_at,
    move_on_after, move_on_at, shield, timeout, timeout_at,
};
pub use self::future::LoopFuture;
pub use self::local::TaskLocal;
pub use self::promise::Promise;
pub use self::requests::{Requests, RequestsById};
pub use self::sleep::Sleep;
pub use self::structured::{Child, Ready, Scope, TaskGroup, scope, task_group};
pub use self::task::Task;
pub use self::threads::{
    CancelFlag, CapacityLimiter, CapacityToken, Executor, ExecutorBuilder, ExecutorStatistics,
    JobBuilder, RemoteReceiver, RemoteSend, RemoteSendError, RemoteSender, RemoteTask,
};

pub(crate) use self::future::future;
pub(crate) use self::table::{TaskFacts, TaskTable, Waits, operation};
pub(crate) use self::threads::{Job, Jobs, ThreadPool, ThreadPoolOptions, Work, run_in_executor};
pub(crate) use self::untaken::{Share, discard};
pub(crate) use self::waiters::Waiters;
