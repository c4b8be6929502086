//! A stream read in order, by a consumer that is made again when it is lost.

use std::time::Duration;

use super::config::{AckPolicy, ConsumerConfig, DeliverPolicy};
use super::context::{JetStream, PAUSE, is_passing};
use super::error::ApiError;
use super::message::JetStreamMessage;
use super::messages::{Messages, Pull};
use crate::nats::NatsError;

/// When it has not been heard for twice as long, there is another consumer.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// Messages of a stream in their order, each once, without acknowledgements.
pub(super) struct Ordered {
    context: JetStream,
    stream: String,
    /// When the stream was created.
    created: String,
    config: ConsumerConfig,
    messages: Messages,
    /// How many messages there were at the beginning.
    pub(super) initial: u64,
    /// The last one in the stream that was given.
    last: u64,
    consumer_sequence: u64,
}

impl Ordered {
    pub(super) async fn new(
        context: &JetStream,
        stream: &str,
        config: ConsumerConfig,
    ) -> Result<Self, NatsError> {
        let config = ConsumerConfig {
            ack_policy: AckPolicy::None,
            max_deliver: 1,
            mem_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(300),
            ..config
        };
        let created = context.stream_info(stream).await?.created;
        let (messages, initial) = Self::open(context, stream, &config).await?;
        Ok(Self {
            context: context.clone(),
            stream: stream.to_owned(),
            created,
            config,
            messages,
            initial,
            last: 0,
            consumer_sequence: 0,
        })
    }

    /// The next message; `None`: the consumer was made again, and [`initial`](Self::initial) is of the new one.
    pub(super) async fn next(&mut self) -> Result<Option<JetStreamMessage>, NatsError> {
        match self.messages.next_or_silence().await {
            Ok(Some(message)) => {
                let metadata = message.metadata();
                if metadata.consumer_sequence == self.consumer_sequence + 1 {
                    self.consumer_sequence += 1;
                    self.last = metadata.stream_sequence;
                    return Ok(Some(message));
                }
                // One was lost on its way.
            }
            // It is on a member that is dead. Nobody says so: another one is quicker than to ask.
            Ok(None) => (),
            // It was on a member that was started again, or nobody pulled for too long.
            Err(NatsError::JetStream(error)) if error.is_not_found() => (),
            Err(error) => return Err(error),
        }
        self.reopen().await?;
        Ok(None)
    }

    /// Goes on behind the last message, as soon as there is a server that can. A stream that was deleted and made again has
    /// other messages under the same numbers: that is the end, as if it were not there.
    async fn reopen(&mut self) -> Result<(), NatsError> {
        let mut config = self.config.clone();
        if self.last > 0 {
            config.deliver_policy = DeliverPolicy::ByStartSequence;
            config.opt_start_seq = Some(self.last + 1);
        }
        let client = self.context.client().clone();
        loop {
            client.connected().await?;
            match self.context.stream_info(&self.stream).await {
                Ok(info) if info.created != self.created => return Err(made_again()),
                Err(error) if !is_passing(&error) => return Err(error),
                _ => (),
            }
            match Self::open(&self.context, &self.stream, &config).await {
                Ok((messages, initial)) => {
                    self.messages.consumer().abandon();
                    (self.messages, self.initial, self.consumer_sequence) = (messages, initial, 0);
                    return Ok(());
                }
                Err(error) if is_passing(&error) => client.event_loop().sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn open(
        context: &JetStream,
        stream: &str,
        config: &ConsumerConfig,
    ) -> Result<(Messages, u64), NatsError> {
        let consumer = context.create_consumer(stream, config).await?;
        let initial = consumer.created().num_pending;
        let pull = Pull::default().times(Duration::from_secs(30), HEARTBEAT);
        Ok((consumer.messages(pull)?.impatient(), initial))
    }
}

fn made_again() -> NatsError {
    let description = "stream not found: it was made again".to_owned();
    NatsError::JetStream(ApiError { code: 404, err_code: 10059, description })
}

impl Drop for Ordered {
    fn drop(&mut self) {
        self.messages.consumer().abandon();
    }
}
