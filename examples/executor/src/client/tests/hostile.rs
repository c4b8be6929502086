//! Clients of a coordinator that says what none may say.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use wharf::{EventLoop, Result};

use super::{ADDRESS, SQUARE, client, run, serve, token};
use crate::client::{Client, ClientError, ClientOptions, OutputItem};
use crate::serve::tests::Peer;
use crate::task::{Kind, Spec, TaskId};

/// A coordinator that welcomes each client, and answers each request as `answer` says, which is given what is asked.
async fn pretend(event_loop: &EventLoop, answer: impl Fn(&Value) -> Value + 'static) -> Result {
    let handler = async move |reader, writer| {
        let mut peer = Peer::of(reader, writer);
        peer.hear().await?;
        peer.say(json!({"welcome": {"lease": 15_000}})).await?;
        while let Ok(message) = peer.hear().await {
            let asked = &message["request"];
            let answer = answer(&asked["ask"]);
            peer.say(json!({"answer": {"number": asked["number"], "answer": answer}})).await?;
        }
        Ok(())
    };
    event_loop.start_server(handler, ADDRESS).await?;
    Ok(())
}

fn spec() -> Spec {
    Spec::new(Kind::new("a").unwrap(), serde_json::value::RawValue::NULL.to_owned())
}

#[test]
fn fewer_or_more_answers_than_tasks_are_an_error_of_each() {
    for answers in [json!([]), json!([{"Ok": "x"}, {"Ok": "y"}, {"Ok": "z"}])] {
        run(async move |event_loop| {
            pretend(&event_loop, move |_| json!({"submitted": answers})).await?;
            let client = client(&event_loop)?;
            let told = client.submit_all(vec![spec(), spec()]).await.unwrap_err();
            assert_eq!(told.to_string(), "refused: an answer to something else");
            // Those that are submitted and awaited in one request do not wait for ever.
            let mut both = client.map(&SQUARE, [1, 2]);
            let first = wharf::timeout(Duration::from_secs(60), both.next()).await?;
            assert!(matches!(first, Some(Err(ClientError::Refused(_)))));
            Ok(())
        });
    }
}

#[test]
fn what_a_task_has_written_may_end_at_the_last_offset_there_is() {
    run(async |event_loop| {
        let part =
            |offset: u64| json!({"offset": offset, "attempt": 1, "pieces": [{"stdout": "abc"}]});
        let page = json!({"parts": [part(u64::MAX), part(1)], "next": u64::MAX, "ended": true});
        pretend(&event_loop, move |_| json!({"output": page})).await?;
        let client = client(&event_loop)?;
        let mut output = client.find(TaskId::new("x")?).output();
        let mut items = Vec::new();
        while let Some(item) = output.next().await? {
            items.push(item);
        }
        assert_eq!(items.len(), 3);
        assert_eq!(items[0], OutputItem::Missing(u64::MAX));
        Ok(())
    });
}

#[test]
fn a_copy_that_is_longer_than_it_was_said_to_be_is_an_error() {
    for (length, is_whole) in [(8, true), (7, false), (9, false)] {
        run(async move |event_loop| {
            // Eight bytes, and then none.
            let answer = move |asked: &Value| match asked["read_back_up"].as_u64() {
                None => json!({"copied": length}),
                Some(0) => json!({"part": "YWJjZGVmZ2g="}),
                Some(_) => json!({"part": ""}),
            };
            pretend(&event_loop, answer).await?;
            let mut copy = Vec::new();
            let copied = client(&event_loop)?.back_up(&mut copy).await;
            assert_eq!(copied.is_ok(), is_whole, "{length}");
            assert!(copy.len() <= length);
            Ok(())
        });
    }
}

#[test]
fn what_cannot_be_understood_is_an_error_of_all_that_wait() {
    run(async |event_loop| {
        pretend(&event_loop, |asked| match asked.get("status") {
            Some(_) => json!({"nonsense": 1}),
            None => json!({"changed": true}),
        })
        .await?;
        let client = client(&event_loop)?;
        let task = client.find(TaskId::new("x")?);
        let waits = task.clone();
        let waiting = event_loop.create_task(async move { waits.result::<()>().await });
        let told = wharf::timeout(Duration::from_secs(60), task.status()).await?.unwrap_err();
        let text = told.to_string();
        assert!(text.contains("cannot be understood: unknown variant `nonsense`"), "{text}");
        let told = wharf::timeout(Duration::from_secs(60), waiting).await??.unwrap_err();
        assert_eq!(told.to_string(), text);
        Ok(())
    });
}

#[test]
fn a_list_of_schedules_has_an_end() {
    let record = |name: &str| {
        let spec = json!({"kind": "a"});
        let schedule = json!({"name": name, "when": {"every": 60_000}, "task": spec});
        json!({"schedule": schedule, "added": 1, "next": null, "paused": false})
    };
    // The same again and again; one that should be before; and ever more.
    let lists: [fn(u64) -> Vec<String>; 3] = [
        |_| vec!["x".to_owned()],
        |page| vec![format!("{page}-b"), format!("{page}-a")],
        |page| (0..500).map(|number| format!("{page:05}-{number:05}")).collect(),
    ];
    for list in lists {
        run(async move |event_loop| {
            let pages = Cell::new(0);
            let answer = move |_: &Value| {
                pages.set(pages.get() + 1);
                let schedules: Vec<_> = list(pages.get()).iter().map(|name| record(name)).collect();
                json!({"schedules": {"schedules": schedules, "more": true}})
            };
            pretend(&event_loop, answer).await?;
            let client = client(&event_loop)?;
            let listed = wharf::timeout(Duration::from_secs(60), client.schedules()).await?;
            let told = listed.unwrap_err();
            assert_eq!(told.to_string(), "refused: an answer to something else");
            Ok(())
        });
    }
}

#[test]
fn a_client_leaves_a_coordinator_that_welcomes_it_twice_or_not_in_time() {
    const OTHERS: [&str; 2] = ["192.0.2.8:7000", "192.0.2.9:7000"];
    run(async |event_loop| {
        for (address, welcomes) in OTHERS.into_iter().zip([2, 0]) {
            let handler = async move |reader, writer| {
                let mut peer = Peer::of(reader, writer);
                for _ in 0..welcomes {
                    peer.say(json!({"welcome": {"lease": 1}})).await?;
                }
                while peer.hear().await.is_ok() {}
                Ok(())
            };
            event_loop.start_server(handler, address).await?;
        }
        let _server = serve(&event_loop).await?;
        let _worker = super::worker(&event_loop)?;
        let addresses = [OTHERS[0], OTHERS[1], ADDRESS];
        let options = ClientOptions { token: token(), ..ClientOptions::default() };
        let client = Client::start(&event_loop, addresses, options)?;
        let square = async { client.call(&SQUARE, &3).await };
        assert_eq!(wharf::timeout(Duration::from_secs(60), square).await??, 9);
        Ok(())
    });
}
