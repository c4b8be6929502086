use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use futures_util::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wharf::{CapacityLimiter, EventLoop, Result, TlsClient};
use wharf_protocols::framing::{Framed, LengthPrefix, LengthPrefixDecoder};
use wharf_protocols::reconnect::Reconnecting;

use super::backend::{Backend, Pending};
use super::chain::ChainBuilder;
use super::connection::ClientPeer;
use super::error::ClientError;
use super::group::{Group, GroupBuilder};
use super::map::{FromIterator, FromStream, Map};
use super::reach::Reach;
use super::results::Results;
use super::task_builder::{Options, TaskBuilder};
use super::tasks::{SubmittedTask, TypedTask};
use crate::Function;
use crate::access::prepare;
use crate::coordinator::{Filter, Overview, Page};
use crate::nats::{Access, NatsClient, NatsOptions};
use crate::task::{Record, Spec, TaskId};
use crate::wire::{Answer, Ask, AskedList, Line, MAX_LENGTH};

/// A client that is connected to a coordinator, and connects again when it has lost it.
///
/// What it has asked for and has no answer to is asked for again on the next connection: since each task has an id that
/// the client chose, none is submitted twice. Dropping it ends what waits with [`ClientError::Closed`]; tasks go on.
pub struct Client {
    pub(super) shared: Rc<Shared>,
}

/// What a [`Client`] is told.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// What the coordinator wants to hear.
    pub token: Option<Box<str>>,
    /// How to connect under TLS; `None`: without. Unix sockets are always without.
    pub tls: Option<TlsClient>,
    /// How many submits are under way at most: one more waits until one is on the coordinator's disk.
    pub most_submits: usize,
    /// How long there may be no connection before whatever waits ends with [`ClientError::Unreachable`], and whatever is
    /// asked for as well until there is one again; `None`: for ever. The client goes on trying.
    pub connect_within: Option<Duration>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { token: None, tls: None, most_submits: 1_000, connect_within: None }
    }
}

pub(super) struct Shared {
    pub(super) options: ClientOptions,
    pub(super) backend: Backend,
    pub(super) line: Line,
    /// Why the coordinator does not want this client.
    pub(super) refused: RefCell<Option<Box<str>>>,
    /// What has no answer, as JSON, by its number.
    pub(super) pending: RefCell<BTreeMap<u64, Pending>>,
    pub(super) results: Results,
    pub(super) reach: Reach,
    is_closed: Cell<bool>,
    next: Cell<u64>,
    submits: CapacityLimiter,
    pub(super) event_loop: EventLoop,
    /// What its ids begin with, and nobody else's. They count up, so that those of tasks that are submitted together are
    /// written side by side.
    id_prefix: Box<str>,
    submitted: Cell<u64>,
    /// A copy of the store is being taken.
    pub(super) takes_copy: Cell<bool>,
}

impl Client {
    /// Begins to connect to the coordinator at one of `addresses`: `host:port`, or `unix:/path`.
    ///
    /// # Errors
    /// There is no address, or the loop is closed.
    pub fn start<A: Into<String>>(
        event_loop: &EventLoop,
        addresses: impl IntoIterator<Item = A>,
        options: ClientOptions,
    ) -> Result<Self> {
        let shared = Shared::new(event_loop, Backend::Coordinator(OnceCell::new()), options);
        let (own, tls) = (Rc::downgrade(&shared), shared.options.tls.clone());
        let client = Reconnecting::builder(event_loop, addresses, move |attempt| {
            let decoder = LengthPrefixDecoder::new(LengthPrefix::U32).max_length(MAX_LENGTH);
            Framed::new(ClientPeer::new(own.clone(), attempt.clone()), decoder)
        });
        let client =
            client.configure(move |builder, attempt| prepare(builder, attempt, tls.as_ref()));
        let own = Rc::downgrade(&shared);
        let client = client.on_state(move |state| {
            if let Some(shared) = own.upgrade() {
                shared.note(state);
            }
        });
        shared.lost();
        let client = client.handshake(true).start()?;
        if let Backend::Coordinator(connection) = &shared.backend {
            connection.get_or_init(|| client);
        }
        Ok(Self { shared })
    }

    /// Begins to connect to one of these NATS servers: `host`, `host:port`, or `nats://user:password@host:port`. What is
    /// submitted is then kept by JetStream, and there is no coordinator; a token is that of the servers, and with `tls` all
    /// are spoken to under TLS.
    ///
    /// What only a coordinator can do is [`ClientError::Refused`].
    ///
    /// # Errors
    /// An address or the name in `nats` is none, or the loop is closed.
    pub fn on_nats<A: AsRef<str>>(
        event_loop: &EventLoop,
        servers: impl IntoIterator<Item = A>,
        options: ClientOptions,
        nats: NatsOptions,
    ) -> Result<Self> {
        let access = Access { token: options.token.as_deref(), tls: options.tls.as_ref() };
        let client = NatsClient::start(event_loop, servers, access, nats)?;
        Ok(Self { shared: Shared::new(event_loop, Backend::on_nats(client), options) })
    }

    /// Submits a task with the defaults. It is on the coordinator's disk when this completes.
    ///
    /// # Errors
    /// `kind` is no name, `arguments` are no JSON or too large, the coordinator refuses, or the client is closed.
    pub async fn submit(
        &self,
        kind: &str,
        arguments: &impl Serialize,
    ) -> Result<SubmittedTask, ClientError> {
        self.task(kind, arguments).submit().await
    }

    /// A task with options, of a kind that is only known at run time.
    pub fn task(&self, kind: &str, arguments: &impl Serialize) -> TaskBuilder<SubmittedTask> {
        TaskBuilder::new(&self.shared, Options::of_kind(kind, arguments))
    }

    /// A task of a function: its result if it is awaited, or with options, or submitted and awaited later.
    pub fn call<A: Serialize, R>(
        &self,
        function: &Function<A, R>,
        arguments: &A,
    ) -> TaskBuilder<TypedTask<R>> {
        TaskBuilder::new(&self.shared, Options::of(function, arguments))
    }

    /// A function over many arguments, of an iterator that may have no end.
    pub fn map<A: Serialize, R: DeserializeOwned, I: IntoIterator<Item = A>>(
        &self,
        function: &Function<A, R>,
        arguments: I,
    ) -> Map<FromIterator<I::IntoIter>, A, R> {
        Map::new(&self.shared, function, FromIterator(arguments.into_iter()))
    }

    /// A function over the arguments of a stream, as they come.
    pub fn map_stream<A: Serialize, R: DeserializeOwned, S: Stream<Item = A>>(
        &self,
        function: &Function<A, R>,
        arguments: S,
    ) -> Map<FromStream<S>, A, R> {
        Map::new(&self.shared, function, FromStream(Box::pin(arguments)))
    }

    /// Tasks that each get what the one before returned, begun with this one.
    pub fn chain<A: Serialize, R>(
        &self,
        function: &Function<A, R>,
        arguments: &A,
    ) -> ChainBuilder<R> {
        ChainBuilder::new(&self.shared, Options::of(function, arguments))
    }

    /// Tasks of a function that are submitted together and looked at together.
    pub fn group<A: Serialize, R>(&self, function: &Function<A, R>) -> GroupBuilder<A, R> {
        GroupBuilder::new(&self.shared, function)
    }

    /// Tasks that were submitted before, as a group.
    pub fn group_of<R>(&self, tasks: impl IntoIterator<Item = TypedTask<R>>) -> Group<R> {
        Group::new(&self.shared, tasks.into_iter().map(SubmittedTask::from).collect())
    }

    /// Submits a task with its options.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed.
    pub async fn submit_spec(&self, spec: Spec) -> Result<SubmittedTask, ClientError> {
        SubmittedTask::submit(&self.shared, spec).await
    }

    /// Submits several tasks with one request, and tells of each whether it was taken.
    ///
    /// # Errors
    /// None of them was taken, since together they are too large, or the client is closed.
    pub async fn submit_all(
        &self,
        specs: Vec<Spec>,
    ) -> Result<Vec<Result<SubmittedTask, ClientError>>, ClientError> {
        SubmittedTask::submit_together(&self.shared, specs).await
    }

    /// A task that was submitted before, here or elsewhere.
    pub fn find(&self, id: TaskId) -> SubmittedTask {
        SubmittedTask::new(Rc::clone(&self.shared), id)
    }

    /// How the coordinator is.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn overview(&self) -> Result<Overview, ClientError> {
        match self.shared.ask(Ask::Overview).await? {
            Answer::Overview(overview) => Ok(*overview),
            _ => Err(unexpected()),
        }
    }

    /// At most `limit` tasks, and 200 at most, the newest first. `before` is [`Page::next`] of the page before this one.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn list(
        &self,
        filter: Filter,
        limit: usize,
        before: Option<u64>,
    ) -> Result<Page, ClientError> {
        match self.shared.ask(Ask::List(AskedList { filter, limit, before })).await? {
            Answer::Listed(page) => Ok(page),
            _ => Err(unexpected()),
        }
    }

    /// Whether the coordinator takes no new tasks and gives none to workers, from now on.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed.
    pub async fn drain(&self, on: bool) -> Result<(), ClientError> {
        self.shared.ask(Ask::Drain(on)).await.map(drop)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.is_closed.set(true);
        self.shared.backend.close();
        self.shared.give_up(&ClientError::Closed);
    }
}

impl Shared {
    fn new(event_loop: &EventLoop, backend: Backend, options: ClientOptions) -> Rc<Self> {
        Rc::new(Self {
            submits: CapacityLimiter::new(event_loop, options.most_submits.max(1)),
            options,
            id_prefix: backend.id_prefix(event_loop),
            backend,
            line: Line::new(event_loop),
            refused: RefCell::default(),
            pending: RefCell::default(),
            results: Results::default(),
            reach: Reach::default(),
            is_closed: Cell::new(false),
            next: Cell::new(0),
            event_loop: event_loop.clone(),
            submitted: Cell::new(0),
            takes_copy: Cell::new(false),
        })
    }

    /// Why nothing can be asked for now, if that is so.
    pub(super) fn is_hopeless(&self) -> Option<ClientError> {
        if self.is_closed.get() { Some(ClientError::Closed) } else { self.unreachable() }
    }

    /// Whether somebody waits for anything.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.borrow().is_empty() || !self.results.waiters.borrow().is_empty()
    }

    /// Of the next request.
    pub(super) fn number(&self) -> u64 {
        self.next.replace(self.next.get() + 1)
    }

    /// A turn to submit: few have it at the same time.
    pub(super) async fn turn(&self) -> Result<impl Sized, ClientError> {
        self.submits.acquire().await.map_err(|_| ClientError::Closed)
    }

    /// The task with an id, once it has ended or as it is.
    pub(super) async fn record(&self, ask: Ask, id: &TaskId) -> Result<Record, ClientError> {
        match self.ask(ask).await? {
            Answer::Task(Some(record)) => Ok(*record),
            Answer::Task(None) => Err(ClientError::UnknownTask(id.as_str().into())),
            _ => Err(unexpected()),
        }
    }

    /// Whoever waits is told that this is the end.
    pub(super) fn give_up(&self, error: &ClientError) {
        let pending = std::mem::take(&mut *self.pending.borrow_mut());
        for pending in pending.into_values() {
            let _ = pending.answer.set_result(Err(error.clone()));
        }
        self.deliver_to_all(error);
    }

    pub(super) fn new_id(&self) -> TaskId {
        let number = self.submitted.get();
        self.submitted.set(number + 1);
        match TaskId::new(&format!("{}{number:07x}", self.id_prefix)) {
            Ok(id) => id,
            Err(_) => unreachable!("it has digits and a dash or a dot"),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("pending", &self.shared.pending.borrow().len())
            .field("state", &self.shared.backend.state())
            .finish_non_exhaustive()
    }
}

pub(super) fn unexpected() -> ClientError {
    ClientError::Refused("an answer to something else".into())
}
