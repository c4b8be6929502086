//! What clients ask for about schedules.

use super::requests::{Said, changed};
use super::server::State;
use crate::store::StoreError;
use crate::task::Now;
use crate::wire::{Answer, AskedSchedule, ListedSchedules};

impl State {
    /// Does what is asked for.
    pub(super) fn schedule(&mut self, asked: AskedSchedule, now: Now) -> Result<Said, StoreError> {
        let coordinator = &mut self.coordinator;
        Ok(match asked {
            AskedSchedule::Add { schedule, replace } => {
                match coordinator.add_schedule(*schedule, replace, now) {
                    Ok(batch) => changed(Some(batch)),
                    Err(refused) => (Answer::Failed(refused.to_string().into()), None),
                }
            }
            AskedSchedule::Remove(name) => changed(coordinator.remove_schedule(&name)),
            AskedSchedule::Pause { name, paused } => {
                changed(coordinator.pause_schedule(&name, paused, now))
            }
            AskedSchedule::Run { name, at } => match coordinator.run_schedule(&name, at, now)? {
                None => changed(None),
                Some(Ok(task)) => (Answer::Submitted(vec![Ok(task.id)]), Some(task.batch)),
                Some(Err(refused)) => (Answer::Failed(refused.to_string().into()), None),
            },
            AskedSchedule::List { after } => {
                let (schedules, more) = coordinator.schedules(after.as_ref());
                (Answer::Schedules(ListedSchedules { schedules, more }), None)
            }
        })
    }
}
