//! What an open page is told, and what it asks for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result, Transport as _};
use wharf_protocols::websocket::{CloseCode, OwnedMessage, WebSocketOptions, WebSocketStream};

use super::{ADDRESS, dashboard, run};
use crate::serve::tests::Peer;

/// A page, without a browser.
pub(super) struct Page {
    socket: WebSocketStream,
    asked: u64,
}

impl Page {
    pub(super) async fn open(event_loop: &EventLoop) -> Result<Self> {
        let url = format!("ws://{ADDRESS}/live");
        let options = WebSocketOptions::new();
        Ok(Self { socket: WebSocketStream::connect(event_loop, &url, options).await?, asked: 0 })
    }

    pub(super) async fn hear(&mut self) -> Result<Value> {
        match self.socket.next().await.ok_or("the end")?? {
            OwnedMessage::Text(text) => Ok(serde_json::from_str(&text)?),
            OwnedMessage::Binary(_) => Err("not a text".into()),
        }
    }

    /// The next update that has this member.
    pub(super) async fn hear_of(&mut self, member: &str) -> Result<Value> {
        loop {
            let mut told = self.hear().await?;
            if let Some(value) = told["update"].get_mut(member) {
                return Ok(value.take());
            }
        }
    }

    pub(super) async fn ask(&mut self, ask: Value) -> Result<Value> {
        self.asked += 1;
        self.socket.send(&*json!({"number": self.asked, "ask": ask}).to_string()).await?;
        loop {
            let mut told = self.hear().await?;
            if told["answered"] == self.asked {
                return Ok(told["answer"].take());
            }
        }
    }
}

#[test]
fn a_page_is_told_everything_once_and_then_what_changes() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"kind": "a", "id": "x"}]})).await?;
        event_loop.sleep(Duration::from_secs(3)).await;
        let mut page = Page::open(&event_loop).await?;
        let first = page.hear().await?;
        assert!(first["history"].as_array().is_some_and(|samples| samples.len() >= 2), "{first}");
        let update = &first["update"];
        assert_eq!((&update["tasks"]["queued"], &update["workers"]), (&json!(1), &json!([])));
        assert_eq!(update["health"], json!({"draining": false, "store": null, "workers": 0}));
        // Nothing happens: nothing but a sample each second is told.
        for _ in 0..3 {
            let told = page.hear().await?;
            let members: Vec<_> = told["update"].as_object().ok_or("no update")?.keys().collect();
            assert_eq!(members, ["now", "sample"]);
        }
        client.ask(json!({"submit": [{"kind": "a"}, {"kind": "a"}]})).await?;
        let told = page.hear().await?;
        let members: Vec<_> = told["update"].as_object().ok_or("no update")?.keys().collect();
        assert_eq!(members, ["kinds", "now", "tasks", "totals"]);
        assert_eq!(told["update"]["tasks"]["queued"], 3);
        let mut worker = Peer::worker(&event_loop, &[]).await?;
        let given = worker.hear().await?;
        let workers = page.hear_of("workers").await?;
        assert_eq!(
            (&workers[0]["name"], &workers[0]["running"][0]["id"]),
            (&json!("w"), &json!("x"))
        );
        let fence = &given["assign"]["fence"];
        worker.say(json!({"report": {"fence": fence, "outcome": {"failed": "no"}}})).await?;
        let spans = page.hear_of("spans").await?;
        assert_eq!(
            (&spans[0]["id"], &spans[0]["end"], &spans[0]["slot"]),
            (&json!("x"), &json!("failed"), &json!(0))
        );
        Ok(())
    });
}

#[test]
fn a_page_lists_tasks_and_cancels_and_retries_them() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        let mut client = Peer::client(&event_loop).await?;
        let evil = "<img src=x onerror=alert(1)>";
        let specs =
            [json!({"kind": "a", "id": "x", "args": evil}), json!({"kind": "b", "after": ["x"]})];
        client.ask(json!({"submit": specs})).await?;
        let mut page = Page::open(&event_loop).await?;
        let listed = page.ask(json!({"list": {"limit": 50}})).await?;
        assert_eq!(listed["page"]["tasks"][1]["id"], "x");
        let blocked =
            json!({"list": {"filter": {"state": "blocked"}, "limit": 50, "before": null}});
        assert_eq!(page.ask(blocked).await?["page"]["tasks"].as_array().map(Vec::len), Some(1));
        let task = page.ask(json!({"task": "x"})).await?;
        assert_eq!(task["task"]["args"], serde_json::to_string(evil)?);
        assert_eq!(task["task"]["priority"], 5);
        assert_eq!(page.ask(json!({"task": "y"})).await?, json!({"task": null}));
        for (ask, changed) in [
            (json!({"retry": "x"}), false),
            (json!({"cancel": "x"}), true),
            (json!({"cancel": "x"}), false),
            (json!({"retry": "x"}), true),
            (json!({"cancel": "nobody"}), false),
        ] {
            assert_eq!(page.ask(ask.clone()).await?, json!({"changed": changed}), "{ask}");
        }
        Ok(())
    });
}

#[test]
fn a_page_that_talks_nonsense_or_asks_too_much_at_once_is_sent_away() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        let nonsense = [
            "",
            "{}",
            r#"{"number":1,"ask":{"drain":true}}"#,
            r#"{"number":1,"ask":{"task":"a b"}}"#,
        ];
        for text in nonsense {
            let page = Page::open(&event_loop).await?;
            page.socket.send(text).await?;
            assert_eq!(
                ended(page).await?,
                (CloseCode::POLICY_VIOLATION, "not what a page asks".to_owned()),
                "{text}"
            );
        }
        let page = Page::open(&event_loop).await?;
        for number in 0..17 {
            let ask = json!({"number": number, "ask": {"list": {"limit": 1}}});
            page.socket.send(&*ask.to_string()).await?;
        }
        assert_eq!(
            ended(page).await?,
            (CloseCode::POLICY_VIOLATION, "too much at once".to_owned())
        );
        Ok(())
    });
}

#[test]
fn a_page_that_goes_on_talking_after_it_was_sent_away_is_not_reported() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        let reports = Rc::new(Cell::new(0));
        let counted = Rc::clone(&reports);
        event_loop.set_exception_handler(move |_, _| counted.set(counted.get() + 1));
        let page = Page::open(&event_loop).await?;
        // All of it is there before the first is read.
        for _ in 0..100 {
            page.socket.socket().send_text("nonsense")?;
        }
        assert_eq!(ended(page).await?.0, CloseCode::POLICY_VIOLATION);
        assert_eq!(reports.get(), 0);
        Ok(())
    });
}

async fn ended(page: Page) -> Result<(CloseCode, String)> {
    let (mut reader, _writer) = page.socket.split();
    while let Some(Ok(_)) = reader.next().await {}
    let closure = reader.closure().ok_or("no closure")?;
    Ok((closure.code, closure.reason))
}

#[test]
fn a_page_that_does_not_read_is_skipped_and_hears_how_it_is_when_it_reads_again() {
    let network = MemoryNetwork::new().capacity(4 * 1024);
    let outcome = network.event_loop().run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        let mut client = Peer::client(&event_loop).await?;
        let mut page = Page::open(&event_loop).await?;
        page.hear().await?;
        page.socket.socket().transport().pause_reading();
        let specs: Vec<_> = (0..10).map(|kind| json!({"kind": format!("k{kind}")})).collect();
        for _ in 0..100 {
            client.ask(json!({"submit": specs})).await?;
            event_loop.sleep(Duration::from_millis(100)).await;
        }
        page.socket.socket().transport().resume_reading();
        let (mut heard, mut was_behind, mut queued) = (0, false, 0);
        while queued < 1_000 {
            let told = page.hear().await?;
            heard += 1;
            was_behind |= told["update"]["behind"] == true;
            queued = told["update"]["tasks"]["queued"].as_u64().unwrap_or(queued);
        }
        assert!(heard < 30 && was_behind, "{heard} of 100 were kept for it");
        Ok(())
    });
    let outcome: Result = outcome;
    outcome.unwrap();
}
