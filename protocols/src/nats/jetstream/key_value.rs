use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use wharf::bytes::Bytes;

use super::config::{ConsumerConfig, DeliverPolicy, Discard, Storage, StreamConfig};
use super::context::{JetStream, check_name};
use super::message::JetStreamMessage;
use super::ordered::Ordered;
use super::publish::JetStreamPublish;
use crate::nats::NatsError;
use crate::nats::codec::{HeaderBlock, check_subscription};

/// A bucket of keys to be created: see [`KeyValue::create_bucket`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyValueConfig {
    /// The name: letters, digits, `-` and `_`.
    pub bucket: String,
    /// How many values of a key are kept, 1 to 64; 1 by default.
    pub history: u8,
    /// How long a value is kept; zero, the default: for ever.
    pub max_age: Duration,
    /// The longest value, in bytes; -1, the default: no limit.
    pub max_value_size: i64,
    /// The most bytes in all; -1, the default: no limit.
    pub max_bytes: i64,
    /// Where it is kept.
    pub storage: Storage,
    /// On how many members of the cluster.
    pub num_replicas: usize,
}

impl KeyValueConfig {
    /// A bucket with the defaults.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            history: 1,
            max_age: Duration::ZERO,
            max_value_size: -1,
            max_bytes: -1,
            storage: Storage::File,
            num_replicas: 1,
        }
    }
}

/// A bucket of keys and values, kept in a stream. A clone is the same bucket.
///
/// Each change of a key has a revision: its number in the stream. [`update`](Self::update) changes a key only if its
/// revision is still the one that was read. Reads go to the leader, so that they see what was written before.
///
/// ```no_run
/// use wharf_protocols::nats::Options;
/// use wharf_protocols::nats::jetstream::{JetStream, KeyValue, KeyValueConfig};
///
/// fn main() -> wharf::Result {
///     wharf::run(async |event_loop| {
///         let client = Options::new().connect(&event_loop, ["localhost"]).await?;
///         let jetstream = JetStream::new(&client);
///         let bucket = KeyValue::create_bucket(&jetstream, &KeyValueConfig::new("settings")).await?;
///         let first = bucket.put("color", "red").await?;
///         bucket.update("color", "green", first).await?;
///         assert!(bucket.update("color", "blue", first).await.is_err());
///         let entry = bucket.get("color").await?.expect("it is there");
///         assert_eq!(entry.value, "green");
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone)]
pub struct KeyValue {
    context: JetStream,
    bucket: String,
    stream: String,
    prefix: String,
}

/// A value of a key at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value; empty where it was deleted.
    pub value: Bytes,
    /// The number of the change.
    pub revision: u64,
    /// What was done.
    pub operation: Operation,
}

/// What was done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// It has a value.
    Put,
    /// It was deleted; its history is there.
    Delete,
    /// It was deleted with its history.
    Purge,
}

impl KeyValue {
    /// Creates a bucket. One with the same configuration may be there already.
    ///
    /// # Errors
    /// As for [`JetStream::create_stream`].
    pub async fn create_bucket(
        context: &JetStream,
        config: &KeyValueConfig,
    ) -> Result<Self, NatsError> {
        let bucket = Self::named(context, &config.bucket)?;
        if !(1..=64).contains(&config.history) {
            return Err(NatsError::Invalid("the history of a bucket is 1 to 64 values".to_owned()));
        }
        let mut stream = StreamConfig::new(&bucket.stream, [format!("{}>", bucket.prefix)]);
        stream.max_msgs_per_subject = i64::from(config.history);
        stream.max_age = config.max_age;
        stream.max_msg_size = config.max_value_size;
        stream.max_bytes = config.max_bytes;
        stream.storage = config.storage;
        stream.num_replicas = config.num_replicas;
        stream.discard = Discard::New;
        stream.allow_rollup_hdrs = true;
        stream.allow_direct = true;
        stream.deny_delete = true;
        // The window of duplicates must not be longer than values are kept.
        stream.duplicate_window = Duration::from_secs(120);
        if !config.max_age.is_zero() {
            stream.duplicate_window = stream.duplicate_window.min(config.max_age);
        }
        context.create_stream(&stream).await?;
        Ok(bucket)
    }

    /// A bucket that is there.
    ///
    /// # Errors
    /// As for [`JetStream::stream_info`].
    pub async fn bucket(context: &JetStream, name: &str) -> Result<Self, NatsError> {
        let bucket = Self::named(context, name)?;
        context.stream_info(&bucket.stream).await?;
        Ok(bucket)
    }

    fn named(context: &JetStream, name: &str) -> Result<Self, NatsError> {
        check_name(name)?;
        let (context, bucket) = (context.clone(), name.to_owned());
        let (stream, prefix) = (format!("KV_{name}"), format!("$KV.{name}."));
        Ok(Self { context, bucket, stream, prefix })
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.bucket
    }

    /// Deletes the bucket with all that is in it.
    ///
    /// # Errors
    /// As for [`JetStream::delete_stream`].
    pub async fn delete_bucket(self) -> Result<(), NatsError> {
        self.context.delete_stream(&self.stream).await
    }

    /// The value of a key; `None` if there is none.
    ///
    /// # Errors
    /// [`NatsError::Invalid`] for a key that is none; those of [`JetStream::stream_info`].
    pub async fn get(&self, key: &str) -> Result<Option<Entry>, NatsError> {
        let entry = self.entry(key).await?;
        Ok(entry.filter(|entry| entry.operation == Operation::Put))
    }

    /// What was done to a key last, deletions included; `None` if nothing is known of it.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn entry(&self, key: &str) -> Result<Option<Entry>, NatsError> {
        let subject = self.subject(key)?;
        self.read(&ReadRequest { last_by_subj: Some(&subject), seq: None }).await
    }

    /// The value of a key at a revision; `None` if that is another key's, or no longer kept.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn entry_at(&self, key: &str, revision: u64) -> Result<Option<Entry>, NatsError> {
        self.subject(key)?;
        let entry = self.read(&ReadRequest { last_by_subj: None, seq: Some(revision) }).await?;
        Ok(entry.filter(|entry| entry.key == key))
    }

    /// Sets a key, whatever it is. Gives the revision.
    ///
    /// # Errors
    /// [`NatsError::Invalid`] for a key that is none; those of [`JetStream::publish`].
    pub async fn put(&self, key: &str, value: impl AsRef<[u8]>) -> Result<u64, NatsError> {
        self.publish(JetStreamPublish::new(self.subject(key)?, value.as_ref())).await
    }

    /// Sets a key that has no value.
    ///
    /// # Errors
    /// [`ApiError::is_wrong_last_sequence`](super::ApiError::is_wrong_last_sequence) if it has one; those of
    /// [`put`](Self::put).
    pub async fn create(&self, key: &str, value: impl AsRef<[u8]>) -> Result<u64, NatsError> {
        let value = value.as_ref();
        let outcome = self.update(key, value, 0).await;
        match outcome {
            Err(NatsError::JetStream(error)) if error.is_wrong_last_sequence() => {
                // It may have been deleted.
                match self.entry(key).await? {
                    Some(entry) if entry.operation != Operation::Put => {
                        self.update(key, value, entry.revision).await
                    }
                    _ => Err(NatsError::JetStream(error)),
                }
            }
            outcome => outcome,
        }
    }

    /// Sets a key whose revision is still `revision`; 0: that was never set.
    ///
    /// # Errors
    /// [`ApiError::is_wrong_last_sequence`](super::ApiError::is_wrong_last_sequence) if it is another; those of
    /// [`put`](Self::put).
    pub async fn update(
        &self,
        key: &str,
        value: impl AsRef<[u8]>,
        revision: u64,
    ) -> Result<u64, NatsError> {
        let message = JetStreamPublish::new(self.subject(key)?, value.as_ref());
        self.publish(message.expected_last_subject_sequence(revision)).await
    }

    /// Deletes a key; its history stays.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn delete(&self, key: &str) -> Result<u64, NatsError> {
        let message = JetStreamPublish::new(self.subject(key)?, Vec::new());
        self.publish(message.header("KV-Operation", "DEL")?).await
    }

    /// Deletes a key with its history.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn purge(&self, key: &str) -> Result<u64, NatsError> {
        let message = JetStreamPublish::new(self.subject(key)?, Vec::new());
        let message = message.header("KV-Operation", "PURGE")?.header("Nats-Rollup", "sub")?;
        self.publish(message).await
    }

    /// The changes of a key that are kept, the oldest first.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn history(&self, key: &str) -> Result<Vec<Entry>, NatsError> {
        self.subject(key)?;
        let mut watch = self.watch_from(key, DeliverPolicy::All).await?;
        let mut entries = Vec::new();
        while let Update::Entry(entry) = watch.next().await? {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The keys that have a value, sorted.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn keys(&self) -> Result<Vec<String>, NatsError> {
        let mut watch = self.watch(">").await?;
        let mut keys = BTreeSet::new();
        while let Update::Entry(entry) = watch.next().await? {
            if entry.operation == Operation::Put {
                keys.insert(entry.key);
            } else {
                keys.remove(&entry.key);
            }
        }
        Ok(keys.into_iter().collect())
    }

    /// The values of keys, which may have wildcards, and then each change.
    ///
    /// # Errors
    /// [`NatsError::Refused`] for what is no key and no pattern; those of [`JetStream::create_consumer`].
    pub async fn watch(&self, keys: &str) -> Result<Watch, NatsError> {
        self.watch_from(keys, DeliverPolicy::LastPerSubject).await
    }

    async fn watch_from(&self, keys: &str, policy: DeliverPolicy) -> Result<Watch, NatsError> {
        check_subscription(keys.as_bytes())?;
        let config = ConsumerConfig {
            deliver_policy: policy,
            filter_subject: Some(format!("{}{keys}", self.prefix)),
            ..ConsumerConfig::ephemeral()
        };
        let messages = Ordered::new(&self.context, &self.stream, config).await?;
        let left = messages.initial;
        Ok(Watch { messages, prefix: self.prefix.clone(), left, is_current: false })
    }

    async fn publish(&self, message: JetStreamPublish) -> Result<u64, NatsError> {
        Ok(self.context.publish_message(message).await?.seq)
    }

    async fn read(&self, request: &ReadRequest<'_>) -> Result<Option<Entry>, NatsError> {
        let operation = format!("STREAM.MSG.GET.{}", self.stream);
        let read = self.context.api::<ReadAnswer>(&operation, request).await;
        let message = match read {
            Ok(answer) => answer.message,
            Err(NatsError::JetStream(error)) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let unexpected = || NatsError::Unexpected("a stored message".to_owned());
        let key = message.subject.strip_prefix(&self.prefix).ok_or_else(unexpected)?;
        let value = STANDARD.decode(&message.data).map_err(|_| unexpected())?;
        let headers = STANDARD.decode(&message.hdrs).map_err(|_| unexpected())?;
        let headers = HeaderBlock::parse(&headers).ok();
        let operation = headers.and_then(|headers| headers.get("KV-Operation"));
        let operation = Operation::named(operation.unwrap_or_default());
        Ok(Some(Entry {
            key: key.to_owned(),
            value: value.into(),
            revision: message.seq,
            operation,
        }))
    }

    fn subject(&self, key: &str) -> Result<String, NatsError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-/_=.".contains(&byte);
        let is_key = key.bytes().all(is_allowed)
            && !key.is_empty()
            && !key.starts_with('.')
            && !key.ends_with('.')
            && !key.contains("..");
        if !is_key {
            return Err(NatsError::Invalid(format!("the key {key:?}")));
        }
        Ok(format!("{}{key}", self.prefix))
    }
}

impl fmt::Debug for KeyValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeyValue").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Operation {
    fn named(name: &[u8]) -> Self {
        match name {
            b"DEL" => Self::Delete,
            b"PURGE" => Self::Purge,
            _ => Self::Put,
        }
    }
}

/// The values of some keys, and their changes: see [`KeyValue::watch`]. It goes on through reconnects; dropping it ends
/// it.
pub struct Watch {
    messages: Ordered,
    prefix: String,
    /// How many values that were there at the beginning are still to come.
    left: u64,
    is_current: bool,
}

/// What a [`Watch`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Update {
    /// A value, or its deletion.
    Entry(Entry),
    /// All values that were there at the beginning have been told; changes follow. Told once.
    Current,
}

impl Watch {
    /// The next update. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`NatsError::JetStream`] if the bucket is gone, or was made again; [`NatsError::Closed`].
    pub async fn next(&mut self) -> Result<Update, NatsError> {
        loop {
            if self.left == 0 && !self.is_current {
                self.is_current = true;
                return Ok(Update::Current);
            }
            let Some(message) = self.messages.next().await? else {
                self.left = self.messages.initial;
                continue;
            };
            // Some may have been replaced meanwhile, and never come.
            self.left = self.left.saturating_sub(1).min(message.metadata().pending);
            return Ok(Update::Entry(self.entry(&message)?));
        }
    }

    fn entry(&self, message: &JetStreamMessage) -> Result<Entry, NatsError> {
        let key = message.subject().strip_prefix(&self.prefix);
        let key = key.ok_or_else(|| NatsError::Unexpected("a message of no key".to_owned()))?;
        let operation = message.message().header("KV-Operation").unwrap_or_default();
        Ok(Entry {
            key: key.to_owned(),
            value: message.payload_bytes(),
            revision: message.metadata().stream_sequence,
            operation: Operation::named(operation.as_bytes()),
        })
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct ReadRequest<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    last_by_subj: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct ReadAnswer {
    message: Stored,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Stored {
    subject: String,
    seq: u64,
    hdrs: String,
    data: String,
}
