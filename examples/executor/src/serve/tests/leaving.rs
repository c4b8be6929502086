//! A coordinator ends in good order and another follows; and copies of its store.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{Either, join, select};
use serde_json::json;
use wharf::{EventLoop, Result, Server};

use super::{ADDRESS, Peer, run};
use crate::access::Tokens;
use crate::client::{Client, ClientOptions};
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::{DiskStore, Store as _};
use crate::task::TaskId;
use crate::work::{Functions, Worker, WorkerOptions};

async fn serve_in(event_loop: &EventLoop, directory: &Path) -> Result<(CoordinatorServer, Server)> {
    let store = DiskStore::open(&directory.join("tasks"))?;
    let tokens = Tokens::one(Box::from("secret"));
    let options = ServeOptions { tokens, ..ServeOptions::default() };
    let coordinator = CoordinatorServer::new(event_loop, store, options)?;
    let factory = coordinator.clone();
    let server = event_loop.create_server(move || factory.protocol(), ADDRESS).await?;
    Ok((coordinator, server))
}

fn client(event_loop: &EventLoop) -> Result<Client> {
    let token = Some("secret".into());
    Client::start(event_loop, [ADDRESS], ClientOptions { token, ..ClientOptions::default() })
}

/// A worker that counts how often it runs each task.
fn worker(event_loop: &EventLoop, runs: &Rc<RefCell<BTreeMap<String, u32>>>) -> Result<Worker> {
    let (mut functions, runs) = (Functions::new(), Rc::clone(runs));
    let wait = async move |seconds: u64, job: crate::work::Job| {
        *runs.borrow_mut().entry(job.id().to_owned()).or_default() += 1;
        wharf::sleep(Duration::from_secs(seconds)).await;
        Ok::<_, String>(seconds)
    };
    functions.add_async("wait", wait)?;
    let token = Some("secret".into());
    let options = WorkerOptions { slots: 8, token, ..WorkerOptions::default() };
    Worker::start(event_loop, [ADDRESS], functions, options)
}

#[test]
fn who_is_told_that_the_coordinator_goes_comes_back_and_nothing_is_lost_or_run_twice() {
    for restarts in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        run(async |event_loop| {
            let runs = Rc::default();
            let (client, _worker) = (client(&event_loop)?, worker(&event_loop, &runs)?);
            let mut tasks = Vec::new();
            for _ in 0..3 {
                // The store of the one before is closed: it opens.
                let (coordinator, server) = serve_in(&event_loop, directory.path()).await?;
                for number in 0..20 {
                    tasks.push(client.submit("wait", &(number % 7)).await?);
                }
                event_loop.sleep(Duration::from_secs(2)).await;
                server.close();
                let leaving = async {
                    coordinator.leave(restarts).await;
                    server.shutdown(Duration::from_secs(5)).await
                };
                // Asked when it is about to go.
                let asking = asking_for_a_moment(client.submit("wait", &3), &event_loop);
                let (asked, left) = join(asking, leaving).await;
                tasks.extend(asked?);
                assert_eq!(left?, 0);
            }
            let (_coordinator, _server) = serve_in(&event_loop, directory.path()).await?;
            for task in &tasks {
                task.result::<u64>().await?;
                assert_eq!(task.status().await?.attempts, 1);
            }
            assert_eq!(runs.borrow().len(), tasks.len());
            assert!(runs.borrow().values().all(|runs| *runs == 1), "{runs:?}");
            Ok(())
        });
    }
}

/// What is asked while nobody is there, if it is answered within a moment.
async fn asking_for_a_moment<T, E>(
    asking: impl Future<Output = Result<T, E>>,
    event_loop: &EventLoop,
) -> Result<Option<T>, E> {
    let moment = event_loop.sleep(Duration::from_millis(1));
    match select(Box::pin(asking), Box::pin(moment)).await {
        Either::Left((asked, _)) => asked.map(Some),
        Either::Right(_) => Ok(None),
    }
}

#[test]
fn who_is_gone_when_the_coordinator_goes_is_not_waited_for_and_the_rest_hear_good_bye() {
    let directory = tempfile::tempdir().unwrap();
    run(async |event_loop| {
        let (coordinator, _server) = serve_in(&event_loop, directory.path()).await?;
        let mut client = Peer::client(&event_loop).await?;
        drop(Peer::client(&event_loop).await?);
        client.ask(json!({"submit": [{"kind": "wait"}]})).await?;
        coordinator.leave(true).await;
        assert_eq!(client.hear().await?, json!({"goodbye": {"restarts": true}}));
        Ok(())
    });
}

#[test]
fn a_copy_taken_under_load_has_every_task_that_was_acknowledged_before() {
    let directory = tempfile::tempdir().unwrap();
    run(async |event_loop| {
        let (_coordinator, _server) = serve_in(&event_loop, directory.path()).await?;
        let (client, _worker) = (client(&event_loop)?, worker(&event_loop, &Rc::default())?);
        let acknowledged = RefCell::new(Vec::<TaskId>::new());
        let load = async {
            for number in 0..500 {
                let task = client.submit("wait", &(number % 3)).await.unwrap();
                acknowledged.borrow_mut().push(task.id().clone());
            }
        };
        let copies = async {
            let mut copies = Vec::new();
            for _ in 0..5 {
                let (known, mut bytes) = (acknowledged.borrow().len(), Vec::new());
                client.back_up(&mut bytes).await.unwrap();
                copies.push((known, bytes));
            }
            copies
        };
        let ((), copies) = join(load, copies).await;
        for (number, (known, bytes)) in copies.into_iter().enumerate() {
            let path = directory.path().join(format!("copy {number}"));
            fs::write(&path, bytes)?;
            let copy = DiskStore::open(&path)?;
            for id in &acknowledged.borrow()[..known] {
                assert!(copy.key_of(id)?.is_some(), "{id:?} is not in copy {number}");
            }
        }
        Ok(())
    });
}
