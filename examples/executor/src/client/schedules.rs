//! Tasks that are submitted again and again.

use std::rc::Rc;

use super::error::ClientError;
use super::handle::{Client, unexpected};
use super::tasks::SubmittedTask;
use crate::schedule::{Schedule, ScheduleName, ScheduleRecord};
use crate::task::Timestamp;
use crate::wire::{Answer, Ask, AskedSchedule};

/// No coordinator has so many schedules.
const MOST: usize = 10_000;

impl Client {
    /// Adds a schedule. It is on the coordinator's disk when this completes. One with its name is replaced if `replaces`:
    /// times that are over for that are over for this one.
    ///
    /// # Errors
    /// The coordinator refuses: there is one with its name, or it is not valid; or the client is closed.
    pub async fn add_schedule(
        &self,
        schedule: Schedule,
        replaces: bool,
    ) -> Result<(), ClientError> {
        let schedule = Box::new(schedule);
        self.schedule(AskedSchedule::Add { schedule, replace: replaces }).await.map(drop)
    }

    /// Forgets a schedule. Its tasks go on. Returns whether there was one.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed.
    pub async fn remove_schedule(&self, name: ScheduleName) -> Result<bool, ClientError> {
        self.change_schedule(AskedSchedule::Remove(name)).await
    }

    /// Has a schedule submit nothing, or go on; what was due meanwhile is not made up for. Returns whether there is one.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed.
    pub async fn pause_schedule(
        &self,
        name: ScheduleName,
        paused: bool,
    ) -> Result<bool, ClientError> {
        self.change_schedule(AskedSchedule::Pause { name, paused }).await
    }

    /// Submits the task of a schedule now. `at`, which is the time as a rule, is in its id: a second call with the same
    /// has the same task. `None`: there is no such schedule.
    ///
    /// # Errors
    /// The coordinator refuses, or the client is closed.
    pub async fn run_schedule(
        &self,
        name: ScheduleName,
        at: Timestamp,
    ) -> Result<Option<SubmittedTask>, ClientError> {
        match self.schedule(AskedSchedule::Run { name, at }).await? {
            Answer::Changed(_) => Ok(None),
            Answer::Submitted(mut outcomes) => match outcomes.pop() {
                Some(Ok(id)) => Ok(Some(self.find(id))),
                Some(Err(why)) => Err(ClientError::Refused(why)),
                None => Err(unexpected()),
            },
            _ => Err(unexpected()),
        }
    }

    /// All schedules, in the order of their names.
    ///
    /// # Errors
    /// The client is closed.
    pub async fn schedules(&self) -> Result<Vec<Rc<ScheduleRecord>>, ClientError> {
        let mut all: Vec<Rc<ScheduleRecord>> = Vec::new();
        loop {
            let after = all.last().map(|last| last.schedule.name.clone());
            let Answer::Schedules(listed) = self.schedule(AskedSchedule::List { after }).await?
            else {
                return Err(unexpected());
            };
            let is_last = !listed.more || listed.schedules.is_empty();
            for record in listed.schedules {
                let is_next =
                    all.last().is_none_or(|last| record.schedule.name > last.schedule.name);
                if !is_next || all.len() == MOST {
                    return Err(unexpected());
                }
                all.push(record);
            }
            if is_last {
                return Ok(all);
            }
        }
    }

    async fn change_schedule(&self, asked: AskedSchedule) -> Result<bool, ClientError> {
        match self.schedule(asked).await? {
            Answer::Changed(changed) => Ok(changed),
            _ => Err(unexpected()),
        }
    }

    async fn schedule(&self, asked: AskedSchedule) -> Result<Answer, ClientError> {
        self.shared.ask(Ask::Schedule(asked)).await
    }
}
