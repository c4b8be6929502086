//! Schedules over connections, in virtual time.

use std::time::Duration;

use super::{client, run, serve, worker};
use crate::client::ClientError;
use crate::schedule::{Missed, Overlap, Schedule, ScheduleName, When};
use crate::task::{Kind, Spec, TaskId, Timestamp};

#[test]
fn a_client_adds_schedules_whose_tasks_run_in_time() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let name = ScheduleName::new("squares")?;
        let args = serde_json::value::to_raw_value(&3)?;
        let schedule = Schedule {
            name: name.clone(),
            when: When::Every(60_000),
            task: Spec::new(Kind::new("square")?, args),
            deadline: None,
            missed: Missed::Once,
            overlap: Overlap::Skip,
        };
        client.add_schedule(schedule.clone(), false).await?;
        let next = client.schedules().await?[0].next.ok_or("it is due")?;
        event_loop.sleep(Duration::from_secs(61)).await;
        assert_eq!(client.find(name.task_id(next)).result::<u64>().await?, 9);
        assert!(client.pause_schedule(name.clone(), true).await?);
        let task = client.run_schedule(name.clone(), Timestamp(7_000)).await?;
        let task = task.ok_or("there is one")?;
        assert_eq!(task.id(), &TaskId::new("squares:1970-01-01T00:00:07Z")?);
        assert_eq!(task.result::<u64>().await?, 9);
        let record = client.schedules().await?.remove(0);
        assert_eq!((record.runs, record.paused, record.next), (2, true, None));
        assert!(client.remove_schedule(name.clone()).await?);
        assert!(!client.remove_schedule(name.clone()).await?);
        assert!(client.run_schedule(name, Timestamp(7_000)).await?.is_none());
        let wrong = Schedule { when: When::Every(1), ..schedule };
        let refused = client.add_schedule(wrong, false).await.unwrap_err();
        assert!(matches!(refused, ClientError::Refused(_)), "{refused}");
        Ok(())
    });
}
