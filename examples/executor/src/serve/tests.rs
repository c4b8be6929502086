//! Over connections in memory, in virtual time.

mod copies;
mod disk;
mod leaving;
mod limits;
mod nonsense;
mod output;
mod silent;
mod watch;

use std::time::Duration;

use redb::backends::InMemoryBackend;
use serde_json::json;
use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::{CoordinatorServer, ServeOptions};
use crate::access::Tokens;
use crate::store::DiskStore;
use crate::task::Timestamp;

pub(crate) const ADDRESS: &str = "192.0.2.1:7000";

/// A peer that says and hears JSON.
pub(crate) struct Peer {
    reader: StreamReader,
    writer: StreamWriter,
}

impl Peer {
    async fn connect(event_loop: &EventLoop, role: serde_json::Value) -> Result<Self> {
        let (reader, writer) = event_loop.open_connection(ADDRESS).await?;
        let mut peer = Self { reader, writer };
        peer.say(json!({"hello": {"version": 1, "token": "secret", "role": role}})).await?;
        assert_eq!(peer.hear().await?, json!({"welcome": {"lease": 15_000}}));
        Ok(peer)
    }

    /// One of whom it is not known what it is.
    pub(crate) fn of(reader: StreamReader, writer: StreamWriter) -> Self {
        Self { reader, writer }
    }

    pub(crate) async fn client(event_loop: &EventLoop) -> Result<Self> {
        Self::connect(event_loop, json!("client")).await
    }

    pub(crate) async fn worker(event_loop: &EventLoop, fences: &[u64]) -> Result<Self> {
        let worker = json!({"name": "w", "kinds": ["a"], "capacity": 2, "fences": fences});
        Self::connect(event_loop, json!({"worker": worker})).await
    }

    pub(crate) async fn say(&self, message: serde_json::Value) -> Result {
        let text = message.to_string();
        let mut frame = (text.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(text.as_bytes());
        self.writer.write_all(&frame).await?;
        Ok(())
    }

    pub(crate) async fn hear(&mut self) -> Result<serde_json::Value> {
        let head = self.reader.read_exactly(4).await?;
        let length = u32::from_be_bytes(head[..].try_into()?);
        let text = self.reader.read_exactly(length as usize).await?;
        Ok(serde_json::from_slice(text)?)
    }

    pub(crate) async fn ask(&mut self, ask: serde_json::Value) -> Result<serde_json::Value> {
        self.say(json!({"request": {"number": 1, "ask": ask}})).await?;
        let answer = self.hear().await?;
        assert_eq!(answer["answer"]["number"], 1, "{answer}");
        Ok(answer["answer"]["answer"].clone())
    }
}

pub(crate) async fn serve(event_loop: &EventLoop) -> Result<CoordinatorServer> {
    serve_in(event_loop, DiskStore::open_in(InMemoryBackend::new())?).await
}

pub(crate) async fn serve_in(
    event_loop: &EventLoop,
    store: DiskStore,
) -> Result<CoordinatorServer> {
    let (clock, began) = (event_loop.clone(), event_loop.time());
    let options = ServeOptions {
        tokens: Tokens::one(Box::from("secret")),
        clock: Box::new(move || Timestamp(1_800_000_000_000).after(clock.time() - began)),
        random: fastrand::Rng::with_seed(1),
        ..ServeOptions::default()
    };
    let server = CoordinatorServer::new(event_loop, store, options)?;
    let factory = server.clone();
    event_loop.create_server(move || factory.protocol(), ADDRESS).await?;
    Ok(server)
}

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

#[test]
fn a_client_submits_a_worker_runs_and_the_client_hears_of_it() {
    run(async |event_loop| {
        let server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        let told = client.ask(json!({"submit": [{"kind": "a", "id": "x", "args": [1]}, {"kind": "a", "after": ["y"]}]})).await?;
        assert_eq!(
            told,
            json!({"submitted": [{"Ok": "x"}, {"Err": "it comes after y, which is not there"}]})
        );
        let mut worker = Peer::worker(&event_loop, &[]).await?;
        let given = worker.hear().await?;
        assert_eq!(
            (&given["assign"]["id"], &given["assign"]["spec"]["args"]),
            (&json!("x"), &json!([1]))
        );
        client.say(json!({"request": {"number": 1, "ask": {"wait": "x"}}})).await?;
        let fence = &given["assign"]["fence"];
        worker.say(json!({"report": {"fence": fence, "outcome": {"succeeded": 42}}})).await?;
        assert_eq!(worker.hear().await?, json!({"recorded": fence}));
        let ended = client.hear().await?;
        let task = &ended["answer"]["answer"]["task"];
        assert_eq!((&task["result"], &task["state"]["outcome"]), (&json!(42), &json!("succeeded")));
        assert_eq!(client.ask(json!({"wait": "x"})).await?["task"]["result"], 42);
        assert_eq!(client.ask(json!({"status": "z"})).await?, json!({"task": null}));
        assert_eq!(server.counts(), (0, 0));
        // It was recorded once.
        worker.say(json!({"report": {"fence": fence, "outcome": {"succeeded": 43}}})).await?;
        assert_eq!(worker.hear().await?, json!({"stale": fence}));
        Ok(())
    });
}

#[test]
fn a_worker_that_is_gone_and_one_that_is_silent_lose_their_tasks() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"kind": "a"}]})).await?;
        let mut gone = Peer::worker(&event_loop, &[]).await?;
        let first = gone.hear().await?["assign"]["fence"].as_u64().unwrap();
        drop(gone);
        let mut silent = Peer::worker(&event_loop, &[first]).await?;
        let mut told = [silent.hear().await?, silent.hear().await?];
        told.sort_by_key(|message| message.get("assign").is_none());
        assert_eq!(told[1], json!({"stop": {"fence": first, "why": "stale"}}));
        assert_eq!(told[0]["assign"]["attempt"], 2);
        event_loop.sleep(Duration::from_secs(16)).await;
        let mut third = Peer::worker(&event_loop, &[]).await?;
        assert_eq!(third.hear().await?["assign"]["attempt"], 3);
        Ok(())
    });
}

#[test]
fn who_may_not_talk_or_talks_nonsense_gets_one_answer() {
    let hello = |version: u32, token: &str| json!({"hello": {"version": version, "token": token, "role": "client"}});
    let cases = [
        (vec![hello(2, "secret")], "this is version 1 of the protocol, not 2"),
        (vec![hello(1, "guess")], "the token is wrong"),
        (vec![json!("alive")], "who is there? A hello comes first"),
        (vec![json!({"x": 1})], "unknown variant `x`"),
        (vec![hello(1, "secret"), json!("alive")], "a client makes requests"),
    ];
    run(async move |event_loop| {
        let _server = serve(&event_loop).await?;
        for (said, error) in cases {
            let (reader, writer) = event_loop.open_connection(ADDRESS).await?;
            let mut peer = Peer { reader, writer };
            for message in said {
                peer.say(message).await?;
            }
            let mut told = peer.hear().await?;
            if told.get("welcome").is_some() {
                told = peer.hear().await?;
            }
            assert!(told["refused"].as_str().unwrap().contains(error), "{told}");
            assert!(peer.reader.read_chunk().await?.is_empty());
        }
        Ok(())
    });
}

#[test]
fn clients_see_how_the_coordinator_is_and_list_tasks() {
    run(async |event_loop| {
        let _server = serve(&event_loop).await?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"kind": "a", "id": "x"}, {"kind": "b", "id": "y"}]})).await?;
        let mut worker = Peer::worker(&event_loop, &[]).await?;
        worker.hear().await?;
        let overview = client.ask(json!("overview")).await?["overview"].take();
        let tasks = &overview["tasks"];
        assert_eq!((&tasks["queued"], &tasks["running"]), (&json!(1), &json!(1)));
        assert_eq!(overview["workers"][0]["running"][0]["id"], "x");
        assert_eq!(overview["is_draining"], false);
        let listed = client.ask(json!({"list": {"limit": 1}})).await?["listed"].take();
        assert_eq!((&listed["tasks"][0]["id"], &listed["next"]), (&json!("y"), &json!(2)));
        let filter = json!({"state": "running", "kind": "a"});
        let listed =
            client.ask(json!({"list": {"limit": 9, "filter": filter}})).await?["listed"].take();
        assert_eq!((&listed["tasks"][0]["id"], &listed["next"]), (&json!("x"), &json!(null)));
        Ok(())
    });
}
