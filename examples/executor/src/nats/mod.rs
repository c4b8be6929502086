//! The executor on [NATS JetStream](https://docs.nats.io/nats-concepts/jetstream), without a coordinator of ours.
//!
//! Tasks that wait are messages of a work queue; what became of them is in a key-value bucket. Workers share pull
//! consumers, and acknowledge a message when the outcome of its task is recorded. What tasks write is in a stream of its own,
//! which has limits. `docs/nats.md` has the subjects and the
//! JSON, for clients and workers in other languages.
//!
//! # What it holds
//! - A task that was acknowledged is in the stream, on as many servers as it has replicas. It leaves the stream only after
//!   its outcome is in the bucket.
//! - Each change of a record is a compare-and-set of its revision, which is the fence: a worker to which a message is
//!   delivered again takes the task with a revision of its own, and the one before can record nothing any more.
//! - Each run of a schedule is claimed by one worker, as a compare-and-set of the schedule's next time; others submit what
//!   that one does not. Its id is made of name and time, so that it is one task.
//! - A message's time for its acknowledgement, the lease, begins anew for as long as its worker lives.
//!
//! [`Client::on_nats`](crate::client::Client::on_nats) and [`Worker::on_nats`](crate::work::Worker::on_nats) begin.

mod client;
mod control;
mod decide;
mod names;
mod options;
mod output;
mod records;
mod session;
mod setup;
mod spans;
mod submit;
mod task;
mod turns;
mod worker;

pub use names::Names;
pub use options::NatsOptions;
pub use task::QueuedTask;

pub(crate) use client::NatsClient;
pub(crate) use session::Access;
pub(crate) use worker::NatsWorker;
