//! Clients, workers and their coordinator, over a network in memory.

mod groups;
mod hostile;
mod lost;
mod maps;
mod schedules;

use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result};

use super::{Client, ClientError, ClientOptions};
use crate::Function;
use crate::serve::tests::{ADDRESS, serve};
use crate::task::{Kind, Outcome, Spec};
use crate::work::{Failure, Functions, Worker, WorkerOptions};

const SQUARE: Function<u64, u64> = Function::new("square");
const SUM: Function<Vec<u64>, u64> = Function::new("sum");
const ADD: Function<(u64, u64), u64> = Function::new("plus");
const REFUSE: Function<u64, u64> = Function::new("refuse");
const SLEEP: Function<u64, u64> = Function::new("sleep");

fn token() -> Option<Box<str>> {
    Some("secret".into())
}

fn client(event_loop: &EventLoop) -> Result<Client> {
    Client::start(event_loop, [ADDRESS], ClientOptions { token: token(), ..Default::default() })
}

fn worker(event_loop: &EventLoop) -> Result<Worker> {
    let mut functions = Functions::new();
    functions.add("square", |number: u64, _| Ok::<_, String>(number * number))?;
    functions.add("fail", |text: String, _| Err::<(), _>(text))?;
    functions.define(&SUM, |numbers: Vec<u64>, _| Ok::<_, String>(numbers.iter().sum()));
    functions.define(&ADD, |(left, right): (u64, u64), _| Ok::<_, String>(left + right));
    functions.define(&REFUSE, |_: u64, _| Err(Failure::permanent("I do not want to")));
    functions.define_async(&SLEEP, async |seconds, _| {
        wharf::sleep(Duration::from_secs(seconds)).await;
        Ok::<_, String>(seconds)
    });
    let options = WorkerOptions { slots: 4, token: token(), ..WorkerOptions::default() };
    Worker::start(event_loop, [ADDRESS], functions, options)
}

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

#[test]
fn a_client_awaits_results_of_types_of_its_own() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let mut tasks = Vec::new();
        for number in 0..1_000_u64 {
            tasks.push(client.submit("square", &number).await?);
        }
        for (number, task) in (0..).zip(tasks) {
            assert_eq!(task.result::<u64>().await?, number * number);
        }
        assert_eq!(server.counts(), (0, 0));
        Ok(())
    });
}

#[test]
fn what_goes_wrong_is_an_error_of_its_own_kind() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop)?);
        let once = |kind: &str, arguments: &str| Spec {
            retries: 0,
            ..Spec::new(
                Kind::new(kind).unwrap(),
                serde_json::value::to_raw_value(arguments).unwrap(),
            )
        };
        let failed = client.submit_spec(once("fail", "no")).await?;
        assert!(
            matches!(failed.result::<()>().await, Err(ClientError::Failed(why)) if *why == *"no")
        );
        assert_eq!(failed.status().await?.outcome(), Some(Outcome::Failed));
        assert!(failed.retry().await?);
        assert!(matches!(failed.result::<()>().await, Err(ClientError::Failed(_))));
        let nobodys = client.submit_spec(once("nobody", "")).await?;
        assert!(nobodys.cancel().await?);
        assert!(!nobodys.cancel().await?);
        assert!(matches!(nobodys.result::<()>().await, Err(ClientError::Cancelled)));
        let unknown = client.find(crate::task::TaskId::new("x")?);
        assert!(matches!(unknown.result::<()>().await, Err(ClientError::UnknownTask(_))));
        let other = client.submit("square", &3).await?;
        assert!(matches!(other.result::<String>().await, Err(ClientError::Json(_))));
        client.drain(true).await?;
        assert!(matches!(client.submit("square", &3).await, Err(ClientError::Refused(_))));
        Ok(())
    });
}

#[test]
fn a_client_that_may_not_talk_is_told_why_and_one_that_is_closed_ends_what_waits() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let stranger = Client::start(&event_loop, [ADDRESS], ClientOptions::default())?;
        let refused = stranger.submit("square", &1).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the coordinator does not let this client in: the token is wrong"
        );
        let client = client(&event_loop)?;
        let task = client.submit("nobody", &()).await?;
        let waiting = event_loop.create_task(async move { task.result::<()>().await });
        event_loop.sleep(Duration::from_secs(1)).await;
        drop(client);
        assert!(matches!(waiting.await?, Err(ClientError::Closed)));
        Ok(())
    });
}
