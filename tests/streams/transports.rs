//! The same conversation over every transport.

use std::os::unix::net::UnixStream;

use futures_lite::future::zip;
use wharf::{ByteStream, Error, EventLoop, Result};
#[cfg(feature = "tls")]
use wharf_test_support::encryption::Tls;

/// Runs `test` with two ends that are joined by `join`, on the operating system's loop.
fn over(join: impl AsyncFnOnce(&EventLoop) -> Result<(ByteStream, ByteStream)>) {
    let outcome = EventLoop::new().unwrap().run(async |event_loop| {
        let (near, far) = join(&event_loop).await?;
        converse(near, far).await
    });
    outcome.unwrap();
}

/// Lines, so many bytes, much both ways at once, the end of one side, an answer, and the other end.
async fn converse(mut near: ByteStream, mut far: ByteStream) -> Result {
    near.writer().write(b"hello\n");
    assert_eq!(far.reader().read_line().await?, Some("hello"));
    far.writer().write_all(b"0123456789").await?;
    assert_eq!(near.reader().read_exactly(4).await?, b"0123");
    assert_eq!(near.reader().read_until("7").await?, b"4567");
    assert_eq!(near.reader().peek(2).await?, b"89");
    near.reader().consume(2);
    zip(exchange(&mut near), exchange(&mut far)).await.0?;
    let half_close = near.writer().can_write_eof();
    if half_close {
        near.writer().write(b"last words");
        near.writer().write_eof();
        assert_eq!(far.reader().read_to_end(100).await?, b"last words");
        far.writer().write_all(b"an answer all the same").await?;
    } else {
        far.writer().write_all(b"an answer all the same").await?;
    }
    far.writer().flush().await?;
    far.writer().close();
    assert_eq!(near.reader().read_to_end(100).await?, b"an answer all the same");
    near.writer().close();
    near.writer().wait_closed().await?;
    far.writer().wait_closed().await?;
    assert!(near.writer().drain().await.is_err_and(|error| error.is_closed()));
    Ok(())
}

/// Writes and reads much at once.
async fn exchange(stream: &mut ByteStream) -> Result<(), Error> {
    const SIZE: usize = 1_000_000;
    let (reader, writer) = stream.halves();
    let writing = async {
        let mut sent = 0_usize;
        while sent < SIZE {
            let size = (sent % 70_000 + 1).min(SIZE - sent);
            let part: Vec<u8> = (sent..sent + size).map(|number| number as u8).collect();
            writer.write_all(&part).await?;
            sent += size;
        }
        Ok::<_, Error>(())
    };
    let reading = async {
        let mut received = 0_usize;
        while received < SIZE {
            let data = reader.read_chunk().await?;
            assert!(!data.is_empty());
            for byte in data {
                assert_eq!(*byte, received as u8);
                received += 1;
            }
        }
        Ok::<_, Error>(())
    };
    let (written, read) = zip(writing, reading).await;
    written.and(read)
}

#[test]
fn streams_converse_in_memory() {
    super::joined(async |_, near, far| converse(near, far).await);
}

#[test]
fn streams_converse_over_tcp() {
    over(async |event_loop| {
        let listener = event_loop.listen("127.0.0.1:0").await?;
        let near = event_loop.open_connection(listener.local_address()?).await?;
        Ok((near.into(), listener.accept().await?.into()))
    });
}

#[test]
fn streams_converse_over_unix_sockets() {
    over(async |event_loop| {
        let path = std::env::temp_dir().join(format!("wharf-streams-{}", std::process::id()));
        let listener = event_loop.listen_unix(path.clone()).await?;
        let near = event_loop.open_unix_connection(path).await?;
        Ok((near.into(), listener.accept().await?.into()))
    });
    over(async |event_loop| {
        let (near, far) = UnixStream::pair()?;
        let near = event_loop.open_connection_on(near).await?;
        Ok((near.into(), event_loop.open_connection_on(far).await?.into()))
    });
}

#[test]
fn streams_converse_over_pipes() {
    over(async |event_loop| {
        let (near_reader, far_writer) = std::io::pipe()?;
        let (far_reader, near_writer) = std::io::pipe()?;
        let near = event_loop.open_pipes(near_reader, near_writer).await?;
        let reader = event_loop.open_read_pipe(far_reader).await?;
        let writer = event_loop.open_write_pipe(far_writer).await?;
        Ok((near, ByteStream::join(reader, writer)))
    });
}

#[cfg(feature = "tls")]
#[test]
fn streams_converse_under_tls() {
    for version in [wharf::TlsVersion::Tls12, wharf::TlsVersion::Tls13] {
        over(async |event_loop| {
            let tls = Tls::new(version);
            let listener = event_loop.listen("127.0.0.1:0").tls(&tls.server).await?;
            let near = event_loop.open_connection(listener.local_address()?);
            let near = near.tls(tls.client.server_name("localhost")).await?;
            assert!(near.1.info().tls().is_some());
            Ok((near.into(), listener.accept().await?.into()))
        });
    }
}

#[cfg(feature = "tls")]
#[test]
fn streams_converse_under_tls_that_was_started_in_the_middle() {
    for version in [wharf::TlsVersion::Tls12, wharf::TlsVersion::Tls13] {
        over(async |event_loop| {
            let tls = Tls::new(version);
            let (near, far) = UnixStream::pair()?;
            let mut near = ByteStream::from(event_loop.open_connection_on(near).await?);
            let mut far = ByteStream::from(event_loop.open_connection_on(far).await?);
            near.writer().write(b"STARTTLS\n");
            assert_eq!(far.reader().read_line().await?, Some("STARTTLS"));
            far.writer().write(b"go ahead\n");
            assert_eq!(near.reader().read_line().await?, Some("go ahead"));
            let client = near.start_tls(tls.client.server_name("localhost"));
            let (client, server) = zip(client, far.start_tls(&tls.server)).await;
            client?;
            server?;
            Ok((near, far))
        });
    }
}

#[cfg(feature = "tls")]
#[test]
fn what_came_before_an_upgrade_is_refused_or_fed_to_tls() {
    let run = |feed: bool| {
        let outcome = wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
            let tls = Tls::new(wharf::TlsVersion::Tls13);
            let (mut near, mut far) = wharf::testing::stream_pair(&event_loop, 64 * 1024)?;
            far.writer().write(b"line\n");
            assert_eq!(near.reader().read_line().await?, Some("line"));
            // The client says hello before the server begins.
            let client = async { far.start_tls(tls.client.server_name("localhost")).await };
            let server = async {
                near.reader().peek(100).await?;
                let upgrade = wharf::TlsUpgrade::from(&tls.server);
                let upgrade = if feed { upgrade.feed_leftover() } else { upgrade };
                near.start_tls(upgrade).await
            };
            let (client, server) = zip(client, server).await;
            Ok((client, server))
        });
        outcome.unwrap()
    };
    let (client, server) = run(false);
    assert!(server.is_err_and(|error| error.is_tls()));
    assert!(client.is_err());
    let (client, server) = run(true);
    client.unwrap();
    server.unwrap();
}

#[cfg(feature = "tls")]
#[test]
fn an_upgrade_goes_on_though_its_future_is_dropped() {
    super::joined(async |_, mut near, mut far| {
        let tls = Tls::new(wharf::TlsVersion::Tls13);
        let client = near.start_tls(tls.client.server_name("localhost"));
        assert!(super::poll_once(client).await.is_none());
        near.writer().write(b"under TLS");
        far.start_tls(&tls.server).await?;
        assert_eq!(far.reader().read_exactly(9).await?, b"under TLS");
        far.writer().write_all(b"answer").await?;
        assert_eq!(near.reader().read_exactly(6).await?, b"answer");
        assert!(near.writer().info().tls().is_some());
        Ok(())
    });
}
