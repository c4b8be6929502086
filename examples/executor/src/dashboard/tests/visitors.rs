//! What visitors may cost who guess, or are many.

use serde_json::json;
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::live::Page;
use super::{ADDRESS, dashboard, run, serve_dashboard, status};
use crate::access::WRONG_TOKEN;
use crate::dashboard::visitors::MOST_VISITORS;
use crate::serve::tests::serve;

const GET: &str = "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:8080";

#[test]
fn a_wrong_token_at_a_dashboard_is_answered_after_a_while() {
    run(async |event_loop| {
        let _coordinator = dashboard(&event_loop, Some("secret")).await?;
        let takes = async |head: &str, content: &str, expected: u16| {
            let began = event_loop.time();
            let told = super::answer(&event_loop, head, content).await?;
            assert!(told.starts_with(&format!("HTTP/1.1 {expected} ")), "{head}: {told}");
            Ok::<_, wharf::Failure>(event_loop.time() - began)
        };
        let sign_in = "POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:8080";
        let told = super::answer(&event_loop, sign_in, "token=secret").await?;
        let (_, cookie) = told.split_once("\r\nSet-Cookie: ").ok_or("no cookie")?;
        let (cookie, _) = cookie.split_once(';').ok_or("no attributes")?;
        let wrong = "wharf-executor-8080=00";
        for more in [
            "Authorization: Bearer guess".to_owned(),
            format!("Cookie: {wrong}"),
            // One guess at a time.
            format!("Cookie: {wrong}; {cookie}"),
        ] {
            let taken = takes(&format!("{GET}\r\n{more}"), "", 401).await?;
            assert!(taken >= WRONG_TOKEN, "{more}: {taken:?}");
        }
        assert!(takes(sign_in, "token=guess", 401).await? >= WRONG_TOKEN);
        // Nobody else waits.
        let style = GET.replace("/metrics", "/style.css");
        for (head, expected) in [
            (GET.to_owned(), 401),
            (format!("{GET}\r\nAuthorization: Bearer secret"), 200),
            (format!("{GET}\r\nCookie: other=1; {cookie}"), 200),
            (format!("{style}\r\nCookie: {wrong}"), 200),
        ] {
            let taken = takes(&head, "", expected).await?;
            assert!(taken < WRONG_TOKEN, "{head}: {taken:?}");
        }
        assert!(takes(sign_in, "token=secret", 303).await? < WRONG_TOKEN);
        Ok(())
    });
}

#[test]
fn one_connection_tries_one_token_at_a_time() {
    run(async |event_loop| {
        let coordinator = serve(&event_loop).await?;
        let dashboard = serve_dashboard(&event_loop, &coordinator, Some("secret")).await?;
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        let began = event_loop.time();
        let guess = format!("{GET}\r\nAuthorization: Bearer guess\r\n\r\n");
        writer.write_all(guess.repeat(20).as_bytes()).await?;
        for _ in 0..20 {
            reader.read_until(b"sign in\n").await?;
        }
        assert!(event_loop.time() - began >= 20 * WRONG_TOKEN);
        // Who goes before it is told leaves nothing behind.
        writer.write_all(guess.as_bytes()).await?;
        event_loop.sleep(WRONG_TOKEN / 2).await;
        assert_eq!(dashboard.visitors(), 1);
        drop((reader, writer));
        event_loop.sleep(WRONG_TOKEN).await;
        assert_eq!(dashboard.visitors(), 0);
        Ok(())
    });
}

async fn ask(reader: &mut StreamReader, writer: &StreamWriter) -> Result {
    writer.write_all(format!("{GET}\r\n\r\n").as_bytes()).await?;
    reader.read_until(b"wharf_executor_draining 0\n").await?;
    Ok(())
}

/// Whether it was sent away.
async fn is_gone((reader, _): &mut (StreamReader, StreamWriter)) -> bool {
    let end = async { while reader.read_chunk().await.is_ok_and(|read| !read.is_empty()) {} };
    wharf::timeout(WRONG_TOKEN, end).await.is_ok()
}

async fn strangers(event_loop: &EventLoop) -> Result<Vec<(StreamReader, StreamWriter)>> {
    let mut strangers = Vec::new();
    for _ in 0..2 * MOST_VISITORS {
        strangers.push(event_loop.open_connection(ADDRESS).await?);
    }
    Ok(strangers)
}

#[test]
fn a_dashboard_has_so_many_connections_and_of_more_those_go_that_show_nothing() {
    run(async |event_loop| {
        let coordinator = serve(&event_loop).await?;
        let dashboard = serve_dashboard(&event_loop, &coordinator, None).await?;
        let mut page = Page::open(&event_loop).await?;
        let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
        ask(&mut reader, &writer).await?;
        let mut many = strangers(&event_loop).await?;
        event_loop.sleep(WRONG_TOKEN).await;
        assert_eq!(dashboard.visitors(), MOST_VISITORS);
        // The first of them is gone, and the last is not.
        assert!(is_gone(&mut many[0]).await);
        let (last, to_last) = many.last_mut().ok_or("nobody")?;
        ask(last, to_last).await?;
        // Who asks, or has a page open, is not sent away for those who do nothing.
        ask(&mut reader, &writer).await?;
        assert!(page.ask(json!({"task": "x"})).await?.get("task").is_some());
        assert_eq!(status(&event_loop, GET).await?, 200);
        drop((page, reader, writer, many));
        event_loop.sleep(WRONG_TOKEN).await;
        assert_eq!(dashboard.visitors(), 0);
        // Of those who ask, the one goes that has not for the longest.
        let mut known = Vec::new();
        for _ in 0..=MOST_VISITORS {
            let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
            ask(&mut reader, &writer).await?;
            if let Some((reader, writer)) = known.first_mut() {
                ask(reader, writer).await?;
            }
            known.push((reader, writer));
        }
        assert!(is_gone(&mut known[1]).await);
        assert!(!is_gone(&mut known[0]).await && !is_gone(&mut known[2]).await);
        Ok(())
    });
}
