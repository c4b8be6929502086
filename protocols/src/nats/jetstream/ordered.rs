//! A stream read in order, by a consumer that is made again when it is lost.

use std::time::Duration;

use super::config::{AckPolicy, ConsumerConfig, DeliverPolicy};
use super::context::JetStream;
use super::message::JetStreamMessage;
use super::messages::{Messages, Pull};
use crate::nats::NatsError;

/// Messages of a stream in their order, each once, without acknowledgements.
pub(super) struct Ordered {
    context: JetStream,
    stream: String,
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
        let (messages, initial) = Self::open(context, stream, &config).await?;
        Ok(Self {
            context: context.clone(),
            stream: stream.to_owned(),
            config,
            messages,
            initial,
            last: 0,
            consumer_sequence: 0,
        })
    }

    pub(super) async fn next(&mut self) -> Result<JetStreamMessage, NatsError> {
        loop {
            match self.messages.next().await {
                Ok(message) => {
                    let metadata = message.metadata();
                    if metadata.consumer_sequence == self.consumer_sequence + 1 {
                        self.consumer_sequence += 1;
                        self.last = metadata.stream_sequence;
                        return Ok(message);
                    }
                    // One was lost on its way.
                }
                // It was on a member that is gone, or nobody pulled for too long.
                Err(NatsError::JetStream(error)) if error.is_not_found() => (),
                Err(error) => return Err(error),
            }
            self.reopen().await?;
        }
    }

    /// Goes on behind the last message.
    async fn reopen(&mut self) -> Result<(), NatsError> {
        let mut config = self.config.clone();
        if self.last > 0 {
            config.deliver_policy = DeliverPolicy::ByStartSequence;
            config.opt_start_seq = Some(self.last + 1);
        }
        let (messages, _) = Self::open(&self.context, &self.stream, &config).await?;
        self.messages = messages;
        self.consumer_sequence = 0;
        Ok(())
    }

    async fn open(
        context: &JetStream,
        stream: &str,
        config: &ConsumerConfig,
    ) -> Result<(Messages, u64), NatsError> {
        let consumer = context.create_consumer(stream, config).await?;
        let initial = consumer.created().num_pending;
        Ok((consumer.messages(Pull::default())?, initial))
    }
}
