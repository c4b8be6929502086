use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use wharf::{Connection, Error, EventLoop, Protocol, Task, Transport};

use super::addresses::Addresses;
use super::backoff::Backoff;
use super::builder::{Attempt, Configure, Factory, ReconnectBuilder};
use super::state::{State, States};
use crate::mailbox::Broadcast;
use crate::notify::Notify;

/// A client that connects again; see the [module](super).
///
/// A clone is the same client. When the last one is dropped it is [closed](Self::close).
#[must_use = "dropping the last handle closes the client"]
pub struct Reconnecting<P: Protocol> {
    shared: Rc<Shared<P>>,
    guard: Rc<Guard<P>>,
}

impl<P: Protocol> Reconnecting<P> {
    /// A client of these addresses, with a protocol of `factory` for each connection.
    ///
    /// An address is `host:port`, or that of a Unix socket: `unix:/path`, `unix:./path`, and on Linux `unix:@name` for one
    /// without a file.
    pub fn builder<A: Into<String>>(
        event_loop: &EventLoop,
        addresses: impl IntoIterator<Item = A>,
        factory: impl FnMut(&Attempt) -> P + 'static,
    ) -> ReconnectBuilder<P> {
        let addresses = addresses.into_iter().map(Into::into).collect();
        ReconnectBuilder::new(event_loop.clone(), addresses, Box::new(factory))
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.shared.state.borrow().clone()
    }

    /// The states from now on, beginning with the one it is in.
    pub fn states(&self) -> States {
        let state = self.state();
        let queue = self.shared.news.stream_from(state);
        States { queue }
    }

    /// Calls `callback` with each state from now on.
    pub fn on_state(&self, callback: impl Fn(&State) + 'static) {
        self.shared.news.add(Rc::new(callback));
    }

    /// The connection, while there is one whose handshake is done.
    pub fn connection(&self) -> Option<Connection<P>> {
        let is_connected = self.shared.state.borrow().is_connected();
        self.shared.current.borrow().as_ref().filter(|_| is_connected).cloned()
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// Why the client has given up; an error with [`io::ErrorKind::NotConnected`] if it was closed.
    pub async fn connected(&self) -> Result<Connection<P>, Error> {
        let shared = &self.shared;
        let look = || match (&*shared.state.borrow(), &*shared.current.borrow()) {
            (State::Connected { .. }, Some(connection)) => Some(Ok(connection.clone())),
            (State::Closed { error }, _) => Some(Err(error.clone().unwrap_or_else(closed))),
            _ => None,
        };
        shared.changed.wait_for(look).await
    }

    /// Waits until the client is closed or has given up.
    ///
    /// # Errors
    /// Why it has given up.
    pub async fn closed(&self) -> Result<(), Error> {
        let look = || match &*self.shared.state.borrow() {
            State::Closed { error } => Some(error.clone().map_or(Ok(()), Err)),
            _ => None,
        };
        self.shared.changed.wait_for(look).await
    }

    /// Replaces the addresses that were learned, such as the members of a cluster; those of the
    /// [builder](Self::builder) stay.
    pub fn learn_addresses<A: Into<String>>(&self, learned: impl IntoIterator<Item = A>) {
        self.shared.addresses.borrow_mut().learn(learned.into_iter().map(Into::into));
    }

    /// All addresses: those of the builder and those that were learned.
    pub fn addresses(&self) -> Vec<String> {
        self.shared.addresses.borrow().all()
    }

    /// Ends a wait for the next attempt; a connection that is there is closed, and the next address is tried.
    pub fn reconnect_now(&self) {
        if let Some(connection) = &*self.shared.current.borrow() {
            connection.close();
        }
        self.shared.is_hurried.set(true);
        self.shared.hurry.wake();
    }

    /// Closes the connection, as [`Transport::close`] does, and makes no other. Later calls change nothing.
    ///
    /// The protocol is not asked: a WebSocket, for one, ends without a close frame. See [`shutdown`](Self::shutdown).
    pub fn close(&self) {
        self.shared.close();
    }

    /// Lets the protocol end the connection in its own way, by [`Protocol::shutting_down`], as a server's `shutdown` does, and
    /// makes no other. What is still open after `grace` is aborted. Waits for the end.
    ///
    /// Dropping the future leaves the connection to the protocol, without a deadline.
    ///
    /// # Errors
    /// As for [`closed`](Self::closed): why the client had given up before.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), Error> {
        self.shared.is_closing.set(true);
        self.shared.hurry.wake();
        let connection = self.shared.current.borrow().clone();
        if let Some(connection) = connection {
            connection.post(|protocol, transport| {
                if protocol.shutting_down(transport).is_err() {
                    transport.abort();
                }
            });
            if wharf::timeout(grace, connection.wait_closed()).await.is_err() {
                connection.abort();
            }
        }
        self.closed().await
    }
}

impl<P: Protocol> Clone for Reconnecting<P> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), guard: Rc::clone(&self.guard) }
    }
}

impl<P: Protocol> fmt::Debug for Reconnecting<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.guard.task.borrow().is_some();
        formatter
            .debug_struct("Reconnecting")
            .field("state", &self.state())
            .field("is_started", &task)
            .finish()
    }
}

pub(super) struct Shared<P: Protocol> {
    event_loop: EventLoop,
    addresses: RefCell<Addresses>,
    factory: RefCell<Factory<P>>,
    configure: RefCell<Configure<P>>,
    backoff: RefCell<Backoff>,
    max_delay: Duration,
    max_failures: Option<u32>,
    max_initial_failures: Option<u32>,
    attempt_timeout: Duration,
    handshake: bool,
    state: RefCell<State>,
    current: RefCell<Option<Connection<P>>>,
    news: Broadcast<State>,
    changed: Notify,
    hurry: Notify,
    is_hurried: Cell<bool>,
    /// The protocol of the last connection wants the next one at once.
    comes_back: Cell<bool>,
    is_closing: Cell<bool>,
}

impl<P: Protocol> Shared<P> {
    pub(super) fn start(builder: ReconnectBuilder<P>) -> Reconnecting<P> {
        let first = builder.addresses.first().cloned().unwrap_or_default();
        let seed = builder.seed.unwrap_or_else(|| builder.event_loop.random_seed());
        let backoff = Backoff::new(builder.first_delay, builder.max_delay, seed);
        let shared = Rc::new(Self {
            event_loop: builder.event_loop,
            addresses: RefCell::new(Addresses::new(builder.addresses)),
            factory: RefCell::new(builder.factory),
            configure: RefCell::new(builder.configure),
            backoff: RefCell::new(backoff),
            max_delay: builder.max_delay,
            max_failures: builder.max_failures,
            max_initial_failures: builder.max_initial_failures,
            attempt_timeout: builder.attempt_timeout,
            handshake: builder.handshake,
            state: RefCell::new(State::Connecting { address: first, failures: 0 }),
            current: RefCell::default(),
            news: Broadcast::new(builder.observers),
            changed: Notify::default(),
            hurry: Notify::default(),
            is_hurried: Cell::new(false),
            comes_back: Cell::new(false),
            is_closing: Cell::new(false),
        });
        let task = shared.event_loop.create_task(run(Rc::clone(&shared))).named("reconnect");
        let ended = Rc::clone(&shared);
        task.add_done_callback(move |result| {
            // It panicked, in what the user has given: whoever waits has to know.
            if let Err(error) = result {
                ended.end(Some(error.clone()));
            }
        });
        let guard = Guard { shared: Rc::clone(&shared), task: RefCell::new(Some(task)) };
        Reconnecting { shared, guard: Rc::new(guard) }
    }

    fn close(&self) {
        self.is_closing.set(true);
        if let Some(connection) = &*self.current.borrow() {
            connection.close();
        }
        self.hurry.wake();
    }

    fn set_state(&self, state: State) {
        if self.state.borrow().is_closed() {
            return;
        }
        // Errors are dropped while nothing is borrowed: they may be the user's.
        drop(self.state.replace(state.clone()));
        self.changed.wake();
        if state.is_closed() {
            self.news.tell_last(&state);
        } else {
            self.news.tell(&state);
        }
    }

    /// The client has ended: `None`, as it was closed.
    fn end(&self, error: Option<Error>) {
        self.is_closing.set(true);
        if let Some(connection) = self.current.take() {
            connection.close();
        }
        self.set_state(State::Closed { error });
    }

    /// One connection, from its first attempt to its end: how long it was established, if it was, and how it ended.
    async fn connect_once(
        &self,
        address: &str,
        failures: u32,
        tell: &Rc<Tell>,
    ) -> (Option<Duration>, Option<Error>) {
        let (is_established, is_hurried) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let attempt = Attempt {
            address: address.into(),
            failures,
            is_established: Rc::clone(&is_established),
            is_hurried: Rc::clone(&is_hurried),
            established: Rc::downgrade(tell),
        };
        let protocol = (self.factory.borrow_mut())(&attempt);
        let builder = match attempt.unix_address() {
            Some(unix) => self.event_loop.create_unix_connection(move || protocol, unix),
            None => self.event_loop.create_connection(move || protocol, address),
        };
        let builder = builder.timeout(self.attempt_timeout);
        let mut connecting = (self.configure.borrow_mut())(builder, &attempt).start();
        let given_up = self.hurry.wait_for(|| self.is_closing.get().then_some(()));
        let mut given_up = pin!(given_up);
        let connected = std::future::poll_fn(|context| {
            if given_up.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            std::pin::Pin::new(&mut connecting).poll(context).map(Some)
        });
        let connection = match connected.await {
            Some(Ok(connection)) => connection,
            Some(Err(error)) => return (None, Some(error)),
            None => return (None, None),
        };
        let begin = self.event_loop.time();
        self.current.replace(Some(connection.clone()));
        if !self.handshake {
            attempt.established();
        } else if is_established.get() {
            // It has said so in `connection_made` already.
            tell(&attempt);
        }
        if self.is_closing.get() {
            connection.close();
        }
        let end = connection.wait_closed().await;
        self.current.take();
        let lasted = self.event_loop.time().saturating_duration_since(begin);
        self.comes_back.set(is_hurried.get());
        (is_established.get().then_some(lasted), end.err())
    }
}

type Tell = dyn Fn(&Attempt);

async fn run<P: Protocol>(shared: Rc<Shared<P>>) {
    let weak = Rc::downgrade(&shared);
    let tell: Rc<Tell> = Rc::new(move |attempt: &Attempt| {
        if let Some(shared) = weak.upgrade()
            && shared.current.borrow().is_some()
        {
            shared.set_state(State::Connected { address: attempt.address().to_owned() });
        }
    });
    let (mut failures, mut was_connected) = (0_u32, false);
    // Connections in a row that were lost soon.
    let mut losses = 0_u32;
    while !shared.is_closing.get() {
        let next = shared.addresses.borrow_mut().next();
        let Some(address) = next else { break };
        shared.is_hurried.set(false);
        shared.set_state(State::Connecting { address: address.clone(), failures });
        let (lasted, error) = shared.connect_once(&address, failures, &tell).await;
        if shared.is_closing.get() {
            break;
        }
        failures = if lasted.is_some() { 0 } else { failures.saturating_add(1) };
        was_connected |= lasted.is_some();
        if let Some(lasted) = lasted {
            losses = if lasted < shared.max_delay { losses.saturating_add(1) } else { 0 };
        }
        if shared.comes_back.take() && lasted.is_some() && losses <= 1 {
            continue;
        }
        let most = if was_connected { shared.max_failures } else { shared.max_initial_failures };
        if most.is_some_and(|most| failures > 0 && failures >= most) {
            let error = error.unwrap_or_else(|| {
                io::Error::new(io::ErrorKind::ConnectionAborted, "the peer ended the connection")
                    .into()
            });
            return shared.end(Some(error));
        }
        let addresses = shared.addresses.borrow().len();
        let in_a_row = failures.max(losses.saturating_sub(1));
        let delay = shared.backoff.borrow_mut().delay(in_a_row, addresses);
        if !shared.is_hurried.get() {
            shared.set_state(State::Waiting { delay, error });
            let is_over = || (shared.is_closing.get() || shared.is_hurried.get()).then_some(());
            // An error means that the time has passed.
            let _ = wharf::timeout(delay, shared.hurry.wait_for(is_over)).await;
        }
    }
    shared.end(None);
}

/// Ends the client when the last handle is gone.
struct Guard<P: Protocol> {
    shared: Rc<Shared<P>>,
    task: RefCell<Option<Task<()>>>,
}

impl<P: Protocol> Drop for Guard<P> {
    fn drop(&mut self) {
        self.shared.close();
        if let Some(task) = self.task.take() {
            // It ends by itself, when the connection has.
            task.detach();
        }
    }
}

fn closed() -> Error {
    io::Error::new(io::ErrorKind::NotConnected, "the client was closed").into()
}
