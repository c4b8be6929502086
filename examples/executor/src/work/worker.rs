use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use wharf::{CapacityLimiter, EventLoop, Executor, Promise, Result, TimerHandle, TlsClient};
use wharf_protocols::framing::{Framed, LengthPrefix, LengthPrefixDecoder};
use wharf_protocols::reconnect::{Reconnecting, State};

use super::connection::WorkerPeer;
use super::functions::Functions;
use super::running::{Running, Unkept};
use super::unrecorded::Unrecorded;
use crate::access::prepare;
use crate::nats::{NatsOptions, NatsWorker};
use crate::task::Kind;
use crate::wire::{Hello, Line, MAX_LENGTH, Replied, Role, ToCoordinator, VERSION};

/// A worker that is connected to a coordinator, and connects again when it has lost it.
///
/// What it runs goes on meanwhile, and what has ended is reported as soon as the coordinator is there again. Dropping it
/// ends everything at once: the coordinator gives its tasks to others.
pub struct Worker {
    shared: Rc<Runner>,
    link: Link,
}

/// Why there is no connection any more, if there was no error.
pub(crate) const CLOSED: &str = "it has closed the connection";

/// Who gives it tasks.
enum Link {
    /// A coordinator.
    Coordinator(Reconnecting<Framed<WorkerPeer, LengthPrefixDecoder>>),
    /// JetStream.
    Nats(Rc<NatsWorker>),
}

/// What a [`Worker`] is told.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// For people; the name of the machine is a good one.
    pub name: Box<str>,
    /// How many tasks run at once.
    pub slots: usize,
    /// How many more it holds, so that a slot that becomes free has one at once.
    pub prefetch: usize,
    /// The kinds that it runs, of those that it could; `None`: all.
    pub kinds: Option<Vec<Kind>>,
    /// What the coordinator wants to hear.
    pub token: Option<Box<str>>,
    /// How to connect under TLS; `None`: without. Unix sockets are always without.
    pub tls: Option<TlsClient>,
}

impl Default for WorkerOptions {
    /// As many slots as there are cores, and as many tasks more.
    fn default() -> Self {
        let slots = std::thread::available_parallelism().map_or(1, usize::from);
        let name = format!("worker-{}", std::process::id()).into();
        Self { name, slots, prefetch: slots, kinds: None, token: None, tls: None }
    }
}

/// Runs tasks, and says what comes of them, to whoever it has them from.
pub(crate) struct Runner {
    pub(super) event_loop: EventLoop,
    pub(super) functions: Functions,
    options: WorkerOptions,
    /// For the next connection.
    tls: RefCell<Option<TlsClient>>,
    pub(super) threads: Executor,
    pub(super) slots: CapacityLimiter,
    pub(super) line: Line,
    /// What stands for a coordinator on NATS, if that is where its tasks come from.
    pub(super) nats: RefCell<Option<Weak<NatsWorker>>>,
    /// What runs, or waits for a slot, by its fence.
    pub(super) running: RefCell<BTreeMap<u64, Running>>,
    /// What is not recorded yet.
    pub(super) reports: Unrecorded,
    /// What tasks have written and is not kept yet.
    pub(super) unkept: RefCell<BTreeMap<u64, Unkept>>,
    /// Who waits until it has nothing any more.
    pub(super) idle: RefCell<Vec<Promise<()>>>,
    pub(super) lease: Cell<Duration>,
    /// When it says next that it lives.
    beating: RefCell<Option<TimerHandle>>,
    is_shutting_down: Cell<bool>,
    /// How many slots have a function that goes on though it was to end.
    pub(super) occupied: Cell<usize>,
    /// Why the coordinator does not want this worker.
    pub(super) refused: RefCell<Option<Box<str>>>,
}

impl Worker {
    /// Begins to connect to the coordinator at one of `addresses` (`host:port`, or `unix:/path`), and to run what it gives.
    ///
    /// # Errors
    /// There is no address, or the loop is closed.
    pub fn start<A: Into<String>>(
        event_loop: &EventLoop,
        addresses: impl IntoIterator<Item = A>,
        functions: Functions,
        options: WorkerOptions,
    ) -> Result<Self> {
        let shared = Runner::new(event_loop, functions, options);
        let (own, secured) = (Rc::clone(&shared), Rc::clone(&shared));
        let client = Reconnecting::builder(event_loop, addresses, move |attempt| {
            let decoder = LengthPrefixDecoder::new(LengthPrefix::U32).max_length(MAX_LENGTH);
            Framed::new(WorkerPeer::new(Rc::clone(&own), attempt.clone()), decoder)
        });
        let client = client.configure(move |builder, attempt| {
            prepare(builder, attempt, secured.tls.borrow().as_ref())
        });
        let client = client.handshake(true).start()?;
        shared.beat();
        Ok(Self { shared, link: Link::Coordinator(client) })
    }

    /// Begins to connect to one of these NATS servers, and to run the tasks that JetStream has: see
    /// [`Client::on_nats`](crate::client::Client::on_nats). [`refused`](Self::refused) says if they do not want it.
    ///
    /// Of each kind and class of priority it holds as many tasks as it has slots, and [`prefetch`](WorkerOptions::prefetch)
    /// more.
    ///
    /// # Errors
    /// An address or the name in `nats` is none, or the loop is closed.
    pub fn on_nats<A: AsRef<str>>(
        event_loop: &EventLoop,
        servers: impl IntoIterator<Item = A>,
        functions: Functions,
        options: WorkerOptions,
        nats: NatsOptions,
    ) -> Result<Self> {
        let shared = Runner::new(event_loop, functions, options);
        let worker = NatsWorker::start(event_loop, servers, nats, &shared)?;
        *shared.nats.borrow_mut() = Some(Rc::downgrade(&worker));
        Ok(Self { shared, link: Link::Nats(worker) })
    }

    /// How many tasks it has, those included that wait for a slot.
    pub fn tasks(&self) -> usize {
        self.shared.running.borrow().len()
    }

    /// Connects under this TLS from now on, as after certificates were renewed. The connection that is there stays.
    pub fn set_tls(&self, tls: impl Into<Option<TlsClient>>) {
        drop(self.shared.tls.replace(tls.into()));
    }

    /// Why the coordinator did not want this worker when it came last: a wrong token, for example.
    pub fn refused(&self) -> Option<String> {
        self.shared.refused.borrow().as_deref().map(String::from)
    }

    /// Calls `callback` each time that the coordinator at an address has welcomed this worker, and each time that the
    /// connection was lost or could not be made, with why. On NATS it is the same with servers.
    pub fn on_connection(&self, callback: impl Fn(std::result::Result<&str, &str>) + 'static) {
        let client = match &self.link {
            Link::Coordinator(client) => client,
            Link::Nats(worker) => return worker.on_connection(callback),
        };
        let shared = Rc::downgrade(&self.shared);
        client.on_state(move |state| match state {
            State::Connected { address } => callback(Ok(address)),
            State::Waiting { error, .. } => {
                let refused = shared.upgrade().and_then(|shared| shared.refused.borrow().clone());
                let why = refused.map(String::from);
                let why = why.or_else(|| error.as_ref().map(|error| format!("{error:#}")));
                callback(Err(why.as_deref().unwrap_or(CLOSED)));
            }
            _ => {}
        });
    }

    /// Takes no more tasks, waits for at most `grace` until those that it has have ended and are recorded, gives back what
    /// is left, and disconnects.
    ///
    /// # Errors
    /// The loop is closed.
    pub async fn shutdown(self, grace: Duration) -> Result {
        let shared = Rc::clone(&self.shared);
        shared.is_shutting_down.set(true);
        shared.say(&ToCoordinator::Takes(0));
        let _ = wharf::timeout(grace, shared.until_idle()).await;
        let left = std::mem::take(&mut *shared.running.borrow_mut());
        shared.unkept.borrow_mut().clear();
        for fence in left.into_keys() {
            shared.report(fence, Replied::GivenBack);
        }
        let _ = wharf::timeout(Duration::from_secs(1), shared.until_idle()).await;
        match &self.link {
            Link::Coordinator(client) => {
                client.close();
                client.closed().await?;
            }
            Link::Nats(worker) => worker.flush().await,
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Link::Nats(worker) = &self.link {
            worker.close();
        }
    }
}

impl Runner {
    fn new(event_loop: &EventLoop, functions: Functions, options: WorkerOptions) -> Rc<Self> {
        let slots = options.slots.max(1);
        Rc::new(Self {
            event_loop: event_loop.clone(),
            functions,
            tls: RefCell::new(options.tls.clone()),
            options,
            threads: Executor::new(slots),
            slots: CapacityLimiter::new(event_loop, slots),
            line: Line::new(event_loop),
            nats: RefCell::default(),
            running: RefCell::default(),
            reports: Unrecorded::default(),
            unkept: RefCell::default(),
            idle: RefCell::default(),
            lease: Cell::new(Duration::from_secs(15)),
            beating: RefCell::default(),
            is_shutting_down: Cell::new(false),
            occupied: Cell::new(0),
            refused: RefCell::default(),
        })
    }

    /// What it was told.
    pub(crate) fn options(&self) -> &WorkerOptions {
        &self.options
    }

    /// The kinds that it runs.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let wanted = self.options.kinds.as_ref();
        let is_wanted = |kind: &&Kind| wanted.is_none_or(|kinds| kinds.contains(kind));
        self.functions.kinds().filter(is_wanted).cloned().collect()
    }

    /// It is not wanted, and why.
    pub(crate) fn refuse(&self, why: Box<str>) {
        *self.refused.borrow_mut() = Some(why);
    }

    /// How many tasks it ever takes.
    pub(super) fn most_tasks(&self) -> usize {
        self.options.slots.max(1).saturating_add(self.options.prefetch)
    }

    /// How many tasks it takes now.
    pub(super) fn capacity(&self) -> usize {
        let free = self.options.slots.max(1).saturating_sub(self.occupied.get());
        if self.is_shutting_down.get() || free == 0 { 0 } else { free + self.options.prefetch }
    }

    /// What is said first on a connection.
    pub(super) fn hello(&self) -> ToCoordinator {
        let options = &self.options;
        let running = self.running.borrow();
        let fences = running.keys().copied().chain(self.reports.fences()).collect();
        ToCoordinator::Hello(Hello {
            version: VERSION,
            token: options.token.clone(),
            role: Role::Worker {
                name: options.name.clone(),
                kinds: self.kinds(),
                capacity: self.capacity(),
                slots: Some(options.slots.max(1)),
                fences,
            },
        })
    }

    /// Says that it lives, three times in each lease, the first time in a third of one from now.
    pub(super) fn beat(self: &Rc<Self>) {
        let shared = Rc::downgrade(self);
        let timer = self.event_loop.call_later(self.lease.get() / 3, move || {
            if let Some(shared) = shared.upgrade() {
                shared.say(&ToCoordinator::Alive);
                shared.beat();
            }
        });
        if let Some(former) = self.beating.replace(Some(timer)) {
            former.cancel();
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("name", &self.shared.options.name)
            .field("tasks", &self.tasks())
            .field("is_on_nats", &matches!(self.link, Link::Nats(_)))
            .finish_non_exhaustive()
    }
}
