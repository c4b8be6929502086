use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wharf::EventLoop;
#[cfg(feature = "tls")]
use wharf::TlsClient;

use super::address::ServerAddress;
use super::credentials::Credentials;
use super::error::NatsError;
use super::event::Event;
use super::handle::Client;
use crate::mailbox::Callback;
use crate::nats::codec::{DEFAULT_MAX_PAYLOAD, ServerInfo};

pub(super) type AskCredentials = Rc<dyn Fn(&ServerInfo) -> Result<Credentials, NatsError>>;

/// How a client connects: [`connect`](Self::connect) begins.
///
/// ```no_run
/// use wharf_protocols::nats::{Credentials, Options};
///
/// fn main() -> wharf::Result {
///     wharf::run(async |event_loop| {
///         let client = Options::new()
///             .name("billing")
///             .credentials(Credentials::Token("s3cr3t".to_owned()))
///             .connect(&event_loop, ["nats://a.example.org", "nats://b.example.org"])
///             .await?;
///         client.publish("orders.7", "hello")?;
///         client.drain().await?;
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone)]
#[must_use = "it does nothing before `connect`"]
pub struct Options {
    pub(super) name: Option<String>,
    pub(super) credentials: Option<AskCredentials>,
    pub(super) echo: bool,
    pub(super) ping_interval: Duration,
    pub(super) max_pings_out: u32,
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) first_delay: Duration,
    pub(super) max_delay: Duration,
    pub(super) max_reconnects: Option<u32>,
    pub(super) retry_first_connect: bool,
    pub(super) learn_members: bool,
    pub(super) max_pending: usize,
    pub(super) max_message: usize,
    pub(super) jitter_seed: Option<u64>,
    pub(super) observers: Vec<Callback<Event>>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsClient>,
    #[cfg(feature = "tls")]
    pub(super) tls_first: bool,
}

impl Options {
    /// The defaults, which each method names.
    pub fn new() -> Self {
        Self {
            name: None,
            credentials: None,
            echo: true,
            ping_interval: Duration::from_secs(120),
            max_pings_out: 2,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(30),
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(4),
            max_reconnects: None,
            retry_first_connect: false,
            learn_members: true,
            max_pending: 8 * 1024 * 1024,
            max_message: DEFAULT_MAX_PAYLOAD,
            jitter_seed: None,
            observers: Vec::new(),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            tls_first: false,
        }
    }

    /// A name that the server shows in its monitoring.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Who the client is. Credentials in an address are for that server, unless some are set here.
    pub fn credentials(self, credentials: Credentials) -> Self {
        self.ask_credentials(move |_| Ok(credentials.clone()))
    }

    /// Asks `ask` who the client is, again for each connection: for secrets that change. An error is a failed attempt.
    pub fn ask_credentials(
        mut self,
        ask: impl Fn(&ServerInfo) -> Result<Credentials, NatsError> + 'static,
    ) -> Self {
        self.credentials = Some(Rc::new(ask));
        self
    }

    /// Whether messages come back to subscriptions of this same client. `true` by default.
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// How often the server is asked whether it is still there, 2 min by default, and how many times without an
    /// answer end the connection, 2 by default.
    pub fn pings(mut self, interval: Duration, most_unanswered: u32) -> Self {
        (self.ping_interval, self.max_pings_out) = (interval, most_unanswered);
        self
    }

    /// How long connecting to one server may take, with TLS and log-in: 5 s by default for each.
    pub fn connect_timeout(mut self, after: Duration) -> Self {
        self.connect_timeout = after;
        self
    }

    /// How long the answer to a request may take: 5 s by default.
    pub fn request_timeout(mut self, after: Duration) -> Self {
        self.request_timeout = after;
        self
    }

    /// How long [`Client::drain`] waits for subscribers: 30 s by default.
    pub fn drain_timeout(mut self, after: Duration) -> Self {
        self.drain_timeout = after;
        self
    }

    /// Delays between attempts: see [`backoff`](crate::reconnect::ReconnectBuilder::backoff). 100 ms and 4 s by
    /// default.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_delay, self.max_delay) = (first, longest);
        self
    }

    /// After how many failed attempts in a row a client that had a connection gives up: never by default.
    pub fn max_reconnects(mut self, most: impl Into<Option<u32>>) -> Self {
        self.max_reconnects = most.into();
        self
    }

    /// With `true` the first connection is tried again and again, too. By default [`connect`](Self::connect) fails
    /// once every address has.
    pub fn retry_first_connect(mut self, retry: bool) -> Self {
        self.retry_first_connect = retry;
        self
    }

    /// Whether members of the cluster that a server tells of are connected to, as well. `true` by default.
    pub fn learn_members(mut self, learn: bool) -> Self {
        self.learn_members = learn;
        self
    }

    /// The most bytes that may wait to be sent, connected or not: 8 MiB by default.
    pub fn max_pending(mut self, bytes: usize) -> Self {
        self.max_pending = bytes;
        self
    }

    /// The longest message to receive, headers included: 8 MiB by default. A longer one ends the connection.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// Makes the jitter of reconnects the same in each run: for tests.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }

    /// Calls `callback` with each event.
    pub fn on_event(mut self, callback: impl Fn(&Event) + 'static) -> Self {
        self.observers.push(Rc::new(callback));
        self
    }

    /// Goes on under TLS after the server's `INFO`. A server that has none is refused.
    ///
    /// The name that a server must have is the host of its address, or [what `tls`
    /// says](TlsClient::server_name); members of a cluster that are known only by number have that of the
    /// first address.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Begins with TLS, before the server's `INFO`: servers from 2.10.4 on, with `handshake_first`.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls_first(mut self, first: bool) -> Self {
        self.tls_first = first;
        self
    }

    /// Connects to the first of these servers that answers: `host`, `host:port`, or
    /// `nats://user:password@host:port`, where `tls` may stand for `nats`.
    ///
    /// # Errors
    /// [`NatsError::Invalid`] for an address or options that are not right; [`NatsError::Connection`] or
    /// [`NatsError::Server`] when every server failed once, with the last one's error.
    pub async fn connect<A: AsRef<str>>(
        self,
        event_loop: &EventLoop,
        servers: impl IntoIterator<Item = A>,
    ) -> Result<Client, NatsError> {
        let client = self.start(event_loop, servers)?;
        client.connected().await?;
        Ok(client)
    }

    /// As [`connect`](Self::connect), without waiting: what is published and subscribed to meanwhile is kept.
    ///
    /// # Errors
    /// [`NatsError::Invalid`] for an address or options that are not right.
    pub fn start<A: AsRef<str>>(
        self,
        event_loop: &EventLoop,
        servers: impl IntoIterator<Item = A>,
    ) -> Result<Client, NatsError> {
        let servers: Result<Vec<_>, _> =
            servers.into_iter().map(|server| ServerAddress::parse(server.as_ref())).collect();
        let servers = servers?;
        if servers.is_empty() {
            return Err(NatsError::Invalid("no address was given".to_owned()));
        }
        if servers.iter().any(|server| server.wants_tls) && !self.has_tls() {
            let text = "a tls:// address needs the feature `tls` and `Options::tls`";
            return Err(NatsError::Invalid(text.to_owned()));
        }
        Client::start(event_loop, self, servers)
    }

    #[cfg(feature = "tls")]
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    pub(super) fn has_tls(&self) -> bool {
        false
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Options").field("name", &self.name).finish_non_exhaustive()
    }
}
