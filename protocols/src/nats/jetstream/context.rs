use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::LONGEST;
use super::config::{ConsumerConfig, ConsumerInfo, StreamConfig, StreamInfo};
use super::consumer::Consumer;
use super::error::ApiError;
use super::publish::{JetStreamPublish, PublishAck};
use crate::nats::codec::check_subject;
use crate::nats::{Client, Message, NatsError, Publish};

/// How long one try may take, as another server may answer the next.
const TRY: Duration = Duration::from_secs(2);

/// How long to wait before the next try.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// JetStream of the cluster that a client is connected to: see the [module](super). A clone is the same.
#[derive(Clone)]
pub struct JetStream {
    pub(super) client: Client,
    prefix: String,
    timeout: Duration,
}

impl JetStream {
    /// JetStream of the client's account.
    pub fn new(client: &Client) -> Self {
        let (prefix, timeout) = ("$JS.API".to_owned(), Duration::from_secs(10));
        Self { client: client.clone(), prefix, timeout }
    }

    /// JetStream of another domain, such as a leaf node's.
    #[must_use]
    pub fn domain(mut self, domain: &str) -> Self {
        self.prefix = format!("$JS.{domain}.API");
        self
    }

    /// How long an operation may take, with all its tries: 10 s by default. One is tried again when no server answers,
    /// as while a leader is elected.
    #[must_use]
    pub fn timeout(mut self, after: Duration) -> Self {
        self.timeout = after.min(LONGEST);
        self
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Creates a stream. One with the same configuration may be there already.
    ///
    /// # Errors
    /// [`NatsError::JetStream`] if it is refused, for example as a stream of this name has another configuration;
    /// [`NatsError::NoResponders`] without JetStream; [`NatsError::TimedOut`].
    pub async fn create_stream(&self, config: &StreamConfig) -> Result<StreamInfo, NatsError> {
        check_name(&config.name)?;
        let operation = format!("STREAM.CREATE.{}", config.name);
        let outcome = self.api(&operation, config).await;
        let Err(NatsError::JetStream(error)) = &outcome else { return outcome };
        // Of several who create a stream at the same moment, servers tell some that the subjects are another stream's,
        // when they are those of this very stream. It is there by then: asked again, servers compare configurations.
        if error.are_subjects_in_use() && self.stream_info(&config.name).await.is_ok() {
            return self.api(&operation, config).await;
        }
        outcome
    }

    /// Changes a stream.
    ///
    /// # Errors
    /// As for [`create_stream`](Self::create_stream).
    pub async fn update_stream(&self, config: &StreamConfig) -> Result<StreamInfo, NatsError> {
        check_name(&config.name)?;
        self.api(&format!("STREAM.UPDATE.{}", config.name), config).await
    }

    /// A stream as it is.
    ///
    /// # Errors
    /// As for [`create_stream`](Self::create_stream); [`ApiError::is_not_found`].
    pub async fn stream_info(&self, name: &str) -> Result<StreamInfo, NatsError> {
        check_name(name)?;
        self.api(&format!("STREAM.INFO.{name}"), &()).await
    }

    /// Deletes a stream with its messages and consumers.
    ///
    /// # Errors
    /// As for [`stream_info`](Self::stream_info).
    pub async fn delete_stream(&self, name: &str) -> Result<(), NatsError> {
        check_name(name)?;
        let _: Success = self.api(&format!("STREAM.DELETE.{name}"), &()).await?;
        Ok(())
    }

    /// Deletes the messages of a stream: all, or those of a subject. Gives their number.
    ///
    /// # Errors
    /// As for [`stream_info`](Self::stream_info).
    pub async fn purge_stream(&self, name: &str, subject: Option<&str>) -> Result<u64, NatsError> {
        #[derive(Serialize)]
        struct Purge<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            filter: Option<&'a str>,
        }
        #[derive(Deserialize)]
        struct Purged {
            purged: u64,
        }
        check_name(name)?;
        let purged: Purged =
            self.api(&format!("STREAM.PURGE.{name}"), &Purge { filter: subject }).await?;
        Ok(purged.purged)
    }

    /// Creates a consumer, or finds the one of this name and configuration.
    ///
    /// # Errors
    /// As for [`create_stream`](Self::create_stream).
    pub async fn create_consumer(
        &self,
        stream: &str,
        config: &ConsumerConfig,
    ) -> Result<Consumer, NatsError> {
        check_name(stream)?;
        let mut config = config.clone();
        let given = config.durable_name.as_ref().or(config.name.as_ref()).cloned();
        given.as_deref().map_or(Ok(()), check_name)?;
        // In the subject for permissions; one with wildcards is no subject to publish to.
        let filter = config.filter_subject.as_deref();
        let filter = filter.filter(|filter| check_subject(filter.as_bytes()).is_ok());
        let filter = filter.map_or(String::new(), |filter| format!(".{filter}"));
        #[derive(Serialize)]
        struct Create<'a> {
            stream_name: &'a str,
            config: &'a ConsumerConfig,
        }
        let event_loop = self.client.event_loop();
        let deadline = event_loop.time() + self.timeout;
        loop {
            let name = given.clone().unwrap_or_else(|| self.random_name());
            config.name = Some(name.clone());
            let create = Create { stream_name: stream, config: &config };
            let operation = format!("CONSUMER.CREATE.{stream}.{name}{filter}");
            // A server may give a consumer to a member that is dead, and never answer. Another name is another choice.
            let until =
                if given.is_some() { deadline } else { deadline.min(event_loop.time() + TRY) };
            match self.api_until::<ConsumerInfo>(&operation, &create, until).await {
                Err(NatsError::TimedOut) if event_loop.time() < deadline => (),
                outcome => return Ok(Consumer::new(self, outcome?)),
            }
        }
    }

    /// A consumer that is there.
    ///
    /// # Errors
    /// As for [`stream_info`](Self::stream_info).
    pub async fn consumer(&self, stream: &str, name: &str) -> Result<Consumer, NatsError> {
        Ok(Consumer::new(self, self.consumer_info(stream, name).await?))
    }

    /// A consumer as it is.
    ///
    /// # Errors
    /// As for [`stream_info`](Self::stream_info).
    pub async fn consumer_info(&self, stream: &str, name: &str) -> Result<ConsumerInfo, NatsError> {
        check_name(stream)?;
        check_name(name)?;
        self.api(&format!("CONSUMER.INFO.{stream}.{name}"), &()).await
    }

    /// Deletes a consumer.
    ///
    /// # Errors
    /// As for [`stream_info`](Self::stream_info).
    pub async fn delete_consumer(&self, stream: &str, name: &str) -> Result<(), NatsError> {
        check_name(stream)?;
        check_name(name)?;
        let _: Success = self.api(&format!("CONSUMER.DELETE.{stream}.{name}"), &()).await?;
        Ok(())
    }

    /// Publishes a message, now; the future waits until a stream has kept it. To have many under way, collect their
    /// futures.
    ///
    /// # Errors
    /// [`NatsError::NoResponders`] when no stream has this subject; [`NatsError::TimedOut`]: it may have been kept or
    /// not. With a [message id](JetStreamPublish::message_id) it is then tried again, and kept once.
    pub fn publish(
        &self,
        subject: &str,
        payload: impl AsRef<[u8]>,
    ) -> impl Future<Output = Result<PublishAck, NatsError>> {
        self.publish_message(JetStreamPublish::new(subject, payload.as_ref()))
    }

    /// As [`publish`](Self::publish), with a message id, headers, and conditions.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish); [`NatsError::JetStream`] when a condition does not hold.
    pub fn publish_message(
        &self,
        message: JetStreamPublish,
    ) -> impl Future<Output = Result<PublishAck, NatsError>> + use<> {
        let context = self.clone();
        let first = context.try_publish(&message);
        async move {
            let deadline = context.client.event_loop().time() + context.timeout;
            let mut outcome = first.await;
            loop {
                let is_repeatable = match &outcome {
                    Err(NatsError::TimedOut) => message.has_id(),
                    Err(error) => is_passing(error),
                    Ok(_) => false,
                };
                if !is_repeatable || context.client.event_loop().time() >= deadline {
                    return outcome;
                }
                context.client.event_loop().sleep(PAUSE).await;
                context.connected_until(deadline).await?;
                outcome = context.try_publish(&message).await;
            }
        }
    }

    fn try_publish(
        &self,
        message: &JetStreamPublish,
    ) -> impl Future<Output = Result<PublishAck, NatsError>> + use<> {
        let after = if message.has_id() { TRY.min(self.timeout) } else { self.timeout };
        let answer = self.client.request_message(message.as_publish(), after);
        async move { parse(&answer.await?) }
    }

    /// A request of the API, tried again while no server answers.
    pub(super) async fn api<T: DeserializeOwned>(
        &self,
        operation: &str,
        request: &impl Serialize,
    ) -> Result<T, NatsError> {
        let deadline = self.client.event_loop().time() + self.timeout;
        self.api_until(operation, request, deadline).await
    }

    /// A request without content, which is not tried again.
    pub(super) async fn api_once<T: DeserializeOwned>(
        &self,
        operation: &str,
    ) -> Result<T, NatsError> {
        let subject = self.api_subject(operation);
        let answer = self.client.request_message(Publish::new(&subject, ""), TRY);
        parse(&answer.await?)
    }

    async fn api_until<T: DeserializeOwned>(
        &self,
        operation: &str,
        request: &impl Serialize,
        deadline: Instant,
    ) -> Result<T, NatsError> {
        let subject = self.api_subject(operation);
        let json =
            serde_json::to_vec(request).map_err(|error| NatsError::Invalid(error.to_string()))?;
        let payload = if json == b"null" { &[] } else { &json[..] };
        let event_loop = self.client.event_loop();
        loop {
            self.connected_until(deadline).await?;
            let left = deadline.saturating_duration_since(event_loop.time());
            let answer =
                self.client.request_message(Publish::new(&subject, payload), TRY.min(left));
            let outcome = answer.await.and_then(|answer| parse(&answer));
            if !outcome.as_ref().is_err_and(is_passing) || event_loop.time() + PAUSE >= deadline {
                return outcome;
            }
            event_loop.sleep(PAUSE).await;
        }
    }

    /// Requests are not kept for the next connection: who has given up does not want them any more.
    async fn connected_until(&self, deadline: Instant) -> Result<(), NatsError> {
        if self.client.is_connected() {
            return Ok(());
        }
        let connected = self.client.event_loop().timeout_at(deadline, self.client.connected());
        connected.await.map_err(|_| NatsError::TimedOut)?
    }

    pub(super) fn api_subject(&self, operation: &str) -> String {
        format!("{}.{operation}", self.prefix)
    }

    fn random_name(&self) -> String {
        // The part of an inbox that is random, and its number.
        self.client.new_inbox().replace("_INBOX.", "").replace('.', "")
    }
}

impl fmt::Debug for JetStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("JetStream").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// No server answers now, or none that can.
pub(super) fn is_passing(error: &NatsError) -> bool {
    match error {
        NatsError::NoResponders | NatsError::TimedOut => true,
        NatsError::JetStream(error) => error.is_passing(),
        _ => false,
    }
}

/// Names are tokens of subjects.
pub(super) fn check_name(name: &str) -> Result<(), NatsError> {
    let is_bad =
        |character: char| character <= ' ' || character == '\x7f' || ".*>/\\".contains(character);
    if name.is_empty() || name.len() > 255 || name.contains(is_bad) {
        return Err(NatsError::Invalid(format!("the name {name:?} of a stream or consumer")));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Success {}

#[derive(Deserialize)]
struct Refusal {
    error: Option<ApiError>,
}

/// The JSON of an answer, or the error in it.
fn parse<T: DeserializeOwned>(answer: &Message) -> Result<T, NatsError> {
    let unexpected = |error: serde_json::Error| NatsError::Unexpected(error.to_string());
    let refusal: Refusal = serde_json::from_slice(answer.payload()).map_err(unexpected)?;
    match refusal.error {
        Some(error) => Err(NatsError::JetStream(error)),
        None => serde_json::from_slice(answer.payload()).map_err(unexpected),
    }
}
