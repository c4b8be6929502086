use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::LONGEST;
use super::consumer::{Consumer, PullRequest};
use super::context::PAUSE;
use super::message::JetStreamMessage;
use super::status::Status;
use crate::nats::{Client, Message, NatsError, SlowConsumer, Subscription};

/// How many bytes of messages wait to be taken. More is not read: a server sends no more messages than were asked for.
const CAPACITY_BYTES: usize = 256 * 1024 * 1024;

/// After how much silence it is asked whether the consumer is still there: two heartbeats that were missed, or four
/// pulls that nobody took.
const PATIENCE: u32 = 4;

/// How messages are pulled.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Pull {
    /// How many messages are asked for at a time; the next ones when half of them have come. 200 by default.
    pub batch: usize,
    /// How long the server keeps a pull: 30 s by default.
    pub expires: Duration,
    /// How often the server says that it is still there: 5 s by default. When it has not for twice as long, it is asked
    /// again. At most half of `expires`; zero: never.
    pub heartbeat: Duration,
}

impl Pull {
    /// Pulls of so many messages, otherwise the default.
    pub fn batch(batch: usize) -> Self {
        Self { batch: batch.max(1), ..Self::default() }
    }

    /// With this expiry and heartbeat.
    #[must_use]
    pub fn times(mut self, expires: Duration, heartbeat: Duration) -> Self {
        (self.expires, self.heartbeat) = (expires, heartbeat);
        self
    }
}

impl Default for Pull {
    fn default() -> Self {
        let (expires, heartbeat) = (Duration::from_secs(30), Duration::from_secs(5));
        Self { batch: 200, expires, heartbeat }
    }
}

/// Messages of a consumer without an end: see [`Consumer::messages`].
///
/// It goes on by itself after a reconnect, a missed heartbeat, and a change of the leader. Messages that were
/// delivered to it and are dropped with it come again.
pub struct Messages {
    consumer: Consumer,
    subscription: Subscription,
    inbox: String,
    pull: Pull,
    /// How many messages are still to come of what was pulled.
    outstanding: usize,
    /// The connection that it was pulled on.
    connection: u64,
    /// When something came last.
    heard: Instant,
    /// Not before.
    pull_at: Option<Instant>,
    /// Two for each heartbeat that was missed in a row, and one for each pull that nobody took.
    silence: u32,
    /// How much of it there may be.
    patience: u32,
}

impl Messages {
    pub(super) fn new(consumer: &Consumer, pull: Pull) -> Result<Self, NatsError> {
        let pull = Pull { expires: pull.expires.min(LONGEST), ..pull };
        if pull.batch == 0 || pull.heartbeat > pull.expires / 2 {
            return Err(NatsError::Invalid(
                "a heartbeat above half of the expiry of a pull".to_owned(),
            ));
        }
        let client = consumer.context.client();
        let inbox = client.new_inbox();
        // The server sends no more than was asked for; what is above that is heartbeats.
        let subscription = client
            .subscription(&inbox)
            .capacity(pull.batch.saturating_mul(4).saturating_add(64))
            .capacity_bytes(CAPACITY_BYTES)
            .slow_consumer(SlowConsumer::Pause)
            .start()?;
        Ok(Self {
            consumer: consumer.clone(),
            subscription,
            inbox,
            pull,
            outstanding: 0,
            connection: client.connections(),
            heard: client.event_loop().time(),
            pull_at: None,
            silence: 0,
            patience: PATIENCE,
        })
    }

    /// The next message. It is to be acknowledged, as the consumer wants it. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`NatsError::JetStream`] if the consumer is gone or refuses to be pulled; [`NatsError::Closed`].
    pub async fn next(&mut self) -> Result<JetStreamMessage, NatsError> {
        loop {
            if let Some(message) = self.next_or_silence().await? {
                return Ok(message);
            }
            // Who deletes a consumer does not tell those whose server is gone.
            match self.consumer.ask_once().await {
                Err(NatsError::JetStream(error)) if error.is_not_found() => {
                    return Err(NatsError::JetStream(error));
                }
                Err(NatsError::Closed) => return Err(NatsError::Closed),
                // Whatever else: it is pulled again.
                _ => (),
            }
        }
    }

    /// The next message; `None`: nothing was heard of the consumer for a while. The next call goes on pulling.
    pub(super) async fn next_or_silence(&mut self) -> Result<Option<JetStreamMessage>, NatsError> {
        let now = self.client().event_loop().time();
        if self.subscription.is_empty() && self.pull_at.is_none() && self.deadline() < now {
            // Nobody has asked for a while, nor pulled.
            self.silence += 1;
            self.outstanding = 0;
            self.heard = now;
            if self.is_too_silent() {
                return Ok(None);
            }
        }
        loop {
            if let Some(message) = self.subscription.try_next() {
                if let Some(message) = self.take(message)? {
                    return Ok(Some(message));
                }
                continue;
            }
            let now = self.client().event_loop().time();
            self.keep_pulling(now)?;
            match self.wait(now).await? {
                Some(message) => {
                    if let Some(message) = self.take(message)? {
                        return Ok(Some(message));
                    }
                }
                None if self.is_silent() => return Ok(None),
                None => (),
            }
        }
    }

    /// With less patience: one heartbeat that was missed, or two pulls that nobody took.
    pub(super) fn impatient(mut self) -> Self {
        self.patience = PATIENCE / 2;
        self
    }

    /// The consumer.
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    fn client(&self) -> &Client {
        self.consumer.context.client()
    }

    /// Asks for more if less than half of a batch is to come.
    fn keep_pulling(&mut self, now: Instant) -> Result<(), NatsError> {
        let connection = self.client().connections();
        if connection != self.connection {
            // The server that was asked has forgotten it.
            self.connection = connection;
            self.outstanding = 0;
            self.pull_at = None;
            self.heard = now;
        }
        let is_due = self.pull_at.is_none_or(|at| at <= now);
        if self.outstanding <= self.pull.batch / 2 && is_due && self.client().is_connected() {
            let batch = self.pull.batch - self.outstanding;
            let request = PullRequest {
                batch,
                expires: self.pull.expires,
                idle_heartbeat: self.pull.heartbeat,
                ..PullRequest::default()
            };
            if self.outstanding == 0 {
                self.heard = now;
            }
            self.consumer.send(&request, &self.inbox)?;
            self.outstanding += batch;
            self.pull_at = None;
        }
        Ok(())
    }

    /// Waits for a message; `None`: it is time to look what is wrong.
    async fn wait(&mut self, now: Instant) -> Result<Option<Message>, NatsError> {
        let client = self.client().clone();
        let deadline = client.is_connected().then(|| self.deadline());
        let mut reconnected = pin!(client.reconnected(self.connection));
        let subscription = &mut self.subscription;
        let woken = poll_fn(|context| {
            if let Poll::Ready(message) = subscription.poll_next(context) {
                return Poll::Ready(message.ok_or(NatsError::Closed).map(Some));
            }
            reconnected.as_mut().poll(context).map(|()| Ok(None))
        });
        let Some(deadline) = deadline else { return woken.await };
        let left = deadline.saturating_duration_since(now);
        client.event_loop().timeout(left, woken).await.unwrap_or(Ok(None))
    }

    /// When it is time to pull again.
    fn deadline(&self) -> Instant {
        let silence = if self.pull.heartbeat.is_zero() {
            self.pull.expires + Duration::from_secs(5)
        } else {
            self.pull.heartbeat * 2
        };
        let deadline = self.heard + silence;
        self.pull_at.map_or(deadline, |at| deadline.min(at))
    }

    /// Nothing came for a while, or a pause is over: whether the consumer may be gone.
    fn is_silent(&mut self) -> bool {
        let now = self.client().event_loop().time();
        if self.client().connections() != self.connection {
            return false;
        }
        if !self.client().is_connected() {
            self.heard = now;
            return false;
        }
        if self.pull_at.is_none_or(|at| at > now) {
            // A heartbeat was missed.
            self.silence += 2;
            self.outstanding = 0;
            self.heard = now;
        }
        self.is_too_silent()
    }

    fn is_too_silent(&mut self) -> bool {
        let is_too_long = self.silence >= self.patience;
        if is_too_long {
            self.silence = 0;
        }
        is_too_long
    }

    fn take(&mut self, message: Message) -> Result<Option<JetStreamMessage>, NatsError> {
        let now = self.client().event_loop().time();
        self.heard = now;
        let status = Status::of(&message);
        if status == Some(Status::NoResponders) {
            self.silence += 1;
        } else {
            self.silence = 0;
        }
        match status {
            None => {
                self.outstanding = self.outstanding.saturating_sub(1);
                return JetStreamMessage::new(self.client(), message).map(Some);
            }
            Some(Status::Heartbeat) => (),
            Some(Status::Over { left }) => {
                self.outstanding = left.map_or(0, |left| self.outstanding.saturating_sub(left));
            }
            Some(Status::Moved(_) | Status::NoResponders | Status::Busy(_)) => {
                self.outstanding = 0;
                self.pull_at = Some(now + PAUSE);
            }
            Some(status) => return Err(status.into_error()),
        }
        Ok(None)
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Messages")
            .field("consumer", &self.consumer)
            .field("waiting", &self.subscription.len())
            .finish_non_exhaustive()
    }
}
