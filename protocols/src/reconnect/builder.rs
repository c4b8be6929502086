use std::cell::Cell;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use wharf::{ConnectionBuilder, Error, EventLoop, Protocol, UnixAddress};

use super::client::{Reconnecting, Shared};
use super::state::State;
use crate::mailbox::Callback;

/// What is being tried: given to the factory of each protocol.
///
/// A clone is the same attempt. It does not keep the client open.
#[derive(Clone)]
pub struct Attempt {
    pub(super) address: Rc<str>,
    pub(super) failures: u32,
    pub(super) is_established: Rc<Cell<bool>>,
    pub(super) is_hurried: Rc<Cell<bool>>,
    pub(super) established: Weak<dyn Fn(&Attempt)>,
}

impl Attempt {
    /// The address, as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The Unix socket that the address means, if it is one's.
    pub fn unix_address(&self) -> Option<UnixAddress> {
        // A port begins with none of these characters, so a host may be called `unix`.
        let name = self.address.strip_prefix("unix:")?;
        match name.strip_prefix('@') {
            Some(name) => Some(UnixAddress::from_abstract_name(name)),
            None => name.starts_with(['/', '.']).then(|| UnixAddress::from_path(name)),
        }
    }

    /// How many attempts have failed since the last connection.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The protocol's handshake is done: see [`ReconnectBuilder::handshake`]. Later calls change nothing.
    pub fn established(&self) {
        if !self.is_established.replace(true)
            && let Some(tell) = self.established.upgrade()
        {
            tell(self);
        }
    }

    /// When this connection has ended the next attempt comes at once: for a server that says that it restarts, and that
    /// clients can connect meanwhile. After a second one within the longest delay it comes as after any loss.
    pub fn reconnect_at_once(&self) {
        self.is_hurried.set(true);
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attempt")
            .field("address", &self.address)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

pub(super) type Factory<P> = Box<dyn FnMut(&Attempt) -> P>;
pub(super) type Configure<P> =
    Box<dyn FnMut(ConnectionBuilder<P>, &Attempt) -> ConnectionBuilder<P>>;

/// A client to be [started](Self::start); what [`Reconnecting::builder`] gives.
#[must_use = "nothing is connected before it is started"]
pub struct ReconnectBuilder<P: Protocol> {
    pub(super) event_loop: EventLoop,
    pub(super) addresses: Vec<String>,
    pub(super) factory: Factory<P>,
    pub(super) configure: Configure<P>,
    pub(super) first_delay: Duration,
    pub(super) max_delay: Duration,
    pub(super) max_failures: Option<u32>,
    pub(super) max_initial_failures: Option<u32>,
    pub(super) attempt_timeout: Duration,
    pub(super) handshake: bool,
    pub(super) seed: Option<u64>,
    pub(super) observers: Vec<Callback<State>>,
}

impl<P: Protocol> ReconnectBuilder<P> {
    pub(super) fn new(event_loop: EventLoop, addresses: Vec<String>, factory: Factory<P>) -> Self {
        Self {
            event_loop,
            addresses,
            factory,
            configure: Box::new(|builder, _| builder),
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            max_failures: None,
            max_initial_failures: None,
            attempt_timeout: Duration::from_secs(10),
            handshake: false,
            seed: None,
            observers: Vec::new(),
        }
    }

    /// Options of each connection, such as TLS and socket options.
    pub fn configure(
        mut self,
        configure: impl FnMut(ConnectionBuilder<P>, &Attempt) -> ConnectionBuilder<P> + 'static,
    ) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// The first delay, 100 ms by default, and the longest, 10 s by default.
    ///
    /// After a loss, and between addresses that were not tried yet, the client waits for a random part of the first
    /// delay. When all addresses have failed it waits for the first, then twice, four times as long and so on, less up to
    /// half of it at random. A connection that is lost sooner than after the longest delay counts like one that failed,
    /// from the second in a row on: a server that takes connections and drops them is not asked without a pause.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_delay, self.max_delay) = (first, longest);
        self
    }

    /// After how many failures in a row the client gives up: `None`, the default, never.
    pub fn max_failures(mut self, most: impl Into<Option<u32>>) -> Self {
        self.max_failures = most.into();
        self
    }

    /// The same for the time before the first connection: what is wrong from the start is rarely the network.
    pub fn max_initial_failures(mut self, most: impl Into<Option<u32>>) -> Self {
        self.max_initial_failures = most.into();
        self
    }

    /// How long one attempt may take, resolving and TLS included: 10 s by default.
    pub fn attempt_timeout(mut self, after: Duration) -> Self {
        self.attempt_timeout = after;
        self
    }

    /// With `true` the client is connected only when the protocol says so, by [`Attempt::established`]; a connection that
    /// ends before is a failure. A server that takes connections and then refuses a log-in is otherwise asked again
    /// and again without a growing delay.
    pub fn handshake(mut self, has_one: bool) -> Self {
        self.handshake = has_one;
        self
    }

    /// Makes the jitter the same in each run, as it is in a simulation without: for tests.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Calls `callback` with each state, from now on until [`State::Closed`].
    pub fn on_state(mut self, callback: impl Fn(&State) + 'static) -> Self {
        self.observers.push(Rc::new(callback));
        self
    }

    /// Begins to connect, and goes on until it is closed or gives up.
    ///
    /// # Errors
    /// No address was given, or the loop is closed.
    pub fn start(self) -> Result<Reconnecting<P>, Error> {
        if self.addresses.is_empty() {
            let refused =
                std::io::Error::new(std::io::ErrorKind::InvalidInput, "no address was given");
            return Err(refused.into());
        }
        Ok(Shared::start(self))
    }
}

impl<P: Protocol> fmt::Debug for ReconnectBuilder<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReconnectBuilder")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
