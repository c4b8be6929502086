//! Threads beside the loop: work that blocks, and who may send what from where.

// Modules with methods of `EventLoop` come first, in the order of its page.
mod jobs;

mod default_executor;

mod job_builder;

mod channel;

mod cancel_flag;
mod executor;
mod limiter;
mod pool;
mod remote_task;
mod wake;

pub use self::cancel_flag::CancelFlag;
pub use self::channel::{RemoteReceiver, RemoteSend, RemoteSendError, RemoteSender};
pub use self::executor::{Executor, ExecutorBuilder};
pub use self::job_builder::JobBuilder;
pub use self::limiter::{CapacityLimiter, CapacityToken};
pub use self::pool::ExecutorStatistics;
pub use self::remote_task::RemoteTask;

pub(crate) use self::jobs::{Jobs, run_on_own_pool};
pub(crate) use self::pool::{Job, ThreadPool, ThreadPoolOptions, Work};
