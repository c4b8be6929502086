//! What streams and consumers are: the JSON of JetStream's API.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::nanoseconds;

/// A stream: where messages of some subjects are kept.
///
/// ```
/// use std::time::Duration;
/// use wharf_protocols::nats::jetstream::{Retention, StreamConfig};
///
/// let mut stream = StreamConfig::new("JOBS", ["jobs.>"]);
/// stream.retention = Retention::WorkQueue;
/// stream.num_replicas = 3;
/// stream.duplicate_window = Duration::from_secs(60);
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamConfig {
    /// The name: no dots, spaces or wildcards.
    pub name: String,
    /// For whoever looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The subjects whose messages it keeps.
    #[serde(deserialize_with = "null_is_default")]
    pub subjects: Vec<String>,
    /// When messages leave it.
    pub retention: Retention,
    /// The most consumers; -1: no limit.
    pub max_consumers: i64,
    /// The most messages; -1: no limit.
    pub max_msgs: i64,
    /// The most bytes; -1: no limit.
    pub max_bytes: i64,
    /// How long messages are kept; zero: for ever.
    #[serde(with = "nanoseconds")]
    pub max_age: Duration,
    /// The longest message, in bytes; -1: no limit.
    pub max_msg_size: i64,
    /// The most messages of one subject; -1: no limit.
    pub max_msgs_per_subject: i64,
    /// What becomes of a message that comes at a limit.
    pub discard: Discard,
    /// Where messages are kept.
    pub storage: Storage,
    /// On how many members of the cluster: 1, 3 or 5.
    pub num_replicas: usize,
    /// Whether publishing is not acknowledged.
    pub no_ack: bool,
    /// How long the ids of messages are known, to drop those that come twice; the server's default of 2 min if zero.
    #[serde(with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub duplicate_window: Duration,
    /// Whether a message may replace all before it, by the header `Nats-Rollup`.
    pub allow_rollup_hdrs: bool,
    /// Whether messages can be read from any replica.
    pub allow_direct: bool,
    /// Whether messages cannot be deleted one by one.
    pub deny_delete: bool,
    /// Whether it cannot be purged.
    pub deny_purge: bool,
}

impl StreamConfig {
    /// A stream with the server's defaults: in files, on one member, without limits.
    pub fn new<S: Into<String>>(
        name: impl Into<String>,
        subjects: impl IntoIterator<Item = S>,
    ) -> Self {
        let subjects = subjects.into_iter().map(Into::into).collect();
        Self { name: name.into(), subjects, ..Self::default() }
    }
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: None,
            subjects: Vec::new(),
            retention: Retention::Limits,
            max_consumers: -1,
            max_msgs: -1,
            max_bytes: -1,
            max_age: Duration::ZERO,
            max_msg_size: -1,
            max_msgs_per_subject: -1,
            discard: Discard::Old,
            storage: Storage::File,
            num_replicas: 1,
            no_ack: false,
            duplicate_window: Duration::ZERO,
            allow_rollup_hdrs: false,
            allow_direct: false,
            deny_delete: false,
            deny_purge: false,
        }
    }
}

/// When messages leave a stream.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Retention {
    /// At its limits.
    #[default]
    Limits,
    /// When all consumers have acknowledged them.
    Interest,
    /// When one consumer has acknowledged them: a work queue.
    WorkQueue,
}

/// Where messages are kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Storage {
    /// In files.
    #[default]
    File,
    /// In memory.
    Memory,
}

/// What becomes of a message that comes when a stream is at a limit.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Discard {
    /// It is kept, and the oldest ones go.
    #[default]
    Old,
    /// It is refused.
    New,
}

/// A stream as it is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamInfo {
    /// Its configuration.
    pub config: StreamConfig,
    /// When it was created, as the server writes it: one that was deleted and made again has another.
    pub created: String,
    /// What is in it.
    pub state: StreamState,
    /// Who has it, in a cluster.
    pub cluster: Option<ClusterInfo>,
}

/// What is in a stream.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
#[non_exhaustive]
pub struct StreamState {
    /// How many messages.
    pub messages: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The number of the oldest one.
    pub first_seq: u64,
    /// The number of the newest one.
    pub last_seq: u64,
    /// How many consumers.
    pub consumer_count: usize,
}

/// Who has a stream or consumer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
#[non_exhaustive]
pub struct ClusterInfo {
    /// The member that leads; `None` while one is elected.
    pub leader: Option<String>,
    /// The others.
    pub replicas: Vec<PeerInfo>,
}

/// A member of a cluster that has a copy of a stream or consumer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its name.
    pub name: String,
    /// Whether its copy is complete.
    pub current: bool,
    /// Whether it is not there.
    pub offline: bool,
}

/// A consumer: a place in a stream that messages are delivered from.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumerConfig {
    /// `Some`: it stays until it is deleted; `None`: it is gone when nobody has pulled for
    /// [`inactive_threshold`](Self::inactive_threshold).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durable_name: Option<String>,
    /// The name of an ephemeral one; a random one if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For whoever looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it begins.
    pub deliver_policy: DeliverPolicy,
    /// The first message, for [`DeliverPolicy::ByStartSequence`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_seq: Option<u64>,
    /// How messages are acknowledged.
    pub ack_policy: AckPolicy,
    /// How long an acknowledgement may take before the message is delivered again; the server's default of 30 s if zero.
    #[serde(with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub ack_wait: Duration,
    /// How often a message is delivered at most; zero: no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_deliver: i64,
    /// Only messages of this subject, which may have wildcards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_subject: Option<String>,
    /// Whether messages come as fast as they can, or as they were published.
    pub replay_policy: ReplayPolicy,
    /// How many messages may be without an acknowledgement; the server's default of 1000 if zero.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
    /// How many pulls may wait; the server's default of 512 if zero.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_waiting: i64,
    /// How many messages may be pulled at a time; zero: no limit. A larger [`Pull`](super::Pull) is an error.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_batch: i64,
    /// Only headers are delivered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub headers_only: bool,
    /// When a consumer that nobody uses is deleted; the server's default if zero.
    #[serde(with = "nanoseconds", skip_serializing_if = "Duration::is_zero")]
    pub inactive_threshold: Duration,
    /// On how many members; zero: as the stream.
    pub num_replicas: usize,
    /// Whether its state is kept in memory.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mem_storage: bool,
}

impl ConsumerConfig {
    /// A consumer that stays, from the beginning of the stream, whose messages are acknowledged one by one.
    pub fn durable(name: impl Into<String>) -> Self {
        Self { durable_name: Some(name.into()), ..Self::default() }
    }

    /// The same for one that is gone when nobody uses it.
    pub fn ephemeral() -> Self {
        Self::default()
    }
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliverPolicy {
    /// At the first message.
    #[default]
    All,
    /// At the last one.
    Last,
    /// At the next one.
    New,
    /// At [`opt_start_seq`](ConsumerConfig::opt_start_seq).
    ByStartSequence,
    /// At the last one of each subject.
    LastPerSubject,
}

/// How messages of a consumer are acknowledged.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AckPolicy {
    /// Each by itself.
    #[default]
    Explicit,
    /// Each for all before it.
    All,
    /// Not at all.
    None,
}

/// How fast messages are delivered.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReplayPolicy {
    /// As fast as they are pulled.
    #[default]
    Instant,
    /// As they were published.
    Original,
}

/// A consumer as it is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
#[non_exhaustive]
pub struct ConsumerInfo {
    /// The stream.
    pub stream_name: String,
    /// Its own name.
    pub name: String,
    /// Its configuration.
    pub config: ConsumerConfig,
    /// How many messages wait for an acknowledgement.
    pub num_ack_pending: u64,
    /// How many of them were delivered again.
    pub num_redelivered: u64,
    /// How many messages were not delivered yet.
    pub num_pending: u64,
    /// How many pulls wait.
    pub num_waiting: u64,
    /// Who has it, in a cluster.
    pub cluster: Option<ClusterInfo>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
