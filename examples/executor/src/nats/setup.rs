//! Stream, bucket and consumers, made by whoever comes first.

use std::time::Duration;

use wharf_protocols::nats::NatsError;
use wharf_protocols::nats::jetstream::{
    AckPolicy, Consumer, ConsumerConfig, JetStream, KeyValue, KeyValueConfig, Retention,
    StreamConfig,
};

use super::names::{Class, Names};
use super::options::NatsOptions;
use crate::task::Kind;

/// How long a cluster that is starting may take to be complete.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many bytes of what tasks write are kept, of all together, and where there is no room for that.
const MOST_OUTPUT: [i64; 2] = [1 << 30, 1 << 26];
/// How many messages of what one task writes are kept.
const MOST_PARTS: i64 = 1024;
/// The consumer of tasks that cannot run yet.
pub(super) const LATER: &str = "later";
/// How long until it is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// The bucket of records, that of schedules, and how long the first one keeps records.
type Opened = (KeyValue, KeyValue, Duration);

/// Makes the stream and the buckets unless they are there. Who does not wait until a bucket is made must not read it: that is
/// the end of some servers.
pub(super) async fn open(
    jetstream: &JetStream,
    names: &Names,
    options: &NatsOptions,
) -> Result<Opened, NatsError> {
    let mut stream = StreamConfig::new(names.stream(), names.subjects());
    stream.retention = Retention::WorkQueue;
    stream.num_replicas = options.replicas;
    when_complete(jetstream, async || jetstream.create_stream(&stream).await.map(drop)).await?;
    let there = found(jetstream, &stream.name).await?;
    if there.retention != Retention::WorkQueue || there.subjects != stream.subjects {
        let text = format!("the stream {} is not that of an executor", stream.name);
        return Err(NatsError::Invalid(text));
    }
    let mut bucket = KeyValueConfig::new(names.bucket());
    bucket.num_replicas = options.replicas;
    bucket.max_age = options.keep;
    when_complete(jetstream, async || KeyValue::create_bucket(jetstream, &bucket).await.map(drop))
        .await?;
    let keep = found(jetstream, &format!("KV_{}", bucket.bucket)).await?.max_age;
    let bucket = once_there(jetstream, async || KeyValue::bucket(jetstream, &bucket.bucket).await);
    let control = control(jetstream, names, options.replicas).await?;
    Ok((bucket.await?, control, keep))
}

/// Makes the bucket of schedules unless it is there, and gives it.
pub(super) async fn control(
    jetstream: &JetStream,
    names: &Names,
    replicas: usize,
) -> Result<KeyValue, NatsError> {
    let mut bucket = KeyValueConfig::new(names.control());
    bucket.num_replicas = replicas;
    when_complete(jetstream, async || KeyValue::create_bucket(jetstream, &bucket).await.map(drop))
        .await?;
    once_there(jetstream, async || KeyValue::bucket(jetstream, &bucket.bucket).await).await
}

/// Makes the stream of what tasks write unless it is there. At its limits the oldest goes. Servers set its bytes aside, and
/// may have fewer.
pub(super) async fn output(
    jetstream: &JetStream,
    names: &Names,
    replicas: usize,
    keep: Duration,
) -> Result<(), NatsError> {
    let mut stream = StreamConfig::new(names.output_stream(), [names.all_output()]);
    stream.num_replicas = replicas;
    stream.max_age = keep;
    stream.max_msgs_per_subject = MOST_PARTS;
    let mut outcome = Ok(());
    for bytes in MOST_OUTPUT {
        stream.max_bytes = bytes;
        outcome = match jetstream.create_stream(&stream).await {
            Err(NatsError::JetStream(error)) if error.is_stream_name_in_use() => Ok(()),
            created => created.map(drop),
        };
        if !matches!(&outcome, Err(NatsError::JetStream(error)) if !error.is_passing()) {
            break;
        }
    }
    outcome
}

/// The consumer of a queue that workers share.
pub(super) async fn queue(
    jetstream: &JetStream,
    names: &Names,
    class: Class,
    kind: &Kind,
    lease: Duration,
) -> Result<Consumer, NatsError> {
    consumer(jetstream, names, names.consumer(class, kind), names.filter(class, kind), lease).await
}

/// The consumer of tasks that cannot run yet.
pub(super) async fn later(
    jetstream: &JetStream,
    names: &Names,
    lease: Duration,
) -> Result<Consumer, NatsError> {
    consumer(jetstream, names, LATER.to_owned(), names.all_later(), lease).await
}

async fn consumer(
    jetstream: &JetStream,
    names: &Names,
    name: String,
    filter: String,
    lease: Duration,
) -> Result<Consumer, NatsError> {
    if let Ok(found) = jetstream.consumer(&names.stream(), &name).await {
        return Ok(found);
    }
    let mut config = ConsumerConfig::durable(name);
    config.filter_subject = Some(filter);
    config.ack_policy = AckPolicy::Explicit;
    config.ack_wait = lease.max(Duration::from_secs(1));
    // Those that wait to be tried again must not keep others from being delivered.
    config.max_ack_pending = -1;
    jetstream.create_consumer(&names.stream(), &config).await
}

/// A stream that is there, or soon is.
async fn found(jetstream: &JetStream, name: &str) -> Result<StreamConfig, NatsError> {
    let info = once_there(jetstream, async || jetstream.stream_info(name).await);
    info.await.map(|info| info.config)
}

/// Asks for what is there, or soon is: of several who make it at once, some are told so before, and members of a cluster
/// come to know it one after the other.
async fn once_there<T>(
    jetstream: &JetStream,
    ask: impl AsyncFn() -> Result<T, NatsError>,
) -> Result<T, NatsError> {
    let event_loop = jetstream.client().event_loop();
    let deadline = event_loop.time() + PATIENCE;
    loop {
        match ask().await {
            Err(NatsError::JetStream(error))
                if error.is_not_found() && event_loop.time() < deadline =>
            {
                event_loop.sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Tries it while there are too few servers; what is there with another configuration is taken as it is.
async fn when_complete(
    jetstream: &JetStream,
    create: impl AsyncFn() -> Result<(), NatsError>,
) -> Result<(), NatsError> {
    let event_loop = jetstream.client().event_loop();
    let deadline = event_loop.time() + PATIENCE;
    loop {
        match create().await {
            Err(NatsError::JetStream(error)) if error.is_stream_name_in_use() => return Ok(()),
            // No suitable peers for placement.
            Err(NatsError::JetStream(error))
                if error.err_code == 10005 && event_loop.time() < deadline =>
            {
                event_loop.sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
