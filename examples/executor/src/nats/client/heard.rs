//! What was heard of tasks that have ended.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{EventLoop, LoopFuture, Promise};
use wharf_protocols::nats::{Client as Connection, NatsError, SubscriptionHandle};

/// How many bytes of records are kept for those who ask later, with what is around them.
const MOST_KEPT: usize = 64 * 1024 * 1024;
/// What is around one.
const AROUND: usize = 128;

/// Records of tasks that have ended, as workers tell them, by key. What is told may be empty: then it is to be read.
#[derive(Default)]
pub(super) struct Heard {
    waiting: BTreeMap<String, Waiting>,
    /// What nobody has asked for yet, with its number.
    kept: BTreeMap<String, (u64, Bytes)>,
    /// The keys of the same: the oldest has the lowest number.
    order: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
    /// Some of it was forgotten.
    has_forgotten: bool,
}

#[derive(Default)]
struct Waiting {
    promises: Vec<Promise<Bytes>>,
    /// For a task that is not of this session.
    subscription: Option<SubscriptionHandle>,
}

impl Heard {
    /// Hears of all tasks of this session.
    pub(super) fn listen(
        heard: &Rc<RefCell<Self>>,
        connection: &Connection,
        subject: String,
        prefix: usize,
    ) -> Result<(), NatsError> {
        let own = Rc::downgrade(heard);
        let hear = move |message: wharf_protocols::nats::Message| {
            let Some(heard) = own.upgrade() else { return };
            let key = message.subject().get(prefix..).unwrap_or_default().to_owned();
            let told = heard.borrow_mut().told(key, message.payload_bytes(), true);
            tell(told, &message.payload_bytes());
        };
        connection.subscription(subject).on_message(hear)?.detach();
        Ok(())
    }

    /// Nobody waits any more.
    pub(super) fn close(&mut self) {
        self.waiting.clear();
    }

    /// Whether all that was told is still here, and nothing was missed.
    pub(super) fn is_complete(&self, connection: &Connection) -> bool {
        !self.has_forgotten && connection.connections() == 1
    }

    /// What was told of a task before.
    pub(super) fn take(&mut self, key: &str) -> Option<Bytes> {
        let (number, record) = self.kept.remove(key)?;
        self.order.remove(&number);
        self.bytes -= size(key, &record);
        Some(record)
    }

    /// Forgets what was told of a task before, unless it is still true.
    pub(super) fn keep_if(&mut self, key: &str, is_true: impl Fn(&Bytes) -> bool) {
        if self.kept.get(key).is_some_and(|(_, told)| !is_true(told)) {
            self.take(key);
        }
    }

    /// Waits for what is told of a task. `subject`: it is not of this session.
    pub(super) fn wait(
        heard: &Rc<RefCell<Self>>,
        event_loop: &EventLoop,
        connection: &Connection,
        key: &str,
        subject: Option<String>,
    ) -> Result<LoopFuture<Bytes>, NatsError> {
        let (promise, told) = event_loop.create_future();
        let mut all = heard.borrow_mut();
        let waiting = all.waiting.entry(key.to_owned()).or_default();
        waiting.promises.retain(|promise| !promise.is_cancelled());
        waiting.promises.push(promise);
        if let Some(subject) = subject
            && waiting.subscription.is_none()
        {
            let (own, key) = (Rc::downgrade(heard), key.to_owned());
            let hear = move |message: wharf_protocols::nats::Message| {
                let Some(heard) = own.upgrade() else { return };
                let told = heard.borrow_mut().told(key.clone(), message.payload_bytes(), false);
                tell(told, &message.payload_bytes());
            };
            waiting.subscription = Some(connection.subscription(subject).on_message(hear)?);
        }
        Ok(told)
    }

    /// Forgets those who do not wait any more.
    pub(super) fn tidy(&mut self, key: &str) {
        let Some(waiting) = self.waiting.get_mut(key) else { return };
        waiting.promises.retain(|promise| !promise.is_cancelled());
        if waiting.promises.is_empty() {
            self.waiting.remove(key);
        }
    }

    fn told(&mut self, key: String, record: Bytes, is_kept: bool) -> Option<Waiting> {
        let waiting = self.waiting.remove(&key);
        if waiting.is_none() && is_kept {
            self.take(&key);
            self.bytes += size(&key, &record);
            self.order.insert(self.next, key.clone());
            self.kept.insert(key, (self.next, record));
            self.next += 1;
            while self.bytes > MOST_KEPT
                && let Some((_, oldest)) = self.order.first_key_value()
            {
                let oldest = oldest.clone();
                self.has_forgotten |= self.take(&oldest).is_some();
            }
        }
        waiting
    }
}

/// What is kept takes so many bytes: its key is there twice.
fn size(key: &str, record: &Bytes) -> usize {
    record.len() + 2 * key.len() + AROUND
}

/// Tells those who wait.
fn tell(waiting: Option<Waiting>, record: &Bytes) {
    for promise in waiting.into_iter().flat_map(|waiting| waiting.promises) {
        let _ = promise.set_result(record.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_of_tasks_takes_memory_until_it_is_asked_for_and_no_more_than_a_limit() {
        static LONG: [u8; 64 * 1024] = [b' '; 64 * 1024];
        let mut heard = Heard::default();
        let tell = |heard: &mut Heard, number: usize, record: &'static [u8]| {
            let told = heard.told(format!("session.{number}"), Bytes::from_static(record), true);
            assert!(told.is_none());
        };
        for number in 0..1_000 {
            tell(&mut heard, number, b"{}");
            assert!(heard.take(&format!("session.{number}")).is_some());
        }
        assert_eq!((heard.kept.len(), heard.order.len(), heard.bytes), (0, 0, 0));
        // Of a longer record nothing is told but that it is there, and that has a size, too.
        tell(&mut heard, 0, b"");
        assert!(heard.bytes >= AROUND);
        for number in 1..2_000 {
            tell(&mut heard, number, &LONG);
            assert!(heard.bytes <= MOST_KEPT && heard.kept.len() == heard.order.len());
        }
        assert!(heard.has_forgotten && heard.kept.len() > 1_000, "{}", heard.kept.len());
        assert!(heard.take("session.1999").is_some() && heard.take("session.0").is_none());
    }

    #[test]
    fn what_was_told_of_a_former_end_is_forgotten_and_what_is_true_is_not() {
        let mut heard = Heard::default();
        for key in ["former", "new"] {
            assert!(heard.told(key.to_owned(), Bytes::from_static(b"{}"), true).is_none());
        }
        heard.keep_if("former", |_| false);
        heard.keep_if("new", |_| true);
        heard.keep_if("other", |_| panic!("nothing was told of it"));
        assert!(heard.take("former").is_none() && heard.take("new").is_some());
        assert_eq!(heard.bytes, 0);
    }
}
