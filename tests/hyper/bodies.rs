//! Large bodies, and peers that are slow to take them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Bytes;

use super::{Http, PIECE, Stage, TestBody, run, run_each, settle, text};

const LARGE: usize = 5_000_000;

#[test]
fn large_bodies_go_both_ways() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        let response = client.get(&format!("/made/{LARGE}")).await?;
        assert_eq!(response.into_body().collect().await?.to_bytes().len(), LARGE);
        let response = client.send("/count", TestBody::made(LARGE)).await?;
        assert_eq!(text(response).await?, LARGE.to_string());
        let response = client.send("/echo", TestBody::made(LARGE)).await?;
        assert_eq!(response.into_body().collect().await?.to_bytes().len(), LARGE);
        drop(client);
        running.await??;
        server.close();
        Ok(())
    });
}

/// One piece that is larger than all buffers.
#[test]
fn a_body_of_one_piece_arrives_whole() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        let body: Vec<u8> = (0..3_000_000_u32).map(|number| (number / 7) as u8).collect();
        let response = client.send("/echo", Bytes::from(body.clone()).into()).await?;
        assert!(response.into_body().collect().await?.to_bytes() == body);
        drop(client);
        running.await??;
        server.close();
        Ok(())
    });
}

/// Of a body that nobody takes only so much is made: the buffers of both ends, and what is on its way.
#[test]
fn who_sends_waits_for_who_does_not_read() {
    const HELD: usize = 2 << 20;
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        let made = Rc::new(Cell::new(0));
        let body = TestBody::Made { left: LARGE, made: Rc::clone(&made) };
        let asking = wharf::spawn(async move {
            // The service does not read for five seconds.
            let said = text(client.send("/late", body).await?).await?;
            Ok::<_, wharf::Failure>((client, said))
        });
        event_loop.sleep(Duration::from_secs(3)).await;
        let held = made.get();
        assert!((PIECE.len()..HELD).contains(&held), "{:?}: {held}", stage.http);
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(made.get(), held, "it waits");
        let (client, said) = asking.await??;
        assert_eq!(said, "late");
        drop(client);
        // HTTP/1 gives up on a body that was not read.
        let _ = running.await?;
        server.close();
        Ok(())
    });
}

#[test]
fn a_slow_reader_gets_everything() {
    run_each(async |event_loop, stage| {
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        let mut body = client.get("/made/2000000").await?.into_body();
        let mut count = 0;
        while let Some(frame) = body.frame().await {
            count += frame?.data_ref().map_or(0, Bytes::len);
            event_loop.sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(count, 2_000_000);
        drop(client);
        running.await??;
        server.close();
        Ok(())
    });
}

/// The streams of a connection do not wait for one that nobody reads.
#[test]
fn a_stream_that_is_not_read_holds_up_no_other() {
    run(async |event_loop| {
        let stage = Stage::plain(Http::Two);
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        let unread = client.get("/made/10000000").await?;
        settle().await;
        assert_eq!(text(client.get("/other").await?).await?, "hello /other");
        drop((unread, client));
        running.await??;
        server.close();
        Ok(())
    });
}
