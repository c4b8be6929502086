use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{EventLoop, Promise, Task};

use super::source::{Detail, Future, Source};
use crate::client::{Client, ClientError};
use crate::coordinator::{Filter, Overview, Page, Span, Totals};
use crate::store::Key;
use crate::task::TaskId;
use crate::wire::{AskOutput, OutputPage};

/// How often it is asked how all is while somebody looks, and else.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));
/// What was not answered for so long is said to be broken.
const STALE: Duration = Duration::from_secs(10);
/// The most tasks of one list.
const MOST_LISTED: usize = 200;

/// What a [`Client`] knows, for a [`Dashboard`](super::Dashboard): on NATS any process can serve one. A clone is the same.
///
/// How all is, is asked for four times a second while somebody looks, and once a second else. After ten seconds without an
/// answer its `store_error` says so. What has run in which slot it hears on NATS while somebody looks; of a coordinator it knows
/// only what runs.
#[derive(Clone)]
pub struct ClientSource {
    shared: Rc<Shared>,
    /// Asks again and again.
    _asking: Rc<Task<()>>,
}

struct Shared {
    event_loop: EventLoop,
    client: Client,
    seen: RefCell<Overview>,
    seen_at: Cell<Instant>,
    is_watched: Cell<bool>,
    /// Asks at once.
    wake: RefCell<Option<Promise<()>>>,
}

impl ClientSource {
    /// Asks how all is for the first time, and goes on with that until the last clone is dropped.
    ///
    /// # Errors
    /// The client was refused or is closed.
    pub async fn start(event_loop: &EventLoop, client: Client) -> Result<Self, ClientError> {
        let seen = RefCell::new(client.overview().await?);
        let shared = Rc::new(Shared {
            event_loop: event_loop.clone(),
            client,
            seen,
            seen_at: Cell::new(event_loop.time()),
            is_watched: Cell::default(),
            wake: RefCell::default(),
        });
        let asking = event_loop.create_task(Rc::clone(&shared).ask_again_and_again());
        Ok(Self { shared, _asking: Rc::new(asking) })
    }
}

impl Source for ClientSource {
    fn overview(&self) -> Overview {
        let mut overview = self.shared.seen.borrow().clone();
        let age =
            self.shared.event_loop.time().saturating_duration_since(self.shared.seen_at.get());
        if age >= STALE && overview.store_error.is_none() {
            overview.store_error = Some("nothing is heard of it".into());
        }
        overview
    }

    fn list(&self, filter: Filter, before: Option<u64>, limit: usize) -> Future<Page> {
        let shared = Rc::clone(&self.shared);
        Box::pin(async move {
            shared.client.list(filter, limit.min(MOST_LISTED), before).await.map_err(told)
        })
    }

    fn task(&self, id: TaskId) -> Future<Option<Detail>> {
        let shared = Rc::clone(&self.shared);
        Box::pin(async move {
            match shared.client.find(id).status().await {
                // Its number is told in lists only.
                Ok(record) => Ok(Some(Detail::new(Key(0), &record))),
                Err(ClientError::UnknownTask(_)) => Ok(None),
                Err(error) => Err(told(error)),
            }
        })
    }

    fn output(&self, ask: AskOutput) -> Future<Option<OutputPage>> {
        let shared = Rc::clone(&self.shared);
        let ask = AskOutput { follow: false, ..ask };
        Box::pin(async move { shared.client.output_page(ask).await.map_err(told) })
    }

    fn cancel(&self, id: TaskId) -> Future<bool> {
        let shared = Rc::clone(&self.shared);
        Box::pin(async move { shared.client.find(id).cancel().await.map_err(told) })
    }

    fn retry(&self, id: TaskId) -> Future<bool> {
        let shared = Rc::clone(&self.shared);
        Box::pin(async move { shared.client.find(id).retry().await.map_err(told) })
    }

    fn watch_spans(&self, on: bool) {
        self.shared.is_watched.set(on);
        self.shared.client.watch_spans(on);
        let wake = self.shared.wake.take();
        if let Some(wake) = wake {
            let _ = wake.set_result(());
        }
    }

    fn spans(&self) -> (VecDeque<Span>, u64) {
        self.shared.client.spans()
    }
}

impl fmt::Debug for ClientSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ClientSource").finish_non_exhaustive()
    }
}

impl Shared {
    async fn ask_again_and_again(self: Rc<Self>) {
        loop {
            let wait = if self.is_watched.get() { INTERVALS.0 } else { INTERVALS.1 };
            let (wake, woken) = self.event_loop.create_future();
            *self.wake.borrow_mut() = Some(wake);
            let _ = self.event_loop.timeout(wait, woken).await;
            match self.client.overview().await {
                Ok(overview) => self.see(overview),
                Err(ClientError::Closed) => return,
                // It is asked again, and after a while it is said that nothing is heard.
                Err(_) => {}
            }
        }
    }

    fn see(&self, mut overview: Overview) {
        let mut seen = self.seen.borrow_mut();
        overview.totals.keep_up_with(&seen.totals);
        *seen = overview;
        self.seen_at.set(self.event_loop.time());
    }
}

impl Totals {
    /// They do not become less for those who look at them: not when what they are made of is looked at anew.
    pub(super) fn keep_up_with(&mut self, former: &Self) {
        let Self { submitted, assigned, succeeded, failed, cancelled, retried, lost } = former;
        for (total, former) in [
            (&mut self.submitted, submitted),
            (&mut self.assigned, assigned),
            (&mut self.succeeded, succeeded),
            (&mut self.failed, failed),
            (&mut self.cancelled, cancelled),
            (&mut self.retried, retried),
            (&mut self.lost, lost),
        ] {
            *total = (*total).max(*former);
        }
    }
}

fn told(error: ClientError) -> Box<str> {
    error.to_string().into()
}
