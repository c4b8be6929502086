//! JetStream: streams of messages that are kept, consumers that acknowledge them, and a key-value store.
//!
//! [`JetStream`] creates streams and consumers, and publishes with an acknowledgement. A [`Consumer`] is pulled:
//! [`messages`](Consumer::messages) gives messages without an end, and goes on by itself when the connection is lost, a
//! member of the cluster is killed, another one leads, or heartbeats are missed. [`KeyValue`] keeps values under keys,
//! with revisions, history, and a [`Watch`].

mod config;
mod consumer;
mod context;
mod error;
mod key_value;
mod message;
mod messages;
mod nanoseconds;
mod ordered;
mod publish;
mod status;

pub use config::{
    AckPolicy, ClusterInfo, ConsumerConfig, ConsumerInfo, DeliverPolicy, Discard, PeerInfo,
    ReplayPolicy, Retention, Storage, StreamConfig, StreamInfo, StreamState,
};
pub use consumer::Consumer;
pub use context::JetStream;
pub use error::ApiError;
pub use key_value::{Entry, KeyValue, KeyValueConfig, Operation, Update, Watch};
pub use message::{JetStreamMessage, Metadata};
pub use messages::{Messages, Pull};
pub use publish::{JetStreamPublish, PublishAck};

/// A hundred years: no wait is longer, whatever the options say, so that deadlines can be reckoned with.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(100 * 365 * 24 * 3600);
