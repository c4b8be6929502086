//! Who answers: a coordinator at the other end of a connection, or JetStream. The rest of the client does not know which of
//! the two it is.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use wharf::{EventLoop, Promise, Result, Task};
use wharf_protocols::framing::{Framed, LengthPrefixDecoder};
use wharf_protocols::reconnect::{Reconnecting, State};

use super::connection::ClientPeer;
use super::error::ClientError;
use super::handle::{Shared, unexpected};
use super::results::Delivery;
use crate::nats::NatsClient;
use crate::task::TaskId;
use crate::wire::{Answer, Ask, Asked, Ended, ToCoordinator, encode};

/// Who answers.
pub(super) enum Backend {
    /// A coordinator, once there is somebody who connects to it.
    Coordinator(OnceCell<Connection>),
    /// JetStream.
    Nats(OnNats),
}

/// Connections to a coordinator.
pub(super) type Connection = Reconnecting<Framed<ClientPeer, LengthPrefixDecoder>>;

/// What stands for a coordinator on NATS.
pub(super) struct OnNats {
    client: Rc<NatsClient>,
    /// What is awaited for those who watch tasks: a coordinator tells them by itself.
    watching: RefCell<BTreeMap<TaskId, Task<()>>>,
}

/// What a coordinator was asked for and has not answered.
pub(super) struct Pending {
    pub(super) request: Box<[u8]>,
    pub(super) answer: Promise<Result<Answer, ClientError>>,
}

impl OnNats {
    pub(super) fn client(&self) -> &NatsClient {
        &self.client
    }
}

impl Backend {
    pub(super) fn on_nats(client: NatsClient) -> Self {
        Self::Nats(OnNats { client: Rc::new(client), watching: RefCell::default() })
    }

    /// What ids that are made up here begin with, and nobody else's.
    pub(super) fn id_prefix(&self, event_loop: &EventLoop) -> Box<str> {
        match self {
            Self::Coordinator(_) => {
                let mut random = fastrand::Rng::with_seed(event_loop.random_seed());
                format!("{:020x}-", random.u128(..) >> 48).into()
            }
            Self::Nats(nats) => format!("{}.", nats.client.session_name()).into(),
        }
    }

    /// What is being done to reach it, for people.
    pub(super) fn state(&self) -> Option<State> {
        match self {
            Self::Coordinator(connection) => connection.get().map(Reconnecting::state),
            Self::Nats(_) => None,
        }
    }

    /// What NATS servers have refused last, or why there is no connection to them.
    pub(super) fn failure(&self) -> Option<Box<str>> {
        match self {
            Self::Coordinator(_) => None,
            Self::Nats(nats) => nats.client.failure(),
        }
    }

    /// Nothing is said or heard any more.
    pub(super) fn close(&self) {
        match self {
            Self::Coordinator(connection) => {
                if let Some(connection) = connection.get() {
                    connection.close();
                }
            }
            Self::Nats(nats) => {
                nats.client.close();
                drop(nats.watching.take());
            }
        }
    }
}

impl Shared {
    /// Asks for something, and waits for the answer.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, ClientError> {
        if let Some(error) = self.is_hopeless() {
            return Err(error);
        }
        let answer = match &self.backend {
            Backend::Coordinator(_) => self.ask_coordinator(ask).await,
            Backend::Nats(nats) => nats.client.ask(ask).await,
        };
        match answer {
            Ok(Answer::Failed(why)) => Err(ClientError::Refused(why)),
            answer => answer,
        }
    }

    /// Says something that needs no answer; without a connection it is lost.
    pub(super) fn say(self: &Rc<Self>, ask: Ask) {
        match (&self.backend, ask) {
            (Backend::Coordinator(_), ask) => {
                let number = self.number();
                self.line.say(&ToCoordinator::Request(Asked { number, ask }));
            }
            (Backend::Nats(nats), Ask::Watch(ids)) => {
                ids.into_iter().for_each(|id| self.await_end(nats, id));
            }
            (Backend::Nats(nats), Ask::Unwatch(ids)) => {
                for id in ids {
                    let awaiting = nats.watching.borrow_mut().remove(&id);
                    drop(awaiting);
                }
            }
            // Nothing else is said without waiting for an answer.
            (Backend::Nats(_), _) => {}
        }
    }

    /// Waits until this client is welcome; `why` is what failed last.
    pub(super) async fn welcomed(&self, why: &mut Option<String>) -> Result<(), ClientError> {
        let connection = match &self.backend {
            Backend::Coordinator(connection) => connection.get(),
            Backend::Nats(nats) => return nats.client.ready().await,
        };
        let mut states = connection.ok_or(ClientError::Closed)?.states();
        while let Some(state) = states.next().await {
            if let Some(refused) = &*self.refused.borrow() {
                return Err(ClientError::NotAdmitted(refused.clone()));
            }
            match state {
                State::Connected { .. } => return Ok(()),
                State::Waiting { error: Some(error), .. } => *why = Some(format!("{error:#}")),
                _ => {}
            }
        }
        Err(ClientError::Closed)
    }

    /// Tasks were submitted with [`Ask::Run`], and somebody may wait for them: a coordinator knows.
    pub(super) fn watch_submitted(self: &Rc<Self>, mut ids: Vec<TaskId>) {
        if let Backend::Nats(_) = &self.backend {
            ids.retain(|id| self.results.waiters.borrow().contains_key(id));
            self.say(Ask::Watch(ids));
        }
    }

    /// Asks for something, on this connection or the next.
    async fn ask_coordinator(&self, ask: Ask) -> Result<Answer, ClientError> {
        let number = self.number();
        let mut request = Vec::new();
        encode(&ToCoordinator::Request(Asked { number, ask }), &mut request)
            .map_err(|error| ClientError::Refused(error.to_string().into()))?;
        let (promise, answer) = self.event_loop.create_future();
        self.line.say_json(&request);
        let pending = Pending { request: request.into(), answer: promise };
        self.pending.borrow_mut().insert(number, pending);
        let _forget = Forget { shared: self, number };
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Closed),
        }
    }

    fn await_end(self: &Rc<Self>, nats: &OnNats, id: TaskId) {
        let (weak, client, awaited) = (Rc::downgrade(self), Rc::clone(&nats.client), id.clone());
        let awaiting = self.event_loop.create_task(async move {
            let delivery = end_of(&client, &awaited).await;
            if let Some(shared) = weak.upgrade()
                && let Backend::Nats(nats) = &shared.backend
            {
                shared.deliver(&awaited, &delivery);
                let done = nats.watching.borrow_mut().remove(&awaited);
                drop(done);
            }
        });
        let former = nats.watching.borrow_mut().insert(id, awaiting);
        drop(former);
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

async fn end_of(client: &NatsClient, id: &TaskId) -> Delivery {
    match client.ask(Ask::Wait(id.clone())).await? {
        Answer::Task(Some(record)) => Ok(Ended::of(&record)),
        Answer::Task(None) => Ok(Ended::unknown(id.clone())),
        Answer::Failed(why) => Err(ClientError::Refused(why)),
        _ => Err(unexpected()),
    }
}
