//! What has run in a worker's slots, for those who watch.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::NatsWorker;
use super::held::Held;
use crate::coordinator::{Span, SpanEnd, SpanLog};
use crate::nats::spans::Ran;
use crate::task::Timestamp;

/// How long it is told after somebody has asked for it.
const WATCHED: Duration = Duration::from_secs(3);
/// How often it is told.
const INTERVAL: Duration = Duration::from_millis(250);

/// What has run and is not told yet.
#[derive(Default)]
pub(super) struct Spans {
    log: RefCell<SpanLog>,
    /// Until when somebody watches.
    watched_until: Cell<Option<Instant>>,
}

impl NatsWorker {
    /// Something has run.
    pub(super) fn ran(&self, held: &Held, end: SpanEnd) {
        let mut log = self.spans.log.borrow_mut();
        if !log.is_watched() {
            return;
        }
        let task = held.task();
        log.add(Span {
            worker: self.key,
            slot: held.slot(),
            id: task.id.clone(),
            kind: task.spec.kind.clone(),
            since: held.since(),
            until: Timestamp::now(),
            count: 1,
            end,
        });
    }

    /// Somebody watches: tells of what runs from now on, for a while.
    pub(super) fn tell_spans(self: &Rc<Self>) {
        let event_loop = &self.session.event_loop;
        let until = event_loop.time() + WATCHED;
        if self.spans.watched_until.replace(Some(until)).is_some() {
            return;
        }
        self.spans.log.borrow_mut().watch(true);
        let own = Rc::clone(self);
        self.spawn(async move {
            let event_loop = &own.session.event_loop;
            while own.spans.watched_until.get().is_some_and(|until| event_loop.time() < until) {
                event_loop.sleep(INTERVAL).await;
                own.tell_what_ran();
            }
            own.spans.watched_until.set(None);
            own.spans.log.borrow_mut().watch(false);
        });
    }

    fn tell_what_ran(&self) {
        let (spans, missed) = self.spans.log.borrow_mut().take();
        if spans.is_empty() && missed == 0 {
            return;
        }
        let json = serde_json::to_vec(&Ran { spans, missed }).unwrap_or_default();
        // Who does not hear it sees less.
        let _ = self.session.connection.publish(&self.session.names.spans(), json);
    }
}
