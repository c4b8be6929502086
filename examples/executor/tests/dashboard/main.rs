//! The dashboard's page in a real browser.
#![forbid(unsafe_code)]

mod browser;
mod pictures;

use std::time::Duration;

use redb::backends::InMemoryBackend;
use serde_json::json;
use serde_json::value::to_raw_value;
use wharf::{EventLoop, Result, Server};
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::dashboard::{Dashboard, DashboardOptions};
use wharf_executor::serve::{CoordinatorServer, ServeOptions};
use wharf_executor::store::DiskStore;
use wharf_executor::task::{Kind, Spec, TaskId};
use wharf_executor::work::{Functions, Worker, WorkerOptions};

use browser::{Browser, Page};

/// What would run if anything of a task were taken for HTML.
const EVIL: &str =
    "<img src=x onerror=\"document.title='caught'\"><script>document.title='caught'</script>";

/// A coordinator with a dashboard, and a client of it.
struct World {
    _coordinator: Server,
    _dashboard: Server,
    address: String,
    url: String,
    client: Client,
}

impl World {
    async fn new(event_loop: &EventLoop, token: Option<&str>) -> Result<Self> {
        let store = DiskStore::open_in(InMemoryBackend::new())?;
        let coordinator = CoordinatorServer::new(event_loop, store, ServeOptions::default())?;
        let options = DashboardOptions { token: token.map(Into::into), ..Default::default() };
        let any = "127.0.0.1:0";
        let dashboard = Dashboard::new(event_loop, coordinator.clone(), any, options)?;
        let dashboard = event_loop.create_server(dashboard.factory(), any).await?;
        let served = event_loop.create_server(move || coordinator.protocol(), any).await?;
        let address = served.addresses()[0].to_string();
        let url = format!("http://{}/", dashboard.addresses()[0]);
        let client = Client::start(event_loop, [&*address], ClientOptions::default())?;
        Ok(Self { _coordinator: served, _dashboard: dashboard, address, url, client })
    }

    /// A worker, which runs all [kinds](functions) or some of them.
    fn worker(
        &self,
        event_loop: &EventLoop,
        name: &str,
        slots: usize,
        kinds: Option<&[&str]>,
    ) -> Result<Worker> {
        let named = |name: &&str| Kind::new(name).expect("a name");
        let kinds = kinds.map(|kinds| kinds.iter().map(named).collect());
        let options =
            WorkerOptions { name: name.into(), slots, prefetch: 1, kinds, ..Default::default() };
        Worker::start(event_loop, [&*self.address], functions()?, options)
    }
}

/// Tasks that take as long as they say, fail, or return what they are given.
fn functions() -> Result<Functions> {
    let mut functions = Functions::new();
    for kind in ["render.tile", "transcode"] {
        functions.add_async(kind, async |(millis,): (u64,), _| {
            wharf::sleep(Duration::from_millis(millis)).await;
            Ok::<_, String>(millis)
        })?;
    }
    functions.add_async("index", async |text: String, _| {
        wharf::sleep(Duration::from_millis(40 + 5 * text.len() as u64)).await;
        Ok::<_, String>(text)
    })?;
    functions.add_async("speak", async |text: String, job| {
        job.write(&text);
        job.write_error("and that was all");
        wharf::sleep(Duration::from_secs(60)).await;
        Ok::<_, String>(())
    })?;
    functions.add_async("mail.send", async |text: String, _| {
        wharf::sleep(Duration::from_millis(80)).await;
        if text.contains('@') { Ok(text) } else { Err(format!("there is no mailbox {text}")) }
    })?;
    Ok(functions)
}

fn spec(id: &str, kind: &str, arguments: &serde_json::Value) -> Spec {
    let kind = Kind::new(kind).expect("a name");
    let id = Some(TaskId::new(id).expect("a name"));
    Spec { id, retries: 0, ..Spec::new(kind, to_raw_value(arguments).expect("JSON")) }
}

/// What a row of the list shows, as JavaScript.
fn row(id: &str) -> String {
    format!("document.querySelector('.row[data-id=\"{id}\"]')")
}

#[test]
fn tasks_are_seen_cancelled_and_retried_by_keyboard_and_are_never_html() -> Result {
    let Some(browser) = Browser::start() else { return Ok(()) };
    wharf::run(async |event_loop| {
        let world = World::new(&event_loop, None).await?;
        let _worker = world.worker(&event_loop, "west-1", 2, None)?;
        let failed = world.client.submit_spec(spec("evil", "mail.send", &json!(EVIL))).await?;
        assert!(failed.result::<()>().await.is_err());
        let echo = world.client.submit_spec(spec("echo", "index", &json!(EVIL))).await?;
        echo.result::<String>().await?;
        world.client.submit_spec(spec("waits", "nobody.runs.this", &json!([1]))).await?;
        let mut page = Page::open(&event_loop, &browser, &world.url).await?;
        page.until("document.getElementById('health-text').textContent === 'Live'").await?;
        page.until(&format!(
            "{}.querySelector('.note').textContent.includes('<img src=x')",
            row("evil")
        ))
        .await?;
        page.until(&format!("{}.textContent.includes('onerror')", row("echo"))).await?;
        page.until("document.querySelector('#workers .name').textContent === 'west-1'").await?;
        page.until("document.querySelector('.tile[data-phase=failed] .count').textContent === '1'")
            .await?;

        // By keyboard: the newest is first, and it is cancelled.
        page.evaluate("document.getElementById('grid').focus()").await?;
        page.until(&format!("document.activeElement === {}", row("waits"))).await?;
        page.press(&["c"]).await?;
        page.until(&format!("{}.dataset.phase === 'cancelled'", row("waits"))).await?;

        // The one that failed: its details, and its button.
        page.press(&["ArrowDown", "ArrowDown", "Enter"]).await?;
        page.until("!document.getElementById('detail').hidden").await?;
        page.until("document.getElementById('detail-id').textContent === 'evil'").await?;
        let texts = page.evaluate("document.getElementById('texts').innerText").await?;
        assert!(
            texts.as_str().is_some_and(|text| text.contains("<script>document.title")),
            "{texts}"
        );
        page.until("document.activeElement.id === 'detail-title'").await?;
        // Cancel is not possible any more, and not stopped at.
        page.press(&["Tab", "Tab"]).await?;
        page.until("document.activeElement.id === 'retry'").await?;
        page.press(&["Enter"]).await?;
        page.until("document.getElementById('detail-note').textContent === 'It is tried again'")
            .await?;
        page.until("document.getElementById('facts').textContent.includes('2, of which')").await?;
        page.press(&["Escape"]).await?;
        page.until("document.getElementById('detail').hidden").await?;
        page.until(&format!("document.activeElement === {}", row("evil"))).await?;

        // What one that runs has written so far.
        world.client.submit_spec(spec("speaks", "speak", &json!(EVIL))).await?;
        page.until(&format!("{}.dataset.phase === 'running'", row("speaks"))).await?;
        page.press(&["Home", "Enter"]).await?;
        page.until(&format!(
            "document.getElementById('output').textContent === {EVIL:?} + 'and that was all'"
        ))
        .await?;
        page.press(&["Escape"]).await?;

        // A tile is a filter.
        page.evaluate("document.querySelector('.tile[data-phase=cancelled]').click()").await?;
        page.until("document.querySelectorAll('.row').length === 1").await?;
        page.press(&["/"]).await?;
        page.until("document.activeElement.id === 'find-id'").await?;
        assert_eq!(page.evaluate("document.images.length").await?, 1);
        assert_eq!(page.evaluate("document.title").await?, "Executor");
        assert_eq!(page.complaints, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn a_list_of_many_tasks_has_few_elements_and_goes_to_its_end() -> Result {
    let Some(browser) = Browser::start() else { return Ok(()) };
    let many: u64 = std::env::var("WHARF_EXECUTOR_TASKS").map_or(Ok(2_000), |many| many.parse())?;
    wharf::run(async |event_loop| {
        let world = World::new(&event_loop, None).await?;
        for begin in (1..=many).step_by(1_000) {
            let specs = (begin..=many.min(begin + 999))
                .map(|number| spec(&format!("t{number}"), "index", &json!(number)));
            world.client.submit_all(specs.collect()).await?;
        }
        let mut page = Page::open(&event_loop, &browser, &world.url).await?;
        page.until(&format!("{} !== null", row(&format!("t{many}")))).await?;
        // To the end, page after page.
        page.until(&format!(
            "(document.getElementById('grid').scrollTop = 1e9, {} !== null)",
            row("t1")
        ))
        .await?;
        let rows = page.evaluate("document.querySelectorAll('.row').length").await?;
        assert!(rows.as_u64().is_some_and(|rows| rows < 100), "{rows}");
        // What is in sight is as it is.
        assert!(world.client.find(TaskId::new("t1")?).cancel().await?);
        page.until(&format!("{}.dataset.phase === 'cancelled'", row("t1"))).await?;
        page.evaluate("document.getElementById('grid').scrollTop = 0").await?;
        page.until(&format!("{} !== null", row(&format!("t{many}")))).await?;
        // New ones come on top.
        world.client.submit_spec(spec("new", "index", &json!(0))).await?;
        page.until(&format!("{}.style.transform === 'translateY(0px)'", row("new"))).await?;
        assert_eq!(page.complaints, Vec::<String>::new());
        Ok(())
    })
}

#[test]
fn people_sign_in_with_the_token() -> Result {
    let Some(browser) = Browser::start() else { return Ok(()) };
    wharf::run(async |event_loop| {
        let world = World::new(&event_loop, Some("correct horse+battery %staple")).await?;
        let mut page = Page::open(&event_loop, &browser, &world.url).await?;
        let types = |token: &str| {
            format!(
                "document.getElementById('token').value = {token:?};
                 setTimeout(() => document.querySelector('form').requestSubmit())"
            )
        };
        page.until("document.activeElement.id === 'token'").await?;
        page.evaluate(&types("guess")).await?;
        page.until("document.querySelector('[role=alert]') !== null").await?;
        page.evaluate(&types("correct horse+battery %staple")).await?;
        page.until("document.getElementById('health-text').textContent === 'Live'").await?;
        assert_eq!(page.evaluate("document.cookie").await?, "");
        Ok(())
    })
}

#[test]
fn the_page_fits_a_phone() -> Result {
    let Some(browser) = Browser::start() else { return Ok(()) };
    wharf::run(async |event_loop| {
        let world = World::new(&event_loop, None).await?;
        let _worker = world.worker(
            &event_loop,
            "a-worker-with-a-name-that-is-long-for-a-phone.example",
            3,
            None,
        )?;
        let long = "x".repeat(300);
        world
            .client
            .submit_spec(spec("long", "index", &json!(long)))
            .await?
            .result::<String>()
            .await?;
        let mut page = Page::open(&event_loop, &browser, &world.url).await?;
        page.size(360, 740).await?;
        page.until(&format!("{}.dataset.phase === 'succeeded'", row("long"))).await?;
        let fits = "document.documentElement.scrollWidth <= 360";
        assert_eq!(page.evaluate(fits).await?, true);
        page.evaluate(&format!("{}.click()", row("long"))).await?;
        page.until("!document.getElementById('detail').hidden").await?;
        assert_eq!(page.evaluate(fits).await?, true);
        let wide = page
            .evaluate("document.getElementById('detail').getBoundingClientRect().width")
            .await?;
        assert_eq!(wide, 360);
        Ok(())
    })
}
