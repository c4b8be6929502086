//! Messages are pulled, no more than there is room for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, Promise};
use wharf_protocols::nats::NatsError;
use wharf_protocols::nats::jetstream::{Consumer, JetStreamMessage};

use super::NatsWorker;
use super::held::Held;
use crate::nats::names::Class;
use crate::nats::records::Records;
use crate::nats::setup;
use crate::nats::task::QueuedTask;
use crate::task::Kind;

/// How long one pull waits for a message.
const WAIT: Duration = Duration::from_secs(20);
/// How long until a consumer is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// A queue that a worker takes messages from.
pub(super) struct Queue {
    pub(super) class: Class,
    kind: Kind,
    /// How long records are kept; zero: for ever.
    pub(super) keep: Duration,
    /// How many messages of it are held.
    held: Cell<usize>,
    /// Who waits for room.
    waiting: RefCell<Option<Promise<()>>>,
}

/// One message of a queue is held, until this is dropped.
pub(super) struct Place(Rc<Queue>);

impl Queue {
    pub(super) fn new(class: Class, kind: Kind, keep: Duration) -> Self {
        Self { class, kind, keep, held: Cell::new(0), waiting: RefCell::default() }
    }

    fn place(self: &Rc<Self>) -> Place {
        self.held.set(self.held.get() + 1);
        Place(Rc::clone(self))
    }

    /// Waits until a half of what may wait has gone, and gives how many more may come.
    async fn room(&self, event_loop: &EventLoop, slots: usize, prefetch: usize) -> usize {
        let most = slots + prefetch;
        loop {
            let room = most.saturating_sub(self.held.get());
            if room >= (prefetch / 2).max(1) {
                return room;
            }
            let (promise, changed) = event_loop.create_future();
            *self.waiting.borrow_mut() = Some(promise);
            let _ = changed.await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.held.set(self.0.held.get() - 1);
        let waiting = self.0.waiting.borrow_mut().take();
        if let Some(promise) = waiting {
            let _ = promise.set_result(());
        }
    }
}

impl NatsWorker {
    /// Takes messages of a queue for as long as it is not closed.
    pub(super) async fn pull(self: Rc<Self>, records: Records, queue: Rc<Queue>) {
        let (slots, prefetch) = {
            let options = self.runner.options();
            (options.slots.max(1), options.prefetch)
        };
        let event_loop = self.session.event_loop.clone();
        let mut consumer = None;
        loop {
            let room = queue.room(&event_loop, slots, prefetch).await;
            let found = match consumer.take() {
                Some(consumer) => Ok(consumer),
                None => self.queue(&records, &queue).await,
            };
            let fetched = match found {
                Ok(found) => fetch(&found, room).await.map(|messages| (found, messages)),
                Err(error) => Err(error),
            };
            match fetched {
                Ok((found, messages)) => {
                    consumer = Some(found);
                    for message in messages {
                        self.hold(&records, &queue, message);
                    }
                }
                Err(NatsError::Closed) => return,
                // Without a leader, or the consumer is gone: it is looked for again.
                Err(error) => {
                    event_loop.sleep(PAUSE).await;
                    if matches!(&error, NatsError::JetStream(error) if error.is_not_found()) {
                        records.make_again().await;
                    }
                }
            }
        }
    }

    async fn queue(&self, records: &Records, queue: &Queue) -> Result<Consumer, NatsError> {
        let (names, lease) = (&self.session.names, self.lease.get());
        let consumer =
            setup::queue(&records.jetstream, names, queue.class, &queue.kind, lease).await?;
        self.keep_lease_of(&consumer);
        Ok(consumer)
    }

    /// Who made a consumer has said how long its messages may be without an acknowledgement.
    pub(super) fn keep_lease_of(&self, consumer: &Consumer) {
        let lease = consumer.created().config.ack_wait;
        if !lease.is_zero() {
            self.lease.set(self.lease.get().min(lease));
        }
    }

    fn hold(self: &Rc<Self>, records: &Records, queue: &Rc<Queue>, message: JetStreamMessage) {
        let number = message.metadata().stream_sequence;
        let known = self.held.borrow().get(&number).cloned();
        if let Some(held) = known {
            // It was not heard of for a while, but goes on.
            held.delivered_again(message);
            return;
        }
        let task: QueuedTask = match serde_json::from_slice(message.payload()) {
            Ok(task) => task,
            Err(error) => {
                eprintln!("{}: what is there is no task: {error}", message.subject());
                let _ = message.term();
                return;
            }
        };
        let held = Rc::new(Held::new(task, message));
        self.held.borrow_mut().insert(number, Rc::clone(&held));
        let live = Rc::clone(self).live(records.clone(), queue.place(), Rc::clone(&held));
        held.begin(self.session.event_loop.create_task(live));
    }
}

impl Place {
    pub(super) fn queue(&self) -> &Queue {
        &self.0
    }
}

/// What is there now, or the next one.
async fn fetch(consumer: &Consumer, room: usize) -> Result<Vec<JetStreamMessage>, NatsError> {
    let messages = consumer.fetch_now(room).await?;
    if messages.is_empty() { consumer.fetch(1, WAIT).await } else { Ok(messages) }
}
