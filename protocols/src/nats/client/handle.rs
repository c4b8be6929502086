use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, LoopFuture};

use super::address::ServerAddress;
use super::error::NatsError;
use super::event::{Event, Events};
use super::link::Link;
use super::message::{Message, Publish};
use super::options::Options;
use super::shared::Shared;
use super::subscribed::{Sink, Subscribed};
use super::subscription::{SubscribeBuilder, Subscription, answers};
use crate::nats::codec::{ClientOp, Pub, ServerInfo};
use crate::reconnect::{Reconnecting, State};

/// A client of a NATS cluster: see the [module](crate::nats) and [`Options`].
///
/// It connects again by itself, to any member of the cluster, and restores its subscriptions. A clone is the same client;
/// when the last one is dropped, the connection is closed, after what was published is sent. Whatever it gives holds
/// on to it only as long as it is said there.
#[derive(Clone)]
#[must_use = "dropping the last handle closes the client"]
pub struct Client {
    pub(super) inner: Rc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Rc<Shared>,
    pub(super) reconnecting: Reconnecting<Link>,
}

impl Client {
    pub(super) fn start(
        event_loop: &EventLoop,
        options: Options,
        servers: Vec<ServerAddress>,
    ) -> Result<Self, NatsError> {
        let shared = Shared::new(event_loop, options);
        let addresses: Vec<_> = servers.iter().map(|server| server.address.clone()).collect();
        let mut known: HashMap<_, _> =
            servers.into_iter().map(|server| (server.address, server.credentials)).collect();
        let first = addresses[0].clone();
        // Servers of one cluster that were not named have the first one's user.
        let default = known.get(&first).cloned().flatten();
        known.retain(|_, credentials| credentials.is_some());
        let making = Rc::clone(&shared);
        let naming = first.clone();
        let options = &shared.options;
        let initial = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let builder = Reconnecting::builder(event_loop, addresses, move |attempt| {
            let credentials = known.get(attempt.address()).cloned().flatten();
            let credentials = credentials.or_else(|| default.clone());
            let name = server_name(&making, attempt.address(), &naming);
            Link::new(&making, attempt, credentials, name)
        })
        .handshake(true)
        .attempt_timeout(options.connect_timeout)
        .backoff(options.first_delay, options.max_delay)
        .max_failures(options.max_reconnects)
        .max_initial_failures(if options.retry_first_connect {
            options.max_reconnects
        } else {
            Some(initial)
        });
        let builder = match options.jitter_seed {
            Some(seed) => builder.jitter_seed(seed),
            None => builder,
        };
        let telling = Rc::downgrade(&shared);
        let builder = builder.on_state(move |state| {
            let Some(shared) = telling.upgrade() else { return };
            match state {
                State::Connected { address } => {
                    shared.tell(&Event::Connected { address: address.clone() });
                }
                State::Waiting { error, .. } => {
                    shared.tell(&Event::Disconnected { error: error.clone() });
                }
                State::Closed { error } => shared.end(error.clone()),
                State::Connecting { .. } => (),
            }
        });
        #[cfg(feature = "tls")]
        let builder = {
            let (tls, is_first) = (options.tls.clone(), options.tls_first);
            builder.configure(move |connecting, attempt| match &tls {
                Some(tls) if is_first => {
                    let name = super::tls::server_name(attempt.address(), &first);
                    connecting.tls(super::tls::upgrade(tls.clone(), Some(&name)))
                }
                _ => connecting,
            })
        };
        let reconnecting = builder.start()?;
        let inner = Rc::new(Inner { shared, reconnecting });
        let _ = inner.shared.owner.set(Rc::downgrade(&inner));
        Ok(Self { inner })
    }

    fn shared(&self) -> &Rc<Shared> {
        &self.inner.shared
    }

    /// Waits until the client is connected.
    ///
    /// # Errors
    /// Why it has given up, or [`NatsError::Closed`].
    pub async fn connected(&self) -> Result<(), NatsError> {
        match self.inner.reconnecting.connected().await {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(self.shared().last_error.borrow().clone().unwrap_or_else(|| error.into()))
            }
        }
    }

    /// Whether it is connected now.
    pub fn is_connected(&self) -> bool {
        self.shared().is_connected()
    }

    /// What the server has said about itself; empty before the first connection.
    pub fn server_info(&self) -> Rc<ServerInfo> {
        Rc::clone(&self.shared().info.borrow())
    }

    /// The addresses it connects to: those that were given, and members of the cluster.
    pub fn servers(&self) -> Vec<String> {
        self.inner.reconnecting.addresses()
    }

    /// What happens from now on, besides messages.
    pub fn events(&self) -> Events {
        self.shared().events()
    }

    /// Calls `callback` with each event from now on.
    pub fn on_event(&self, callback: impl Fn(&Event) + 'static) {
        self.shared().listen(Rc::new(callback));
    }

    /// The loop that it runs on.
    pub fn event_loop(&self) -> &EventLoop {
        &self.shared().event_loop
    }

    /// Publishes a message. It is sent with others at the end of the loop's round; without a connection it is kept for
    /// the next one. A message that was on its way when a connection broke is lost: [`flush`](Self::flush) says that all
    /// have arrived, and [JetStream](crate::nats::jetstream) acknowledges each.
    ///
    /// # Errors
    /// [`NatsError::Refused`] for a subject that is none, or a message above the server's `max_payload`;
    /// [`NatsError::BufferFull`] when [`max_pending`](Options::max_pending) bytes wait ([`writable`](Self::writable) is
    /// the way to wait before); [`NatsError::Closed`]. Nothing is sent then.
    pub fn publish(&self, subject: &str, payload: impl AsRef<[u8]>) -> Result<(), NatsError> {
        self.publish_message(Publish::new(subject, payload.as_ref()))
    }

    /// Publishes a message with headers or a reply subject.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn publish_message(&self, message: Publish<'_>) -> Result<(), NatsError> {
        self.shared().check_open()?;
        self.shared().publish(&message.as_op())
    }

    /// Answers a message.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish); [`NatsError::Invalid`] for a message that wants no answer.
    pub fn respond(&self, to: &Message, payload: impl AsRef<[u8]>) -> Result<(), NatsError> {
        let reply = to.reply();
        let reply =
            reply.ok_or_else(|| NatsError::Invalid("a message that wants no answer".to_owned()))?;
        // Also while it drains: whoever drains answers what it still receives.
        self.shared().publish(&Publish::new(reply, payload.as_ref()).as_op())
    }

    /// Waits until the server takes more: back-pressure for whoever publishes much. Dropping it changes nothing.
    ///
    /// # Errors
    /// [`NatsError::Closed`].
    pub async fn writable(&self) -> Result<(), NatsError> {
        let shared = self.shared();
        shared
            .changed
            .wait_for(|| {
                if shared.is_closed.get() {
                    return Some(Err(NatsError::Closed));
                }
                shared.is_writable().then_some(Ok(()))
            })
            .await
    }

    /// Waits until the server has everything that was published before. Without a connection it waits for one.
    ///
    /// # Errors
    /// [`NatsError::Connection`] if the connection is lost meanwhile: some of it may be, too. [`NatsError::Closed`].
    pub async fn flush(&self) -> Result<(), NatsError> {
        Self::flush_of(self.shared()).await
    }

    pub(super) async fn flush_of(shared: &Rc<Shared>) -> Result<(), NatsError> {
        let begin = || {
            if shared.is_closed.get() {
                return Some(Err(NatsError::Closed));
            }
            let pongs = shared.live.borrow().as_ref().map(|live| live.pongs.clone())?;
            Some(pongs.begin().map_err(NatsError::from))
        };
        let pong = shared.changed.wait_for(begin).await?;
        shared.send(&ClientOp::Ping)?;
        Ok(pong.await?)
    }

    /// Subscribes to a subject, which may have wildcards, with the defaults of [`subscription`](Self::subscription).
    ///
    /// # Errors
    /// As for [`SubscribeBuilder::start`].
    pub fn subscribe(&self, subject: impl Into<String>) -> Result<Subscription, NatsError> {
        self.subscription(subject).start()
    }

    /// A subscription with options: queue group, callback, limits.
    pub fn subscription(&self, subject: impl Into<String>) -> SubscribeBuilder {
        SubscribeBuilder::new(self.shared(), subject.into())
    }

    /// Sends a request, now, and waits for its answer. Dropping the future changes nothing but that nobody waits.
    ///
    /// # Errors
    /// [`NatsError::NoResponders`] when nobody has subscribed to the subject, [`NatsError::TimedOut`] after
    /// [`request_timeout`](Options::request_timeout), and those of [`publish`](Self::publish).
    pub fn request<B: AsRef<[u8]>>(
        &self,
        subject: &str,
        payload: B,
    ) -> impl Future<Output = Result<Message, NatsError>> + use<B> {
        let after = self.shared().options.request_timeout;
        self.request_message(Publish::new(subject, payload.as_ref()), after)
    }

    /// As [`request`](Self::request), with headers and a deadline. The reply subject is the client's own.
    ///
    /// # Errors
    /// As for [`request`](Self::request).
    pub fn request_message(
        &self,
        message: Publish<'_>,
        after: Duration,
    ) -> impl Future<Output = Result<Message, NatsError>> + use<> {
        let begun = self.shared().check_open().and_then(|()| self.begin_request(&message));
        Self::answer_of(self.event_loop(), begun, after)
    }

    /// A request that belongs to what was received, as an acknowledgement does: also while the client drains.
    pub(in crate::nats) fn request_while_draining(
        &self,
        message: Publish<'_>,
    ) -> impl Future<Output = Result<Message, NatsError>> + use<> {
        let begun = self.begin_request(&message);
        Self::answer_of(self.event_loop(), begun, self.shared().options.request_timeout)
    }

    fn answer_of(
        event_loop: &EventLoop,
        begun: Result<(LoopFuture<Message>, Waiting), NatsError>,
        after: Duration,
    ) -> impl Future<Output = Result<Message, NatsError>> + use<> {
        let event_loop = event_loop.clone();
        async move {
            // A request that was given up has no place any more when this ends.
            let (answer, _waiting) = begun?;
            let answer = event_loop.timeout(after, answer).await;
            let answer = answer.map_err(|_| NatsError::TimedOut)??;
            if answer.status() == Some(503) && answer.payload().is_empty() {
                return Err(NatsError::NoResponders);
            }
            Ok(answer)
        }
    }

    fn begin_request(
        &self,
        message: &Publish<'_>,
    ) -> Result<(LoopFuture<Message>, Waiting), NatsError> {
        let shared = self.shared();
        answers(shared)?;
        let id = shared.next_id();
        let reply = format!("{}.{id}", shared.inbox);
        let answer = shared.requests.begin(id)?;
        let waiting = Waiting { shared: Rc::clone(shared), id };
        shared.publish(&Pub { reply: Some(reply.as_bytes()), ..message.as_op() })?;
        Ok((answer, waiting))
    }

    /// A subject of this client's own, for answers.
    pub fn new_inbox(&self) -> String {
        // Not under the subject that answers to requests come to.
        let shared = self.shared();
        format!("{}x.{}", shared.inbox, shared.next_id())
    }

    /// Ends subscriptions, waits until what was received is taken and what was requested is answered, sends what was
    /// published, and closes. From now on nothing can be subscribed to, requested or published, but answers and
    /// acknowledgements can be sent. Without a connection it waits for one, to send what is kept for it. Dropping the future
    /// leaves the client as it is by then, to be [closed](Self::close).
    ///
    /// # Errors
    /// [`NatsError::TimedOut`] when subscribers did not take their messages within
    /// [`drain_timeout`](Options::drain_timeout), or what [`flush`](Self::flush) fails with; the client is closed
    /// all the same.
    pub async fn drain(&self) -> Result<(), NatsError> {
        let shared = self.shared();
        shared.check_open()?;
        shared.is_draining.set(true);
        let after = shared.options.drain_timeout;
        let drained = self.event_loop().timeout(after, Self::drain_of(shared)).await;
        self.close();
        drained.map_err(|_| NatsError::TimedOut)?
    }

    async fn drain_of(shared: &Rc<Shared>) -> Result<(), NatsError> {
        let mut all: Vec<Rc<Subscribed>> = shared.subscribed.borrow().values().cloned().collect();
        // Whoever is served may wait for answers.
        all.retain(|subscribed| !matches!(subscribed.sink, Sink::Requests));
        for subscribed in &all {
            shared.stop(subscribed);
        }
        Self::flush_of(shared).await?;
        for subscribed in &all {
            shared.subscribed.borrow_mut().remove(&subscribed.sid);
            subscribed.end();
        }
        for subscribed in &all {
            subscribed.taken().await;
        }
        // Whoever has taken the last one may still want to answer it.
        wharf::yield_now().await;
        shared.all_answered().await;
        Self::flush_of(shared).await
    }

    /// Closes the connection, after what was published is sent, and all subscriptions. Later calls change nothing.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Waits until the client is closed.
    ///
    /// # Errors
    /// Why it has given up.
    pub async fn closed(&self) -> Result<(), NatsError> {
        Ok(self.inner.reconnecting.closed().await?)
    }

    /// How often it has been connected. It grows with each reconnect.
    pub fn connections(&self) -> u64 {
        self.shared().generation.get()
    }

    /// Waits until [`connections`](Self::connections) is another number than this.
    pub(in crate::nats) async fn reconnected(&self, since: u64) {
        let shared = self.shared();
        let look = || (shared.generation.get() != since || shared.is_closed.get()).then_some(());
        shared.changed.wait_for(look).await;
    }

    /// Closes this connection and goes to the next server: what a program may do at
    /// [`Event::LameDuckMode`].
    pub fn reconnect_now(&self) {
        self.shared().hand_over();
        self.inner.reconnecting.reconnect_now();
    }
}

impl Inner {
    fn close(&self) {
        self.shared.hand_over();
        self.reconnecting.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("state", &self.inner.reconnecting.state())
            .field("subscriptions", &self.shared().subscribed.borrow().len())
            .finish_non_exhaustive()
    }
}

/// Somebody waits for the answer to a request.
struct Waiting {
    shared: Rc<Shared>,
    id: u64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // It was answered, most of the time.
        self.shared.requests.forget(&self.id);
        self.shared.request_ended();
    }
}

#[cfg(feature = "tls")]
fn server_name(shared: &Shared, address: &str, first: &str) -> Option<String> {
    shared.options.has_tls().then(|| super::tls::server_name(address, first))
}

#[cfg(not(feature = "tls"))]
fn server_name(_: &Shared, _: &str, _: &str) -> Option<String> {
    None
}
