//! New tasks.

use std::future::Future;
use std::pin::Pin;

use wharf_protocols::nats::NatsError;

use super::NatsClient;
use super::drain::DRAINING;
use crate::nats::submit::{Taken, submit};
use crate::task::Spec;
use crate::wire::Answer;

type Submitting = Pin<Box<dyn Future<Output = Result<Taken, NatsError>>>>;

impl NatsClient {
    /// Submits tasks, all at once. Each is in the stream when this completes.
    pub(super) async fn submit(&self, specs: Vec<Spec>) -> Result<Answer, NatsError> {
        let records = self.records().await?;
        let (_, keep) = self.session.records().await?;
        if self.is_draining(&records).await? {
            let refused = specs.iter().map(|_| Err(DRAINING.into())).collect();
            return Ok(Answer::Submitted(refused));
        }
        let mut submitting = Vec::with_capacity(specs.len());
        for spec in specs {
            self.session.connection.writable().await?;
            let one: Submitting = match spec.id.clone() {
                Some(id) => Box::pin(submit(records.clone(), keep, self.is_own(&id), id, spec)),
                // Nobody else could.
                None => Box::pin(async { Ok(Err("its client has chosen no id".into())) }),
            };
            submitting.push(self.session.event_loop.create_task(one));
        }
        let mut taken = Vec::with_capacity(submitting.len());
        for one in submitting {
            taken.push(match one.await.map_err(|_| NatsError::Closed)? {
                Ok(taken) => taken.map(|task| task.id),
                Err(NatsError::Closed) => return Err(NatsError::Closed),
                Err(error) => Err(error.to_string().into()),
            });
        }
        Ok(Answer::Submitted(taken))
    }
}
