use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;
use serde_json::value::to_raw_value;
use wharf::{CapacityLimiter, EventLoop, Promise, Result, TlsClient};
use wharf_protocols::framing::{Framed, LengthPrefix, LengthPrefixDecoder};
use wharf_protocols::reconnect::Reconnecting;

use super::connection::ClientPeer;
use super::error::ClientError;
use super::tasks::SubmittedTask;
use crate::access::under_tls;
use crate::coordinator::{Filter, Overview, Page};
use crate::task::{Kind, Record, Spec, TaskId};
use crate::wire::{Answer, Ask, Asked, AskedList, Line, MAX_LENGTH, ToCoordinator, encode};

/// A client that is connected to a coordinator, and connects again when it has lost it.
///
/// What it has asked for and has no answer to is asked for again on the next connection: since each task has an id that
/// the client chose, none is submitted twice. Dropping it ends what waits with [`ClientError::Closed`]; tasks go on.
pub struct Client {
    pub(super) shared: Rc<Shared>,
    pub(super) client: Reconnecting<Framed<ClientPeer, LengthPrefixDecoder>>,
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
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { token: None, tls: None, most_submits: 1_000 }
    }
}

pub(super) struct Shared {
    pub(super) options: ClientOptions,
    pub(super) line: Line,
    /// Why the coordinator does not want this client.
    pub(super) refused: RefCell<Option<Box<str>>>,
    /// What has no answer, as JSON, by its number.
    pub(super) pending: RefCell<BTreeMap<u64, Pending>>,
    next: Cell<u64>,
    submits: CapacityLimiter,
    event_loop: EventLoop,
    /// What its ids begin with, and nobody else's. They count up, so that those of tasks that are submitted together are
    /// written side by side.
    name: Box<str>,
    submitted: Cell<u64>,
}

pub(super) struct Pending {
    pub(super) request: Box<[u8]>,
    pub(super) answer: Promise<Result<Answer, ClientError>>,
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
        let submits = CapacityLimiter::new(event_loop, options.most_submits.max(1));
        let shared = Rc::new(Shared {
            options,
            line: Line::new(event_loop),
            refused: RefCell::default(),
            pending: RefCell::default(),
            next: Cell::new(0),
            submits,
            event_loop: event_loop.clone(),
            name: format!("{:020x}", fastrand::u128(..) >> 48).into(),
            submitted: Cell::new(0),
        });
        let (own, tls) = (Rc::downgrade(&shared), shared.options.tls.clone());
        let client = Reconnecting::builder(event_loop, addresses, move |attempt| {
            let decoder = LengthPrefixDecoder::new(LengthPrefix::U32).max_length(MAX_LENGTH);
            Framed::new(ClientPeer::new(own.clone(), attempt.clone()), decoder)
        });
        let client =
            client.configure(move |builder, attempt| under_tls(builder, attempt, tls.as_ref()));
        let client = client.handshake(true).start()?;
        Ok(Self { shared, client })
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
        let kind =
            Kind::new(kind).map_err(|error| ClientError::Refused(error.to_string().into()))?;
        self.submit_spec(Spec::new(kind, to_raw_value(arguments)?)).await
    }

    /// Submits a task with its options.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed.
    pub async fn submit_spec(&self, spec: Spec) -> Result<SubmittedTask, ClientError> {
        match self.submit_all(vec![spec]).await?.pop() {
            Some(outcome) => outcome,
            None => Err(ClientError::Refused("an empty answer".into())),
        }
    }

    /// Submits several tasks with one request, and tells of each whether it was taken.
    ///
    /// # Errors
    /// None of them was taken, since together they are too large, or the client is closed.
    pub async fn submit_all(
        &self,
        mut specs: Vec<Spec>,
    ) -> Result<Vec<Result<SubmittedTask, ClientError>>, ClientError> {
        for spec in &mut specs {
            spec.id.get_or_insert_with(|| self.shared.new_id());
        }
        let _turn = self.shared.submits.acquire().await.map_err(|_| ClientError::Closed)?;
        match self.shared.ask(Ask::Submit(specs)).await? {
            Answer::Submitted(outcomes) => {
                let task = |outcome| match outcome {
                    Ok(id) => Ok(SubmittedTask::new(Rc::clone(&self.shared), id)),
                    Err(why) => Err(ClientError::Refused(why)),
                };
                Ok(outcomes.into_iter().map(task).collect())
            }
            _ => Err(unexpected()),
        }
    }

    /// A task that was submitted before, here or elsewhere.
    pub fn task(&self, id: TaskId) -> SubmittedTask {
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
        self.client.close();
        self.shared.give_up(&ClientError::Closed);
    }
}

impl Shared {
    /// Asks for something, on this connection or the next.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, ClientError> {
        let number = self.next.get();
        self.next.set(number + 1);
        let mut request = Vec::new();
        encode(&ToCoordinator::Request(Asked { number, ask }), &mut request)
            .map_err(|error| ClientError::Refused(error.to_string().into()))?;
        let (promise, answer) = self.event_loop.create_future();
        self.line.say_json(&request);
        let pending = Pending { request: request.into(), answer: promise };
        self.pending.borrow_mut().insert(number, pending);
        let _forget = Forget { shared: self, number };
        match answer.await {
            Ok(Ok(Answer::Failed(why))) => Err(ClientError::Refused(why)),
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Closed),
        }
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
    }

    fn new_id(&self) -> TaskId {
        let number = self.submitted.get();
        self.submitted.set(number + 1);
        match TaskId::new(&format!("{}-{number:07x}", self.name)) {
            Ok(id) => id,
            Err(_) => unreachable!("it has digits and a dash"),
        }
    }
}

/// Whoever asked does not wait any more.
struct Forget<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let pending = self.shared.pending.borrow_mut().remove(&self.number);
        drop(pending);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("pending", &self.shared.pending.borrow().len())
            .field("state", &self.client.state())
            .finish_non_exhaustive()
    }
}

pub(super) fn unexpected() -> ClientError {
    ClientError::Refused("an answer to something else".into())
}
