//! What has run in workers' slots, as they tell it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use wharf_protocols::nats::{Message, SubscriptionHandle};

use super::NatsClient;
use crate::coordinator::Span;
use crate::nats::spans::{Ran, WANTED};

/// The most that is kept until somebody takes it.
const MOST: usize = 4_096;

/// What was told and not taken.
#[derive(Default)]
pub(super) struct Spans {
    told: Rc<RefCell<Ran>>,
    /// `None`: nobody wants to hear it.
    subscription: RefCell<Option<SubscriptionHandle>>,
}

impl NatsClient {
    /// Whether [`spans`](Self::spans) are heard. Workers tell them from the next overview on.
    pub(crate) fn watch_spans(&self, on: bool) {
        self.spans.stop();
        if !on {
            return;
        }
        let told = Rc::clone(&self.spans.told);
        let hear = move |message: Message| {
            if let Ok(ran) = serde_json::from_slice(message.payload()) {
                told.borrow_mut().add(ran);
            }
        };
        let subject = self.session.names.spans();
        // A client that is closed hears nothing.
        let subscription = self.session.connection.subscription(subject).on_message(hear).ok();
        *self.spans.subscription.borrow_mut() = subscription;
    }

    /// What was told since the last call, and how much more has run.
    pub(crate) fn spans(&self) -> (VecDeque<Span>, u64) {
        let Ran { spans, missed } = self.spans.told.take();
        (spans, missed)
    }
}

impl Spans {
    /// What workers are asked.
    pub(super) fn wanted(&self) -> &'static [u8] {
        if self.subscription.borrow().is_some() { WANTED } else { b"" }
    }

    /// Nothing is heard any more.
    pub(super) fn stop(&self) {
        let subscription = self.subscription.take();
        drop(subscription);
        self.told.take();
    }
}

impl Ran {
    fn add(&mut self, ran: Self) {
        let room = MOST.saturating_sub(self.spans.len());
        self.missed += ran.missed + ran.spans.len().saturating_sub(room) as u64;
        self.spans.extend(ran.spans.into_iter().take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::SpanEnd;
    use crate::task::{Kind, TaskId, Timestamp};

    #[test]
    fn what_ran_is_kept_until_a_limit_and_counted_behind_that() {
        let span = Span {
            worker: 1,
            slot: 0,
            id: TaskId::new("x").unwrap(),
            kind: Kind::new("k").unwrap(),
            since: Timestamp(1),
            until: Timestamp(2),
            count: 1,
            end: SpanEnd::Succeeded,
        };
        let ran = |count, missed| Ran { spans: vec![span.clone(); count].into(), missed };
        let mut told = Ran::default();
        told.add(ran(MOST - 1, 2));
        assert_eq!((told.spans.len(), told.missed), (MOST - 1, 2));
        told.add(ran(3, 1));
        assert_eq!((told.spans.len(), told.missed), (MOST, 5));
    }
}
