//! The pictures of the README: made anew where `WHARF_PICTURES` names a directory.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use wharf::{EventLoop, Result};
use wharf_executor::task::{Spec, Timestamp};

use crate::browser::{Browser, Page};
use crate::{World, spec};

/// How long tasks run before the pictures are taken.
const SHOWN: Duration = Duration::from_secs(62);

#[test]
fn pictures_in_light_and_dark() -> Result {
    let Some(directory) = std::env::var_os("WHARF_PICTURES").map(PathBuf::from) else {
        return Ok(());
    };
    let Some(browser) = Browser::start() else { return Ok(()) };
    wharf::run(async |event_loop| {
        let world = World::new(&event_loop, None).await?;
        let mut workers = Vec::new();
        let render = ["render.tile", "transcode"];
        for (name, slots, kinds) in [
            ("render-1", 4, &render[..]),
            ("render-2", 4, &render),
            ("mail-1", 2, &["index", "mail.send"]),
        ] {
            workers.push(world.worker(&event_loop, name, slots, Some(kinds))?);
        }
        let mut page = Page::open(&event_loop, &browser, &world.url).await?;
        busy(&event_loop, &world).await?;
        for scheme in ["light", "dark"] {
            for number in 0..40 {
                let id = format!("{scheme}-{number:02}");
                let millis = json!([900 + 70 * number]);
                world.client.submit_spec(spec(&id, "render.tile", &millis)).await?;
            }
            page.scheme(scheme).await?;
            page.size(1280, 1000).await?;
            save(&event_loop, &mut page, &directory.join(format!("dashboard-{scheme}.png")))
                .await?;
            let tile = "document.querySelector('.tile[data-phase=failed]').click()";
            page.evaluate(tile).await?;
            page.until("document.querySelector('.row').dataset.phase === 'failed'").await?;
            page.evaluate("document.querySelector('.row').click()").await?;
            page.until("!document.getElementById('detail').hidden").await?;
            save(&event_loop, &mut page, &directory.join(format!("task-{scheme}.png"))).await?;
            page.evaluate("document.getElementById('detail-close').click()").await?;
            page.evaluate(tile).await?;
            page.size(390, 844).await?;
            page.evaluate("document.activeElement.blur(); scrollTo(0, 0)").await?;
            save(&event_loop, &mut page, &directory.join(format!("phone-{scheme}.png"))).await?;
        }
        Ok(())
    })
}

/// Tasks of several kinds, some of which fail, run for a minute; others wait.
async fn busy(event_loop: &EventLoop, world: &World) -> Result {
    let client = &world.client;
    let mut random = fastrand::Rng::with_seed(7);
    let begin = event_loop.time();
    for number in 0.. {
        let passed = event_loop.time() - begin;
        if passed > SHOWN {
            break;
        }
        let id = |kind: &str| format!("{kind}-{number:04}");
        // More than workers can do, for some of the time.
        let burst = u64::from(passed.as_secs() % 30 > 14);
        for tile in 0..random.u64(1..4 + 2 * burst) {
            let millis = json!([random.u64(120..1_400)]);
            client
                .submit_spec(spec(&format!("tile-{number:04}-{tile}"), "render.tile", &millis))
                .await?;
        }
        if number % 4 == 0 {
            let millis = json!([random.u64(2_000..6_000)]);
            client.submit_spec(spec(&id("video"), "transcode", &millis)).await?;
        }
        let page = json!(format!("https://docs.example/page/{number}"));
        client.submit_spec(spec(&id("doc"), "index", &page)).await?;
        let to = if number % 7 == 4 { json!("ada.lovelace") } else { json!("ada@mail.example") };
        client.submit_spec(spec(&id("mail"), "mail.send", &to)).await?;
        if number % 30 == 10 {
            let at = Some(Timestamp(u64::MAX / 4));
            let report = spec(&id("report"), "report.monthly", &json!({"month": number % 12 + 1}));
            client.submit_spec(Spec { at, ..report }).await?;
        }
        event_loop.sleep(Duration::from_millis(random.u64(250..450))).await;
    }
    Ok(())
}

async fn save(event_loop: &EventLoop, page: &mut Page, path: &std::path::Path) -> Result {
    // What has just changed is drawn.
    event_loop.sleep(Duration::from_millis(1_200)).await;
    std::fs::write(path, page.picture().await?)?;
    Ok(())
}
