//! Nothing new begins.

use std::time::{Duration, Instant};

use wharf_protocols::nats::NatsError;

use super::NatsClient;
use crate::nats::control::Control;
use crate::nats::records::Records;
use crate::wire::Answer;

/// What who submits is told.
pub(super) const DRAINING: &str = "no new tasks are taken: the executor is draining";
/// A client that submits looks again after so long.
const FRESH: Duration = Duration::from_secs(1);
/// How long workers are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long until they are asked again.
const PAUSE: Duration = Duration::from_millis(50);

impl NatsClient {
    /// Has workers take nothing more, and clients submit nothing: it completes when each worker that answers says so. Or ends
    /// that, of which workers hear soon.
    pub(super) async fn drain(&self, on: bool) -> Result<Answer, NatsError> {
        let records = self.records().await?;
        Control::new(&records).set_draining(on).await?;
        self.no_drain.take();
        if !on {
            return Ok(Answer::Changed(true));
        }
        let event_loop = &self.session.event_loop;
        let deadline = event_loop.time() + PATIENCE;
        loop {
            let workers = self.workers().await?;
            let Some(worker) = workers.iter().find(|worker| worker.capacity > 0) else {
                return Ok(Answer::Changed(true));
            };
            if event_loop.time() >= deadline {
                let why = format!("it drains, but the worker {} still takes tasks", worker.name);
                return Ok(Answer::Failed(why.into()));
            }
            event_loop.sleep(PAUSE).await;
        }
    }

    /// Whether nothing new begins, as it was a second ago at most.
    pub(super) async fn is_draining(&self, records: &Records) -> Result<bool, NatsError> {
        let now = self.session.event_loop.time();
        let is_fresh = |seen: &Instant| now.saturating_duration_since(*seen) < FRESH;
        if self.no_drain.get().as_ref().is_some_and(is_fresh) {
            return Ok(false);
        }
        let is_draining = records.is_draining().await?;
        self.no_drain.set(Some(now).filter(|_| !is_draining));
        Ok(is_draining)
    }
}
