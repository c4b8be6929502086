//! The bounded queue of a channel, and who waits for room in it or for something to come.
//!
//! `tests/loom` compiles this file with loom's lock in place of the standard library's (`super::sync`),
//! and runs it in every order that threads can have.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Poll, Waker};

use super::sync::{Mutex, MutexGuard, PoisonError};

/// A queue of at most so many messages, from any number of threads to one.
///
/// Who waits for room has its message in the list of those who wait: whatever makes room moves the first of
/// them into the queue. So nobody is overtaken, and room is never kept for somebody who has given up.
///
/// No message and no waker is dropped, cloned or called under the lock. What is to be woken is given back.
pub(crate) struct Queue<T> {
    capacity: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    messages: VecDeque<T>,
    /// Those who wait for room, in the order in which they came.
    waiting: BTreeMap<u64, Waiting<T>>,
    next: u64,
    senders: usize,
    /// Nothing is taken any more.
    closed: bool,
    /// Who waits for something to come.
    receiver: Option<Waker>,
}

struct Waiting<T> {
    message: T,
    /// There until it was told.
    waker: Option<Waker>,
}

/// A message, and the sender to be woken since there is room for its own; `None` when nothing is there and
/// nothing will come.
pub(crate) type Received<T> = Poll<Option<(T, Option<Waker>)>>;

/// What became of a message that was to be sent.
pub(crate) enum Sent<T> {
    /// It is in the queue; wake the receiver.
    Queued(Option<Waker>),
    Full(T),
    Closed(T),
}

/// What became of one that waits for room.
pub(crate) enum Waited<T> {
    Sent,
    /// It waits; this waker is not needed any more.
    Waits(Option<Waker>),
    /// The receiver is gone, and takes nothing.
    Closed(T),
}

impl<T> Queue<T> {
    /// A queue with one sender.
    pub(crate) fn new(capacity: usize) -> Self {
        let state = State {
            messages: VecDeque::new(),
            waiting: BTreeMap::new(),
            next: 0,
            senders: 1,
            closed: false,
            receiver: None,
        };
        Self { capacity: capacity.max(1), state: Mutex::new(state) }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().messages.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Appends `message`, if there is room.
    pub(crate) fn try_send(&self, message: T) -> Sent<T> {
        let mut state = self.lock();
        if state.closed {
            return Sent::Closed(message);
        }
        if state.messages.len() >= self.capacity {
            return Sent::Full(message);
        }
        state.messages.push_back(message);
        Sent::Queued(state.receiver.take())
    }

    /// Appends `message`, or has it wait for room: then its number is the `Err`.
    pub(crate) fn send_or_wait(&self, message: T, waker: Waker) -> Result<Sent<T>, u64> {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            drop(waker);
            return Ok(Sent::Closed(message));
        }
        if state.messages.len() < self.capacity {
            state.messages.push_back(message);
            let receiver = state.receiver.take();
            drop(state);
            drop(waker);
            return Ok(Sent::Queued(receiver));
        }
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, Waiting { message, waker: Some(waker) });
        Err(number)
    }

    /// How it stands with a message that waits. Whoever waits is woken by `own` from now on.
    pub(crate) fn look(&self, number: u64, own: &Waker) -> Waited<T> {
        let mut fresh = None;
        loop {
            let mut state = self.lock();
            if state.closed
                && let Some(Waiting { message, waker }) = state.waiting.remove(&number)
            {
                drop(state);
                drop(waker);
                return Waited::Closed(message);
            }
            let Some(waiting) = state.waiting.get_mut(&number) else { return Waited::Sent };
            if waiting.waker.as_ref().is_some_and(|known| known.will_wake(own)) {
                return Waited::Waits(fresh);
            }
            if let Some(waker) = fresh.take() {
                return Waited::Waits(waiting.waker.replace(waker));
            }
            drop(state);
            fresh = Some(own.clone());
        }
    }

    /// Takes a message that waits back, with its waker; `None` when it was sent.
    pub(crate) fn take_back(&self, number: u64) -> Option<(T, Option<Waker>)> {
        let waiting = self.lock().waiting.remove(&number)?;
        Some((waiting.message, waiting.waker))
    }

    pub(crate) fn add_sender(&self) {
        self.lock().senders += 1;
    }

    /// One sender less. The receiver is to be woken if it was the last.
    pub(crate) fn remove_sender(&self) -> Option<Waker> {
        let mut state = self.lock();
        state.senders -= 1;
        if state.senders == 0 { state.receiver.take() } else { None }
    }

    /// The next message.
    pub(crate) fn try_receive(&self) -> Received<T> {
        self.lock().receive(self.capacity)
    }

    /// As [`try_receive`](Self::try_receive); where nothing is there, `own` is to be woken.
    ///
    /// The second value is to be dropped.
    pub(crate) fn receive_or_wait(&self, own: &Waker) -> (Received<T>, Option<Waker>) {
        let mut fresh = None;
        loop {
            let mut state = self.lock();
            let received = state.receive(self.capacity);
            if received.is_ready() {
                drop(state);
                return (received, fresh);
            }
            if state.receiver.as_ref().is_some_and(|known| known.will_wake(own)) {
                drop(state);
                return (Poll::Pending, fresh);
            }
            if let Some(waker) = fresh.take() {
                let former = state.receiver.replace(waker);
                drop(state);
                return (Poll::Pending, former);
            }
            drop(state);
            fresh = Some(own.clone());
        }
    }

    /// Takes nothing any more. What is there stays to be received; those who wait get their messages back. All
    /// that is given out is to be woken.
    pub(crate) fn close(&self) -> Vec<Waker> {
        let mut state = self.lock();
        state.closed = true;
        let receiver = state.receiver.take();
        let senders = state.waiting.values_mut().filter_map(|waiting| waiting.waker.take());
        senders.chain(receiver).collect()
    }

    /// What is there, to be dropped.
    pub(crate) fn take_all(&self) -> VecDeque<T> {
        std::mem::take(&mut self.lock().messages)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn receive(&mut self, capacity: usize) -> Received<T> {
        let Some(message) = self.messages.pop_front() else {
            let is_over = self.closed || self.senders == 0;
            return if is_over { Poll::Ready(None) } else { Poll::Pending };
        };
        let mut woken = None;
        if !self.closed
            && self.messages.len() < capacity
            && let Some((_, waiting)) = self.waiting.pop_first()
        {
            self.messages.push_back(waiting.message);
            woken = waiting.waker;
        }
        Poll::Ready(Some((message, woken)))
    }
}
