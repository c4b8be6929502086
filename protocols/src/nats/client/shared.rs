//! What the connections of a client have in common.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::rc::{Rc, Weak};

use wharf::{EventLoop, Requests, RequestsById, Transport, TransportHandle};

use super::error::NatsError;
use super::event::{Event, Events};
use super::handle::Inner;
use super::message::Message;
use super::options::Options;
use super::subscribed::Subscribed;
use super::user::call_user;
use crate::codec::{Decoder, Encoder};
use crate::mailbox::{Broadcast, Callback};
use crate::nats::codec::{ClientOp, ClientOpDecoder, ClientOpEncoder, Pub, ServerInfo};
use crate::notify::Notify;

/// What is gathered before it is handed to the transport, at most.
const GATHERED: usize = 64 * 1024;

/// A connection whose handshake is done.
pub(super) struct Live {
    pub(super) transport: TransportHandle,
    pub(super) pongs: Requests<()>,
}

pub(super) struct Shared {
    pub(super) event_loop: EventLoop,
    pub(super) options: Options,
    pub(super) live: RefCell<Option<Live>>,
    /// How many connections there have been.
    pub(super) generation: Cell<u64>,
    pub(super) info: RefCell<Rc<ServerInfo>>,
    pub(super) encoder: Cell<ClientOpEncoder>,
    /// Operations on their way to the transport, while there is one.
    out: RefCell<Vec<u8>>,
    is_flush_due: Cell<bool>,
    /// What the transport had in its queue when it was last looked at.
    queued: Cell<usize>,
    /// Messages published while there is no connection.
    pending: RefCell<Vec<u8>>,
    /// The length of the longest of them, with its headers.
    longest_pending: Cell<usize>,
    pub(super) subscribed: RefCell<HashMap<u64, Rc<Subscribed>>>,
    next_sid: Cell<u64>,
    /// Subscriptions because of which the connection is not read.
    pausing: RefCell<HashSet<u64>>,
    pub(super) inbox: String,
    pub(super) next_inbox: Cell<u64>,
    pub(super) requests: RequestsById<u64, Message>,
    /// A request has ended, while the client drains.
    pub(super) answered: Notify,
    pub(super) is_inbox_open: Cell<bool>,
    pub(super) is_draining: Cell<bool>,
    pub(super) is_closed: Cell<bool>,
    /// A connection has come or gone, or there is room to write.
    pub(super) changed: Notify,
    news: Broadcast<Event>,
    pub(super) last_error: RefCell<Option<NatsError>>,
    pub(super) owner: OnceCell<Weak<Inner>>,
    itself: Weak<Shared>,
}

impl Shared {
    pub(super) fn new(event_loop: &EventLoop, options: Options) -> Rc<Self> {
        let random = RandomState::new();
        let (first, second) = (random.hash_one(1), random.hash_one(2));
        let observers = options.observers.iter().cloned();
        let news = Broadcast::new(observers.map(|each| guarded(event_loop, each)).collect());
        Rc::new_cyclic(|itself| Self {
            event_loop: event_loop.clone(),
            options,
            live: RefCell::default(),
            generation: Cell::new(0),
            info: RefCell::default(),
            encoder: Cell::new(ClientOpEncoder::new()),
            out: RefCell::default(),
            is_flush_due: Cell::new(false),
            queued: Cell::new(0),
            pending: RefCell::default(),
            longest_pending: Cell::new(0),
            subscribed: RefCell::default(),
            next_sid: Cell::new(1),
            pausing: RefCell::default(),
            inbox: format!("_INBOX.{first:016x}{second:016x}"),
            next_inbox: Cell::new(0),
            requests: RequestsById::new(event_loop),
            answered: Notify::default(),
            is_inbox_open: Cell::new(false),
            is_draining: Cell::new(false),
            is_closed: Cell::new(false),
            changed: Notify::default(),
            news,
            last_error: RefCell::default(),
            owner: OnceCell::new(),
            itself: Weak::clone(itself),
        })
    }

    pub(super) fn tell(&self, event: &Event) {
        self.news.tell(event);
    }

    pub(super) fn listen(&self, callback: Callback<Event>) {
        self.news.add(guarded(&self.event_loop, callback));
    }

    pub(super) fn events(&self) -> Events {
        Events { queue: self.news.stream() }
    }

    pub(super) fn check_open(&self) -> Result<(), NatsError> {
        if self.is_closed.get() || self.is_draining.get() {
            return Err(NatsError::Closed);
        }
        Ok(())
    }

    pub(super) fn is_connected(&self) -> bool {
        self.live.borrow().is_some()
    }

    pub(super) fn next_id(&self) -> u64 {
        let id = self.next_inbox.get();
        self.next_inbox.set(id + 1);
        id
    }

    /// Sends a message, or keeps it until there is a connection.
    pub(super) fn publish(&self, message: &Pub<'_>) -> Result<(), NatsError> {
        if self.is_closed.get() {
            return Err(NatsError::Closed);
        }
        if !self.is_connected() {
            let most = self.options.max_pending;
            let mut pending = self.pending.borrow_mut();
            let length = pending.len();
            self.encoder.get().publish(message, &mut pending)?;
            if pending.len() > most {
                pending.truncate(length);
                return Err(NatsError::BufferFull);
            }
            let length = message.headers.map_or(0, <[u8]>::len) + message.payload.len();
            self.longest_pending.set(self.longest_pending.get().max(length));
            return Ok(());
        }
        let most = self.options.max_pending;
        if self.out.borrow().len() + self.queued.get() > most {
            self.hand_over();
            if self.queued.get() > most {
                return Err(NatsError::BufferFull);
            }
        }
        self.encoder.get().publish(message, &mut self.out.borrow_mut())?;
        self.flush_soon();
        Ok(())
    }

    /// Sends an operation if there is a connection: those that make up its state are sent again with the next.
    pub(super) fn send(&self, op: &ClientOp<'_>) -> Result<(), NatsError> {
        let mut encoder = self.encoder.get();
        if self.is_connected() {
            encoder.encode(op, &mut self.out.borrow_mut())?;
            self.flush_soon();
        } else {
            // It is checked all the same.
            encoder.encode(op, &mut Vec::new())?;
        }
        Ok(())
    }

    /// Sends what was gathered at the end of the round, or at once if it is much.
    fn flush_soon(&self) {
        if self.out.borrow().len() >= GATHERED {
            self.hand_over();
        }
        if !self.is_flush_due.replace(true) {
            let itself = Weak::clone(&self.itself);
            self.event_loop.call_soon(move || {
                if let Some(shared) = itself.upgrade() {
                    shared.is_flush_due.set(false);
                    shared.hand_over();
                    // Whoever waits in `writable` looks again.
                    shared.changed.wake();
                }
            });
        }
    }

    /// Hands what was gathered to the transport.
    pub(super) fn hand_over(&self) {
        let live = self.live.borrow();
        let Some(live) = &*live else { return };
        let mut out = self.out.borrow_mut();
        if !out.is_empty() {
            live.transport.write(&out);
            let is_roomy = out.len() < out.capacity() / 4;
            out.clear();
            if is_roomy {
                *out = Vec::new();
            }
        }
        self.queued.set(live.transport.write_buffer_size());
    }

    /// Whether more can be published without going far above what the server takes.
    pub(super) fn is_writable(&self) -> bool {
        let live = self.live.borrow();
        let Some(live) = &*live else {
            return self.pending.borrow().len() < self.options.max_pending / 2;
        };
        let waiting = self.out.borrow().len() + live.transport.write_buffer_size();
        waiting <= live.transport.write_buffer_limits().high
    }

    pub(super) fn add_subscribed(
        &self,
        make: impl FnOnce(u64) -> Subscribed,
    ) -> Result<Rc<Subscribed>, NatsError> {
        let sid = self.next_sid.get();
        let subscribed = make(sid);
        self.send(&subscribed.sub())?;
        if let Some(max) = subscribed.max {
            self.send(&ClientOp::Unsub { sid, max: Some(max) })?;
        }
        self.next_sid.set(sid + 1);
        let subscribed = Rc::new(subscribed);
        self.subscribed.borrow_mut().insert(sid, Rc::clone(&subscribed));
        Ok(subscribed)
    }

    /// Ends a subscription at once. What it has received can still be taken.
    pub(super) fn unsubscribe(&self, sid: u64) {
        let subscribed = self.subscribed.borrow_mut().remove(&sid);
        self.resume(sid);
        if let Some(subscribed) = subscribed {
            // Only a number: nothing about it can be refused.
            let _ = self.send(&ClientOp::Unsub { sid, max: None });
            subscribed.end();
        }
    }

    /// The server sends no more, also on the next connection; what it has sent is awaited.
    pub(super) fn stop(&self, subscribed: &Subscribed) {
        if !subscribed.is_stopped.replace(true) {
            let _ = self.send(&ClientOp::Unsub { sid: subscribed.sid, max: None });
        }
    }

    /// Waits until no request waits for its answer: each has a deadline of its own.
    pub(super) async fn all_answered(&self) {
        self.answered.wait_for(|| self.requests.is_empty().then_some(())).await;
    }

    pub(super) fn request_ended(&self) {
        if self.is_draining.get() {
            self.answered.wake();
        }
    }

    /// How many bytes wait to be sent.
    pub(super) fn waiting(&self, transport: &dyn Transport) -> usize {
        self.out.borrow().len() + transport.write_buffer_size()
    }

    pub(super) fn pause(&self, sid: u64) {
        self.pausing.borrow_mut().insert(sid);
        if let Some(live) = &*self.live.borrow() {
            live.transport.pause_reading();
        }
    }

    pub(super) fn resume(&self, sid: u64) {
        let mut pausing = self.pausing.borrow_mut();
        if pausing.remove(&sid)
            && pausing.is_empty()
            && let Some(live) = &*self.live.borrow()
        {
            live.transport.resume_reading();
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        !self.pausing.borrow().is_empty()
    }

    /// The handshake of a connection is done: subscriptions first, then what was published meanwhile.
    pub(super) fn established(&self, live: Live) {
        self.generation.set(self.generation.get() + 1);
        let mut out = Vec::new();
        let mut encoder = self.encoder.get();
        let mut all: Vec<_> = self.subscribed.borrow().values().cloned().collect();
        all.retain(|subscribed| !subscribed.is_stopped.get());
        all.sort_by_key(|subscribed| subscribed.sid);
        for subscribed in all {
            let left = subscribed.max.map(|max| max.saturating_sub(subscribed.delivered.get()));
            // What was encoded once can be encoded again.
            let _ = encoder.encode(&subscribed.sub(), &mut out);
            if left.is_some() {
                let unsub = ClientOp::Unsub { sid: subscribed.sid, max: left };
                let _ = encoder.encode(&unsub, &mut out);
            }
        }
        let too_long = self.send_pending(&mut out);
        self.out.replace(out);
        if self.is_paused() {
            live.transport.pause_reading();
        }
        self.live.replace(Some(live));
        self.hand_over();
        self.last_error.take();
        self.changed.wake();
        for subject in too_long {
            self.tell(&Event::MessageTooLong { subject });
        }
    }

    /// Appends what was kept for a connection. Gives the subjects of what its server does not take: it would end the
    /// connection, and all that is behind would be lost.
    fn send_pending(&self, output: &mut Vec<u8>) -> Vec<String> {
        let mut pending = self.pending.take();
        let longest = self.longest_pending.replace(0);
        let most = usize::try_from(self.info.borrow().max_payload).unwrap_or(usize::MAX);
        if most == 0 || longest <= most {
            output.append(&mut pending);
            return Vec::new();
        }
        let encoder = self.encoder.get();
        let mut decoder = ClientOpDecoder::new().max_payload(usize::MAX).max_headers(usize::MAX);
        let (mut input, mut too_long) = (&pending[..], Vec::new());
        while let Ok(Some(ClientOp::Pub(message))) = decoder.decode(&mut input) {
            if encoder.publish(&message, output).is_err() {
                too_long.push(String::from_utf8_lossy(message.subject).into_owned());
            }
        }
        too_long
    }

    /// The connection is gone.
    pub(super) fn lost(&self, error: Option<&wharf::Error>) {
        let live = self.live.borrow_mut().take();
        // What was on its way may have arrived or not: it is not sent twice.
        self.out.take();
        self.queued.set(0);
        if let Some(live) = live {
            live.pongs.end(error);
        }
        self.changed.wake();
    }

    /// The client has ended.
    pub(super) fn end(&self, error: Option<wharf::Error>) {
        if self.is_closed.replace(true) {
            return;
        }
        let all: Vec<_> = self.subscribed.borrow_mut().drain().map(|(_, each)| each).collect();
        for subscribed in all {
            subscribed.end();
        }
        self.requests.end(error.as_ref());
        self.answered.wake();
        self.pending.take();
        self.changed.wake();
        self.news.tell_last(&Event::Closed { error });
    }
}

/// A user's callback that may panic: the client goes on.
fn guarded(event_loop: &EventLoop, callback: Callback<Event>) -> Callback<Event> {
    let event_loop = event_loop.clone();
    Rc::new(move |event| call_user(&event_loop, || callback(event)))
}
