//! Futures, tasks and threads on the loop.

// Modules with methods of `EventLoop` come first, in the order of its page.
mod table;

mod sleep;

mod future;

mod jobs;

mod ambient;
mod detached;
mod done_callbacks;
mod executor;
mod future_state;
mod promise;
mod untaken;
mod waiters;

pub use self::ambient::{sleep, sleep_until, spawn, yield_now};
pub use self::future::LoopFuture;
pub use self::promise::Promise;
pub use self::sleep::Sleep;
pub use self::table::Task;

pub(crate) use self::executor::{Job, ThreadPool, ThreadPoolOptions, Work};
pub(crate) use self::future::future;
pub(crate) use self::jobs::{Jobs, run_in_executor};
pub(crate) use self::table::{TaskTable, operation};
pub(crate) use self::untaken::{Share, discard};
pub(crate) use self::waiters::Waiters;
