//! Workers of a coordinator that does what none may do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf::{EventLoop, Result};

use super::{ADDRESS, Peer, ended, functions, options, run, serve};
use crate::work::Worker;
use crate::work::unrecorded::MOST_REPORTS;

/// Nobody is welcomed there.
const SILENT: &str = "192.0.2.9:7000";

/// A coordinator that welcomes each worker, and then talks as `talk` does, which is told how many came before. Returns
/// what workers were told to have, in their hellos.
async fn pretend(
    event_loop: &EventLoop,
    talk: impl AsyncFn(usize, Peer) -> Result + 'static,
) -> Result<Rc<RefCell<Vec<Value>>>> {
    let hellos = Rc::<RefCell<Vec<Value>>>::default();
    let (heard, talk) = (Rc::clone(&hellos), Rc::new(talk));
    let handler = async move |reader, writer| {
        let mut peer = Peer::of(reader, writer);
        let mut hello = peer.hear().await?;
        let number = heard.borrow().len();
        heard.borrow_mut().push(hello["hello"]["role"]["worker"]["fences"].take());
        peer.say(json!({"welcome": {"lease": 15_000}})).await?;
        talk(number, peer).await
    };
    event_loop.start_server(handler, ADDRESS).await?;
    Ok(hellos)
}

fn assign(fence: u64, kind: &str, args: Value) -> Value {
    let spec = json!({"kind": kind, "args": args});
    json!({"assign": {"id": "x", "fence": fence, "attempt": 1, "spec": spec}})
}

/// What a worker of two slots that has one more may not be told, beside three tasks that it has; and what it is said to
/// be told.
fn nonsense() -> [(Value, &'static str); 4] {
    [
        (assign(4, "sleep", json!(600)), "more tasks than this worker takes"),
        (assign(3, "sleep", json!(600)), "an assignment that this worker has already"),
        (json!({"welcome": {"lease": 1}}), "a second welcome"),
        (json!({"assign": 7}), "invalid type"),
    ]
}

#[test]
fn a_worker_leaves_a_coordinator_that_gives_too_much_or_the_same_twice_and_keeps_what_it_has() {
    for (message, error) in nonsense() {
        run(async move |event_loop| {
            let talk = async move |number, mut peer: Peer| {
                if number == 0 {
                    for fence in 1..=3 {
                        peer.say(assign(fence, "sleep", json!(600))).await?;
                    }
                    peer.say(message.clone()).await?;
                }
                while peer.hear().await.is_ok() {}
                Ok(())
            };
            let hellos = pretend(&event_loop, talk).await?;
            let log = Rc::default();
            let worker = Worker::start(&event_loop, [ADDRESS], functions(&log), options())?;
            let told = Rc::<RefCell<Vec<String>>>::default();
            let tells = Rc::clone(&told);
            worker.on_connection(move |outcome| {
                tells.borrow_mut().extend(outcome.err().map(str::to_owned));
            });
            event_loop.sleep(Duration::from_secs(60)).await;
            assert_eq!(*hellos.borrow(), [json!([]), json!([1, 2, 3])]);
            assert_eq!((worker.tasks(), told.borrow().len()), (3, 1));
            assert!(told.borrow()[0].contains(error), "{told:?}");
            assert_eq!(*log.borrow(), ["1 begins", "1 begins"]);
            Ok(())
        });
    }
}

/// It works for a while ahead of the coordinator's disk, and then for as much as that takes.
#[test]
fn a_worker_begins_nothing_more_while_too_much_of_what_it_reported_is_not_recorded() {
    run(async |event_loop| {
        let heard = Rc::new(Cell::new(0));
        let hears = Rc::clone(&heard);
        let talk = async move |_, mut peer: Peer| {
            let most = MOST_REPORTS as u64;
            for fence in 0..most {
                peer.say(assign(fence, "add", json!([1, 2]))).await?;
                assert_eq!(peer.hear().await?["report"]["fence"], fence);
            }
            for fence in most..most + 3 {
                peer.say(assign(fence, "add", json!([1, 2]))).await?;
            }
            let recorded = wharf::sleep(Duration::from_secs(60));
            recorded.await;
            peer.say(json!({"recorded": 0})).await?;
            while let Ok(message) = peer.hear().await {
                hears.set(hears.get() + usize::from(message.get("report").is_some()));
            }
            Ok(())
        };
        pretend(&event_loop, talk).await?;
        let worker = Worker::start(&event_loop, [ADDRESS], functions(&Rc::default()), options())?;
        event_loop.sleep(Duration::from_secs(30)).await;
        assert_eq!(worker.tasks(), 3);
        event_loop.sleep(Duration::from_secs(60)).await;
        assert!(heard.get() > 0 && worker.tasks() < 3, "{} tasks", worker.tasks());
        Ok(())
    });
}

/// Tasks that go back before they begin need no room, and are not recorded either.
#[test]
fn a_worker_leaves_a_coordinator_that_takes_back_tasks_for_ever_and_records_nothing() {
    run(async |event_loop| {
        let given = Rc::new(Cell::new(0));
        let gives = Rc::clone(&given);
        let talk = async move |number, mut peer: Peer| {
            if number > 0 {
                while peer.hear().await.is_ok() {}
                return Ok(());
            }
            for fence in 1..=2 {
                peer.say(assign(fence, "sleep", json!(86_400))).await?;
            }
            for fence in 3.. {
                peer.say(assign(fence, "sleep", json!(1))).await?;
                peer.say(json!({"recall": fence})).await?;
                let Ok(message) = peer.hear().await else { break };
                assert_eq!(message["report"]["outcome"], "given_back");
                gives.set(gives.get() + 1);
            }
            Ok(())
        };
        let hellos = pretend(&event_loop, talk).await?;
        let _worker = Worker::start(&event_loop, [ADDRESS], functions(&Rc::default()), options())?;
        event_loop.sleep(Duration::from_secs(60)).await;
        assert_eq!(given.get(), MOST_REPORTS + 3 - 2);
        assert_eq!(hellos.borrow()[1].as_array().map(Vec::len), Some(MOST_REPORTS + 3));
        Ok(())
    });
}

#[test]
fn a_worker_that_is_not_welcomed_in_time_goes_to_the_next_address() {
    run(async |event_loop| {
        let silent = async |mut reader: wharf::StreamReader, _writer: wharf::StreamWriter| {
            while !reader.read_chunk().await?.is_empty() {}
            Ok(())
        };
        event_loop.start_server(silent, SILENT).await?;
        let _server = serve(&event_loop).await?;
        let functions = functions(&Rc::default());
        let _worker = Worker::start(&event_loop, [SILENT, ADDRESS], functions, options())?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"id": "1", "kind": "add", "args": [1, 2]}]})).await?;
        assert_eq!(
            wharf::timeout(Duration::from_secs(60), ended(&mut client, "1")).await??["result"],
            3
        );
        Ok(())
    });
}
