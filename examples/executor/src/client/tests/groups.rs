//! Calls, chains, and groups.

use std::time::Duration;

use super::{ADD, REFUSE, SLEEP, SQUARE, SUM, client, run, serve, worker};
use crate::client::{ClientError, GroupProgress};
use crate::task::{Outcome, Priority};

#[test]
fn a_call_returns_what_the_function_returns() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        assert_eq!(client.call(&SQUARE, &7).await?, 49);
        let failed = client.call(&REFUSE, &7).await;
        assert!(matches!(failed, Err(ClientError::Failed(why)) if *why == *"I do not want to"));
        let begin = event_loop.time();
        let delay = Duration::from_secs(60);
        let task = client.call(&SQUARE, &8).delay(delay).priority(9).retries(0).unique_id("eight");
        let task = task.timeout(Duration::from_secs(5)).submit().await?;
        assert_eq!(task.result().await?, 64);
        assert!(event_loop.time() - begin >= delay);
        let spec = task.status().await?.spec;
        assert_eq!((spec.priority, spec.retries), (Priority::new(9).unwrap(), 0));
        assert_eq!((task.id().as_str(), spec.timeout), ("eight", Some(5_000)));
        // A second one with the same id is the same task.
        assert_eq!(client.call(&SQUARE, &0).unique_id("eight").await?, 64);
        Ok(())
    });
}

#[test]
fn options_that_are_wrong_are_the_error_of_the_submit() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let client = client(&event_loop)?;
        let task = || client.task("square", &1);
        for (task, error) in [
            (task().priority(10), "refused: a priority is 0 to 9"),
            (task().unique_id("a b"), "refused: a name has 1 to 64"),
            (task().timeout(Duration::ZERO), "refused: a timeout is longer than 0"),
            (client.task("a b", &1), "refused: a name has 1 to 64"),
        ] {
            let told = task.submit().await.unwrap_err().to_string();
            assert!(told.starts_with(error), "{told}");
        }
        let wrong = client.call(&SQUARE, &1).retries(9_999).await.unwrap_err().to_string();
        assert_eq!(wrong, "refused: a task is retried 1000 times at most");
        Ok(())
    });
}

#[test]
fn in_a_chain_each_gets_what_the_one_before_returned() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let chain = client.chain(&SQUARE, &2).then(&SQUARE).then_with(&ADD, &5).submit().await?;
        assert_eq!(chain.result().await?, 21);
        assert_eq!(chain.tasks()[1].result::<u64>().await?, 16);
        // One that fails ends the rest with it, and one that is tried again goes on with the rest.
        let chain = client.chain(&SLEEP, &60).then(&REFUSE).then(&SQUARE).submit().await?;
        let Err(ClientError::NotRun { cause, error }) = chain.result().await else {
            panic!("it was run")
        };
        assert_eq!(&cause, chain.tasks()[1].id());
        assert!(error.ends_with("which has failed: I do not want to"), "{error}");
        assert!(!chain.last().retry().await?);
        assert!(chain.tasks()[1].retry().await?);
        assert!(matches!(chain.result().await, Err(ClientError::NotRun { .. })));
        let chain = client.chain(&SLEEP, &60).then(&SQUARE).submit().await?;
        assert!(chain.cancel().await?);
        assert!(!chain.cancel().await?);
        assert!(matches!(chain.result().await, Err(ClientError::Cancelled)));
        assert!(matches!(chain.tasks()[0].result::<u64>().await, Err(ClientError::Cancelled)));
        Ok(())
    });
}

#[test]
fn a_group_gives_results_in_order_or_as_they_end_and_counts_them() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let group = client.group(&SQUARE).submit(0..100).await?;
        assert_eq!(group.tasks().count(), 100);
        let squares: Vec<u64> = (0..100).map(|number| number * number).collect();
        assert_eq!(group.results().await?, squares);
        let mut group = client.group(&SLEEP).submit([30, 10, 20]).await?;
        let mut order = Vec::new();
        while let Some((index, result)) = group.next().await {
            order.push((index, result?));
        }
        assert_eq!(order, [(1, 10), (2, 20), (0, 30)]);
        let all = GroupProgress { total: 3, succeeded: 3, ..GroupProgress::default() };
        assert_eq!((group.progress(), group.progress().ended()), (all, 3));
        let sleeping = client.call(&SLEEP, &60).submit().await?;
        let refused = client.call(&REFUSE, &1).submit().await?;
        let mut group = client.group_of([sleeping, refused]);
        let (index, failed) = group.next().await.unwrap();
        assert!(index == 1 && matches!(failed, Err(ClientError::Failed(_))));
        assert_eq!(group.cancel().await?, 1);
        assert!(matches!(group.next().await, Some((0, Err(ClientError::Cancelled)))));
        assert!(group.next().await.is_none());
        let ended = GroupProgress { total: 2, failed: 1, cancelled: 1, ..GroupProgress::default() };
        assert_eq!(group.progress(), ended);
        Ok(())
    });
}

#[test]
fn a_function_over_a_group_runs_without_the_client() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let first = client(&event_loop)?;
        let group = first.group(&SQUARE).submit(1..=10).await?;
        let sum = group.then(&SUM).unique_id("sum").submit().await?;
        let id = sum.id().clone();
        drop(first);
        assert!(matches!(sum.result().await, Err(ClientError::Closed)));
        let (second, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        assert_eq!(second.find(id).result::<u64>().await?, 385);
        // One of a group fails.
        let fails = second.call(&REFUSE, &1).delay(Duration::from_secs(9)).submit().await?;
        let group = second.group_of([second.call(&SQUARE, &1).submit().await?, fails.clone()]);
        let sum = group.then(&SUM).submit().await?;
        let Err(ClientError::NotRun { cause, .. }) = sum.result().await else {
            panic!("it was run")
        };
        assert_eq!(&cause, fails.id());
        assert_eq!(sum.status().await?.outcome(), Some(Outcome::Failed));
        Ok(())
    });
}

/// 2,000 tasks, or as many as `WHARF_EXECUTOR_GROUP` says.
#[test]
fn a_large_group_and_a_function_over_it() {
    let count = std::env::var("WHARF_EXECUTOR_GROUP").map_or(2_000, |count| count.parse().unwrap());
    run(async move |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let group = client.group(&SQUARE).submit((0..count).map(|_| 3)).await?;
        let sum = group.then(&SUM).submit().await?;
        assert_eq!(sum.result().await?, 9 * count);
        assert_eq!(group.results().await?.len() as u64, count);
        Ok(())
    });
}
