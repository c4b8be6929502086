use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{EventLoop, Promise, Protocol, TimerHandle, Transport, TransportHandle};

use super::back_up::Copies;
use super::commits::Commits;
use super::limits::Unwritten;
use super::output::{Followers, Unkept};
use super::peer::Peer;
use super::requests::Waits;
use super::slow::Untold;
use super::watch::Watches;
use crate::access::Tokens;
use crate::coordinator::{Coordinator, Effect, Settings, WorkerKey};
use crate::store::{DiskStore, Key, StoreError};
use crate::task::{Now, Timestamp};
use crate::wire::{Assign, FromCoordinator, Outbox};

/// A coordinator with its store, which serves connections.
///
/// Clones are the same one. It goes on until the last clone and the last connection are gone.
#[derive(Clone)]
pub struct CoordinatorServer {
    pub(super) shared: Rc<Shared>,
}

/// What a [`CoordinatorServer`] is told.
pub struct ServeOptions {
    /// How long things take.
    pub settings: Settings,
    /// What workers and clients must know.
    pub tokens: Tokens,
    /// Whether it begins without taking new tasks or giving any to workers, as after a drain.
    pub is_draining: bool,
    /// Where copies of the store are put together, in files without names; `None`: where the system has such.
    pub directory: Option<PathBuf>,
    /// The wall clock.
    pub clock: Box<dyn Fn() -> Timestamp>,
    /// For ids, and for how long tasks wait before they are tried again.
    pub random: fastrand::Rng,
}

impl fmt::Debug for ServeOptions {
    /// Without the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        formatter.debug_struct("ServeOptions").field("settings", settings).finish_non_exhaustive()
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            tokens: Tokens::default(),
            is_draining: false,
            directory: None,
            clock: Box::new(Timestamp::now),
            random: fastrand::Rng::new(),
        }
    }
}

/// Which connection.
pub(super) type PeerKey = u64;

pub(super) struct Shared {
    pub(super) event_loop: EventLoop,
    pub(super) options: ServeOptions,
    /// What those must know who come from now on.
    pub(super) tokens: RefCell<Tokens>,
    began: Instant,
    pub(super) state: RefCell<State>,
    /// Why nothing goes on.
    broken: RefCell<Option<StoreError>>,
    told_of_failure: RefCell<Vec<Promise<StoreError>>>,
}

pub(super) struct State {
    pub(super) coordinator: Coordinator<DiskStore>,
    pub(super) commits: Commits,
    /// In order: all are told or sent away at once, and equal runs do so equally.
    pub(super) peers: BTreeMap<PeerKey, TransportHandle>,
    pub(super) next_peer: PeerKey,
    /// Whose connection a worker is.
    pub(super) workers: HashMap<WorkerKey, PeerKey>,
    /// What is said once a batch is on the disk.
    pub(super) later: BTreeMap<u64, Vec<(PeerKey, FromCoordinator)>>,
    /// What goes on once a batch is on the disk.
    pub(super) waking: BTreeMap<u64, Vec<Promise<()>>>,
    /// Who waits until a task has ended, with the number of the request.
    pub(super) waiting: HashMap<Key, Vec<(PeerKey, u64)>>,
    /// What each of them waits for.
    pub(super) waits: HashMap<PeerKey, Waits>,
    /// Of which ends those will be told who do not take more now.
    pub(super) untold: HashMap<PeerKey, VecDeque<Untold>>,
    pub(super) unwritten: Unwritten,
    /// Connections that have not said who they are, in the order in which they came.
    pub(super) strangers: BTreeSet<PeerKey>,
    /// Who is told of the ends of tasks.
    pub(super) watches: Watches,
    pub(super) followers: Followers,
    pub(super) unkept: Unkept,
    timer: Option<TimerHandle>,
    is_settling: bool,
    /// What is said to whom at the end of this turn of the loop.
    pub(super) outboxes: HashMap<PeerKey, Outbox>,
    /// Whose outboxes have something.
    pub(super) unsent: Vec<PeerKey>,
    /// It ends: nothing that comes in is looked at any more.
    pub(super) is_leaving: bool,
    /// Who waits until all is on the disk.
    pub(super) until_written: Vec<Promise<()>>,
    /// What clients take copies from.
    pub(super) copies: Copies,
}

impl CoordinatorServer {
    /// Goes on with what is in the store.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn new(
        event_loop: &EventLoop,
        store: DiskStore,
        options: ServeOptions,
    ) -> Result<Self, StoreError> {
        let mut options = options;
        let began = event_loop.time();
        let now = Now { elapsed: Duration::ZERO, wall: (options.clock)() };
        let (writer, epoch, random) = (store.writer(), store.epoch(), options.random.fork());
        let mut coordinator = Coordinator::open(store, epoch, options.settings, random, now)?;
        coordinator.drain(options.is_draining, now)?;
        let state = State {
            coordinator,
            commits: Commits::new(writer),
            peers: BTreeMap::new(),
            next_peer: 0,
            workers: HashMap::new(),
            later: BTreeMap::new(),
            waking: BTreeMap::new(),
            waiting: HashMap::new(),
            waits: HashMap::new(),
            untold: HashMap::new(),
            unwritten: Unwritten::default(),
            strangers: BTreeSet::new(),
            watches: Watches::default(),
            followers: Followers::default(),
            unkept: Unkept::default(),
            timer: None,
            is_settling: false,
            outboxes: HashMap::new(),
            unsent: Vec::new(),
            is_leaving: false,
            until_written: Vec::new(),
            copies: Copies::default(),
        };
        let state = RefCell::new(state);
        let shared = Rc::new(Shared {
            event_loop: event_loop.clone(),
            tokens: RefCell::new(options.tokens.clone()),
            options,
            began,
            state,
            broken: RefCell::default(),
            told_of_failure: RefCell::default(),
        });
        shared.settle_soon();
        Ok(Self { shared })
    }

    /// The protocol of a connection, for a server's factory. The server should probe connections that are silent: see
    /// [`KEEPALIVE`](crate::access::KEEPALIVE).
    pub fn protocol(&self) -> impl Protocol + use<> {
        Peer::stranger(Rc::clone(&self.shared))
    }

    /// Waits until the store cannot be read any more. Everybody is sent away then, and nothing else happens: what was
    /// acknowledged is in the store, and another coordinator can go on with it when it can be read.
    pub async fn failed(&self) -> StoreError {
        if let Some(error) = self.shared.broken() {
            return error;
        }
        let (promise, failed) = self.shared.event_loop.create_future();
        self.shared.told_of_failure.borrow_mut().push(promise);
        match failed.await {
            Ok(error) => error,
            // The loop is closed, and this future is never asked again.
            Err(_) => std::future::pending().await,
        }
    }

    /// What those must know who come from now on. Who is there stays.
    pub fn set_tokens(&self, tokens: Tokens) {
        drop(self.shared.tokens.replace(tokens));
    }

    /// Whether no new tasks are taken, and none is given to workers.
    pub fn is_draining(&self) -> bool {
        self.shared.state.borrow().coordinator.is_draining()
    }

    /// How many tasks wait, and how many run.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.shared.state.borrow();
        (state.coordinator.queued(), state.coordinator.running())
    }
}

impl Shared {
    pub(super) fn now(&self) -> Now {
        let elapsed = self.event_loop.time().saturating_duration_since(self.began);
        Now { elapsed, wall: (self.options.clock)() }
    }

    /// Once in this turn of the loop, what everybody has caused is carried out.
    pub(super) fn settle_soon(self: &Rc<Self>) {
        if !std::mem::replace(&mut self.state.borrow_mut().is_settling, true) {
            let shared = Rc::downgrade(self);
            self.event_loop.call_soon(move || {
                if let Some(shared) = shared.upgrade() {
                    shared.settle();
                }
            });
        }
    }

    pub(super) fn settle(self: &Rc<Self>) {
        if self.broken().is_some() {
            return;
        }
        let mut state = self.state.borrow_mut();
        state.is_settling = false;
        while let Some(effect) = state.coordinator.effect() {
            state.carry_out(effect);
        }
        drop(state);
        // The disk begins first, since it takes the longest.
        self.commit();
        self.state.borrow_mut().send();
        self.set_timer();
    }

    fn set_timer(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if let Some(timer) = state.timer.take() {
            timer.cancel();
        }
        let wait = state.coordinator.wait(self.now()).filter(|_| !state.is_leaving);
        let Some(wait) = wait else { return };
        let shared = Rc::downgrade(self);
        state.timer = Some(self.event_loop.call_later(wait, move || {
            if let Some(shared) = shared.upgrade() {
                let now = shared.now();
                let done = shared.state.borrow_mut().coordinator.on_time(now);
                shared.check(done);
                shared.settle_soon();
            }
        }));
    }

    /// A store that cannot be read is the end: everybody is sent away.
    pub(super) fn check<T>(&self, outcome: Result<T, StoreError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                self.event_loop.call_exception_handler(&error.to_string(), None);
                for peer in self.state.borrow().peers.values() {
                    peer.abort();
                }
                for promise in self.told_of_failure.take() {
                    let _ = promise.set_result(error.clone());
                }
                self.broken.borrow_mut().get_or_insert(error);
                None
            }
        }
    }

    /// Why nothing goes on any more.
    pub(super) fn broken(&self) -> Option<StoreError> {
        self.broken.borrow().clone()
    }
}

impl State {
    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Assign { worker, task } => {
                let spec = task.spec;
                let assign = Assign { id: task.id, fence: task.fence, attempt: task.attempt, spec };
                self.tell_worker(worker, &FromCoordinator::Assign(assign));
            }
            Effect::Stop { worker, fence, why } => {
                self.tell_worker(worker, &FromCoordinator::Stop { fence, why });
            }
            Effect::Recall { worker, fence } => {
                self.tell_worker(worker, &FromCoordinator::Recall(fence));
            }
            Effect::Dismiss { worker } => {
                // What is not sent by now will not be read: an orderly end could wait for ever.
                let peer = self.workers.get(&worker).and_then(|peer| self.peers.get(peer));
                if let Some(peer) = peer {
                    peer.abort();
                }
            }
            Effect::Changed { key, batch } => self.task_changed(key, batch),
            Effect::Wrote { key, batch } => self.task_wrote(key, batch),
        }
    }

    fn tell_worker(&mut self, worker: WorkerKey, message: &FromCoordinator) {
        if let Some(peer) = self.workers.get(&worker).copied() {
            self.tell(peer, message);
        }
    }

    /// Says something to somebody, if still there: in this turn of the loop, once what has happened is
    /// [settled](Shared::settle_soon).
    pub(super) fn tell(&mut self, peer: PeerKey, message: &FromCoordinator) {
        let Some(transport) = self.peers.get(&peer) else { return };
        let outbox = self.outboxes.entry(peer).or_default();
        if outbox.is_empty() {
            self.unsent.push(peer);
        }
        // All of it was in messages that kept the limit, but for a list that is too long to be told.
        if outbox.push(message).is_err() {
            transport.abort();
        }
        if outbox.is_full() {
            outbox.write_to(transport);
        }
    }

    /// Sends what was said.
    pub(super) fn send(&mut self) {
        for peer in self.unsent.drain(..) {
            if let Some(transport) = self.peers.get(&peer)
                && let Some(outbox) = self.outboxes.get_mut(&peer)
            {
                outbox.write_to(transport);
            }
        }
    }
}

impl fmt::Debug for CoordinatorServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (queued, running) = self.counts();
        formatter
            .debug_struct("CoordinatorServer")
            .field("queued", &queued)
            .field("running", &running)
            .finish_non_exhaustive()
    }
}
