//! What a coordinator tells by itself is awaited on NATS.

use std::rc::Rc;

use super::handle::{Backend, Shared, unexpected};
use super::results::Delivery;
use crate::client::ClientError;
use crate::nats::NatsClient;
use crate::task::TaskId;
use crate::wire::{Answer, Ask, Ended};

impl Shared {
    /// Says what needs no answer to what stands for the coordinator.
    pub(super) fn say_to_nats(self: &Rc<Self>, client: &Rc<NatsClient>, ask: Ask) {
        match ask {
            Ask::Watch(ids) => ids.into_iter().for_each(|id| self.await_end(client, id)),
            Ask::Unwatch(ids) => {
                for id in ids {
                    let awaiting = self.watching.borrow_mut().remove(&id);
                    drop(awaiting);
                }
            }
            // Nothing else is said without waiting for an answer.
            _ => {}
        }
    }

    /// Tasks were submitted, and somebody waits for them: a coordinator knows.
    pub(super) fn watch_submitted(self: &Rc<Self>, mut ids: Vec<TaskId>) {
        if let Backend::Nats(client) = &self.backend {
            ids.retain(|id| self.results.waiters.borrow().contains_key(id));
            self.say_to_nats(client, Ask::Watch(ids));
        }
    }

    fn await_end(self: &Rc<Self>, client: &Rc<NatsClient>, id: TaskId) {
        let (weak, client, awaited) = (Rc::downgrade(self), Rc::clone(client), id.clone());
        let awaiting = self.event_loop.create_task(async move {
            let delivery = end_of(&client, &awaited).await;
            if let Some(shared) = weak.upgrade() {
                shared.deliver(&awaited, &delivery);
                let done = shared.watching.borrow_mut().remove(&awaited);
                drop(done);
            }
        });
        let former = self.watching.borrow_mut().insert(id, awaiting);
        drop(former);
    }
}

async fn end_of(client: &NatsClient, id: &TaskId) -> Delivery {
    match client.ask(Ask::Wait(id.clone())).await? {
        Answer::Task(Some(record)) => Ok(Ended::of(&record)),
        Answer::Task(None) => Ok(Ended::unknown(id.clone())),
        Answer::Failed(why) => Err(ClientError::Refused(why)),
        _ => Err(unexpected()),
    }
}
