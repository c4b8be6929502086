//! Lists of tasks.

use std::collections::BTreeSet;
use std::time::Duration;

use wharf::Result;
use wharf_executor::client::Client;
use wharf_executor::coordinator::Filter;
use wharf_executor::task::{Kind, Phase, Spec, TaskId};

use crate::basics::{Log, client, soon, spec, until, worker};
use crate::server::{Server, run};

/// The ids of a list, page by page.
async fn listed(client: &Client, filter: Filter, page: usize) -> Result<Vec<String>> {
    let (mut ids, mut before) = (Vec::new(), None);
    loop {
        let listed = client.list(filter.clone(), page, before).await?;
        assert!(listed.tasks.len() <= page);
        ids.extend(listed.tasks.iter().map(|task| task.id.to_string()));
        let Some(next) = listed.next else { return Ok(ids) };
        before = Some(next);
    }
}

#[test]
fn on_nats_tasks_of_every_state_are_listed() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let log = Log::default();
        let client = client(&event_loop, &server, "a")?;
        for number in 0..70 {
            client.submit_spec(spec(&format!("n.{number:02}"), "note", "x")).await?;
        }
        client.submit_spec(spec("sq", "square", 3)).await?;
        let later = Spec { at: Some(soon(3_600_000)), ..spec("later", "note", "x") };
        client.submit_spec(later).await?;
        let after = Spec { after: vec![TaskId::new("later")?], ..spec("after", "note", "x") };
        client.submit_spec(after).await?;
        let cancelled = client.submit_spec(spec("never", "note", "x")).await?;
        assert!(cancelled.cancel().await?);
        let state = |state| Filter { state: Some(state), kind: None };
        let notes: Vec<_> = (0..70).rev().map(|number| format!("n.{number:02}")).collect();
        let queued = [vec!["sq".to_owned()], notes.clone()].concat();
        assert_eq!(listed(&client, state(Phase::Queued), 50).await?, queued);
        let squares = Filter { state: Some(Phase::Queued), kind: Some(Kind::new("square")?) };
        assert_eq!(listed(&client, squares, 50).await?, ["sq"]);
        assert_eq!(listed(&client, state(Phase::Delayed), 50).await?, ["later"]);
        assert_eq!(listed(&client, state(Phase::Blocked), 50).await?, ["after"]);
        assert_eq!(listed(&client, state(Phase::Cancelled), 50).await?, ["never"]);
        for page in [1, 50, 1_000] {
            let all = listed(&client, Filter::default(), page).await?;
            assert_eq!(all[..4], ["after", "later", "sq", "n.69"]);
            assert_eq!(all.last().map(String::as_str), Some("never"));
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 74);
            assert_eq!(all.len(), 74);
        }
        client.submit_spec(Spec { retries: 0, ..spec("bad", "fail", 9) }).await?;
        let _worker = worker(&event_loop, &server, "a", 1, &log)?;
        until(|| log.borrow().len() == 71).await;
        client.submit_spec(spec("runs", "hold", ())).await?;
        while listed(&client, state(Phase::Running), 50).await? != ["runs"] {
            event_loop.sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(listed(&client, state(Phase::Succeeded), 50).await?.len(), 71);
        assert_eq!(listed(&client, state(Phase::Failed), 50).await?, ["bad"]);
        let waiting = client.submit_spec(spec("waits", "note", "x")).await?;
        assert_eq!(listed(&client, state(Phase::Queued), 50).await?, ["waits"]);
        log.borrow_mut().push("go".to_owned());
        waiting.result::<String>().await?;
        Ok(())
    })
}

#[test]
fn on_nats_a_list_of_few_among_many_is_found_in_several_short_calls() -> Result {
    let Some(server) = Server::start() else { return Ok(()) };
    run(async |event_loop| {
        let client = client(&event_loop, &server, "a")?;
        let first = client.submit_spec(spec("first", "square", 3)).await?;
        let many = (0..1_500).map(|number| spec(&format!("n.{number}"), "note", "x"));
        let many = client.submit_all(many.collect()).await?;
        assert!(many.iter().all(std::result::Result::is_ok));
        let squares = Filter { state: None, kind: Some(first.status().await?.spec.kind.clone()) };
        let short = client.list(squares.clone(), 50, None).await?;
        assert!(short.tasks.is_empty() && short.next.is_some());
        assert_eq!(listed(&client, squares, 50).await?, ["first"]);
        Ok(())
    })
}
