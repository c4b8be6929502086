//! Schedules are added and changed; workers submit their tasks.

use std::rc::Rc;

use wharf_protocols::nats::NatsError;

use super::NatsClient;
use super::drain::DRAINING;
use crate::nats::control::{Control, KeptSchedule};
use crate::nats::records::Written;
use crate::nats::submit::{check, submit};
use crate::schedule::{Schedule, ScheduleName, ScheduleRecord};
use crate::task::Timestamp;
use crate::wire::{Answer, AskedSchedule, ListedSchedules};

impl NatsClient {
    /// Does what is asked for; changes are in the bucket when this completes.
    pub(super) async fn schedule(&self, asked: AskedSchedule) -> Result<Answer, NatsError> {
        match asked {
            AskedSchedule::Add { schedule, replace } => self.add_schedule(*schedule, replace).await,
            AskedSchedule::Remove(name) => {
                let control = Control::new(&self.records().await?);
                control.remove(&name).await.map(Answer::Changed)
            }
            AskedSchedule::Pause { name, paused } => {
                self.pause_schedule(&name, paused).await.map(Answer::Changed)
            }
            AskedSchedule::Run { name, at } => self.run_schedule(&name, at).await,
            AskedSchedule::List { after } => self.schedules(after).await,
        }
    }

    async fn add_schedule(&self, schedule: Schedule, replaces: bool) -> Result<Answer, NatsError> {
        let (records, keep) = self.session.records().await?;
        if let Err(why) = check(&schedule.task, keep) {
            return Ok(Answer::Failed(why));
        }
        let control = Control::new(&records);
        let count = control.schedules().await?.len();
        loop {
            let (former, revision) = control.schedule(&schedule.name).await?;
            let known = former.as_ref().map(|former| &former.record);
            let (schedule, now) = (schedule.clone(), Timestamp::now());
            let record = match ScheduleRecord::added(schedule, known, replaces, count, now) {
                Ok(None) => break,
                Ok(Some((record, _))) => record,
                Err(refused) => return Ok(Answer::Failed(refused.to_string().into())),
            };
            let claim = former.and_then(|former| former.claim);
            if let Written::At(_) = control.write(&KeptSchedule { record, claim }, revision).await?
            {
                break;
            }
        }
        Ok(Answer::Changed(true))
    }

    async fn pause_schedule(&self, name: &ScheduleName, on: bool) -> Result<bool, NatsError> {
        self.change(name, |record| {
            let timing = record.clone().understood();
            record.paused(on, timing.as_ref(), Timestamp::now())
        })
        .await
    }

    /// Changes a schedule unless it is as it should be; gives whether there is one.
    async fn change(
        &self,
        name: &ScheduleName,
        changed: impl Fn(&ScheduleRecord) -> Option<ScheduleRecord>,
    ) -> Result<bool, NatsError> {
        let control = Control::new(&self.records().await?);
        loop {
            let (Some(kept), revision) = control.schedule(name).await? else { return Ok(false) };
            let Some(record) = changed(&kept.record) else { return Ok(true) };
            if let Written::At(_) =
                control.write(&KeptSchedule { record, ..kept }, revision).await?
            {
                return Ok(true);
            }
        }
    }

    async fn run_schedule(&self, name: &ScheduleName, at: Timestamp) -> Result<Answer, NatsError> {
        let (records, keep) = self.session.records().await?;
        let control = Control::new(&records);
        let (Some(kept), _) = control.schedule(name).await? else {
            return Ok(Answer::Changed(false));
        };
        if self.is_draining(&records).await? {
            return Ok(Answer::Failed(DRAINING.into()));
        }
        let (id, spec) = (name.task_id(at), kept.record.schedule.task_at(at, Timestamp::now()));
        let task = match submit(records, keep, false, id, spec).await? {
            Ok(task) => task,
            Err(why) => return Ok(Answer::Failed(why)),
        };
        if task.is_new {
            let id = &task.id;
            self.change(name, |record| {
                Some(ScheduleRecord {
                    runs: record.runs.saturating_add(1),
                    last_task: Some(id.clone()),
                    ..record.clone()
                })
            })
            .await?;
        }
        Ok(Answer::Submitted(vec![Ok(task.id)]))
    }

    async fn schedules(&self, after: Option<ScheduleName>) -> Result<Answer, NatsError> {
        let schedules = Control::new(&self.records().await?).schedules().await?;
        let records = schedules.into_iter().map(|KeptSchedule { mut record, .. }| {
            // Of one that is never due since nobody here knows its zone, for example, it says why.
            record.understood();
            Rc::new(record)
        });
        let is_after = |record: &Rc<ScheduleRecord>| {
            after.as_ref().is_none_or(|after| record.schedule.name > *after)
        };
        let schedules = records.filter(is_after).collect();
        Ok(Answer::Schedules(ListedSchedules { schedules, more: false }))
    }
}
