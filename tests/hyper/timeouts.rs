//! hyper's own timeouts, by the loop's time.

use std::time::Duration;

use wharf::ByteStream;

use super::{ADDRESS, Http, Stage, run, text};

#[test]
fn headers_that_do_not_come_end_the_connection_in_time() {
    run(async |event_loop| {
        let server = Stage::plain(Http::One).serve(&event_loop).await?;
        for begun in [&b""[..], b"GET / HTTP/1.1\r\n"] {
            let mut stream: ByteStream = event_loop.open_connection(ADDRESS).await?.into();
            let began = event_loop.time();
            stream.writer().write_all(begun).await?;
            let answer = stream.reader().read_to_end(10_000).await?;
            assert_eq!((event_loop.time() - began).as_secs(), 30);
            assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
        }
        event_loop.sleep(Duration::from_secs(10)).await;
        assert_eq!(server.connections(), 0);
        server.close();
        Ok(())
    });
}

#[test]
fn a_connection_that_is_kept_alive_ends_when_no_request_follows() {
    run(async |event_loop| {
        let stage = Stage::plain(Http::One);
        let server = stage.serve(&event_loop).await?;
        let (mut client, running) = stage.connect(&event_loop).await?;
        for _ in 0..3 {
            assert_eq!(text(client.get("/").await?).await?, "hello /");
            event_loop.sleep(Duration::from_secs(25)).await;
        }
        assert_eq!(server.connections(), 1);
        event_loop.sleep(Duration::from_secs(6)).await;
        assert_eq!(server.connections(), 0);
        let _ = running.await?;
        server.close();
        Ok(())
    });
}

/// It does not answer the ping of HTTP/2.
#[test]
fn a_peer_that_is_silent_is_noticed() {
    run(async |event_loop| {
        let stage = Stage::plain(Http::Two);
        let server = stage.serve(&event_loop).await?;
        let mut silent: ByteStream = event_loop.open_connection(ADDRESS).await?.into();
        // The preface, and empty settings.
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        silent.writer().write_all(preface).await?;
        let (client, running) = stage.connect(&event_loop).await?;
        event_loop.sleep(Duration::from_secs(120)).await;
        assert_eq!(server.connections(), 1, "the one that answers");
        drop(silent.reader().read_to_end(10_000).await);
        drop(client);
        running.await??;
        server.close();
        Ok(())
    });
}
