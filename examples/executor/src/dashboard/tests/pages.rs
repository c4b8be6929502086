//! Pages, numbers, and health.

use std::time::Duration;

use serde_json::json;

use super::{answer, dashboard, overview, run, serve_dashboard, status};
use crate::coordinator::{KindView, PhaseCounts};
use crate::dashboard::{metrics, pages};
use crate::serve::tests::{Peer, serve_in};
use crate::store::DiskStore;
use crate::store::faults::FaultyDisk;
use crate::task::Kind;

const HOST: &str = "Host: 127.0.0.1:8080";

#[test]
fn every_answer_forbids_what_the_page_does_not_need_and_is_not_kept() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        for path in ["/", "/app.js", "/style.css", "/metrics", "/healthz", "/nothing"] {
            let told = answer(&event_loop, &format!("GET {path} HTTP/1.1\r\n{HOST}"), "").await?;
            let (head, _) = told.split_once("\r\n\r\n").ok_or("no end")?;
            let policy = "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; ";
            assert!(head.contains(policy), "{head}");
            assert!(!head.contains("unsafe"), "{head}");
            for field in
                ["X-Content-Type-Options: nosniff", "Cache-Control: no-store", "Content-Type: "]
            {
                assert!(head.contains(field), "{path}: {head}");
            }
        }
        for (method, expected) in [("HEAD", 200), ("POST", 405), ("DELETE", 405), ("OPTIONS", 405)]
        {
            let head = format!("{method} / HTTP/1.1\r\n{HOST}");
            assert_eq!(status(&event_loop, &head).await?, expected, "{method}");
        }
        Ok(())
    });
}

#[test]
fn all_that_the_page_names_is_there_and_nothing_in_it_is_inline() {
    let index = pages::page("/").unwrap().content;
    let mut names = Vec::new();
    for attribute in ["src=\"", "href=\"/"] {
        names.extend(index.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()));
    }
    let mut scripts = vec!["app.js"];
    while let Some(script) = scripts.pop() {
        let text =
            pages::page(&format!("/{script}")).unwrap_or_else(|| panic!("no {script}")).content;
        let imported = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
        scripts.extend(imported);
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "DOMParser",
            "Function(",
        ] {
            assert!(!text.contains(forbidden), "{script}: {forbidden}");
        }
    }
    for name in names {
        let path = format!("/{}", name.trim_start_matches('/'));
        assert!(pages::page(&path).is_some(), "{path}");
    }
    for page in [index, pages::SIGN_IN.content, pages::WRONG_TOKEN.content] {
        assert!(
            !page.contains("style=") && !page.contains("<style") && !page.contains(" on"),
            "inline"
        );
        assert!(!page.split("<script").skip(1).any(|script| !script.contains("src=")), "inline");
    }
}

#[test]
fn health_says_whether_it_drains() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        let head = format!("GET /healthz HTTP/1.1\r\n{HOST}");
        assert!(answer(&event_loop, &head, "").await?.ends_with("\r\n\r\nok\n"));
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"drain": true})).await?;
        let told = answer(&event_loop, &head, "").await?;
        assert!(
            told.starts_with("HTTP/1.1 200 ") && told.ends_with("\r\n\r\ndraining\n"),
            "{told}"
        );
        Ok(())
    });
}

#[test]
fn health_is_bad_while_the_store_cannot_be_written_and_good_again_after_that() {
    run(async |event_loop| {
        let disk = FaultyDisk::default();
        let coordinator = serve_in(&event_loop, DiskStore::open_in(disk.clone())?).await?;
        serve_dashboard(&event_loop, &coordinator, Some("secret")).await?;
        let head = format!("GET /healthz HTTP/1.1\r\n{HOST}");
        assert_eq!(status(&event_loop, &head).await?, 200);
        let mut client = Peer::client(&event_loop).await?;
        disk.leave(Some(0));
        let large = json!({"submit": [{"kind": "a", "args": "x".repeat(1_000_000)}]});
        assert!(client.ask(large).await?.get("failed").is_some());
        let told = answer(&event_loop, &head, "").await?;
        assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
        // It says no more than that: who asks needs no token.
        assert!(told.ends_with("\r\n\r\nthe store cannot be written\n"), "{told}");
        disk.leave(None);
        event_loop.sleep(Duration::from_secs(2)).await;
        assert!(answer(&event_loop, &head, "").await?.ends_with("\r\n\r\nok\n"));
        Ok(())
    });
}

#[test]
fn prometheus_gets_numbers() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, None).await?;
        let mut client = Peer::client(&event_loop).await?;
        client.ask(json!({"submit": [{"kind": "a"}, {"kind": "a"}]})).await?;
        let told = answer(&event_loop, &format!("GET /metrics HTTP/1.1\r\n{HOST}"), "").await?;
        for line in [
            "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
            "\n# TYPE wharf_executor_tasks gauge\n",
            "\nwharf_executor_tasks{state=\"queued\"} 2\n",
            "\nwharf_executor_kind_tasks{kind=\"a\",state=\"queued\"} 2\n",
            "\nwharf_executor_submitted_total 2\n",
            "\nwharf_executor_ended_total{outcome=\"failed\"} 0\n",
            "\nwharf_executor_draining 0\n",
        ] {
            assert!(told.contains(line), "{line}: {told}");
        }
        Ok(())
    });
}

#[test]
fn each_number_has_one_kind_and_says_what_it_is() {
    let mut overview = overview();
    let kind = Kind::new("a.b:c-d_e").unwrap();
    overview.kinds.push(KindView { kind, tasks: PhaseCounts::default() });
    overview.store_error = Some("full".into());
    let text = metrics::text(&overview);
    let mut known = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(!known.contains(&name), "{name} twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            known.push(name);
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let name = name.split('{').next().unwrap();
            assert_eq!(known.last(), Some(&name), "{line}");
            value.parse::<u64>().unwrap();
        }
    }
    assert!(text.contains("\nwharf_executor_store_failed 1\n"), "{text}");
}
