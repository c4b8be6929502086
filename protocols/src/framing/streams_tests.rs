use std::time::Duration;

use wharf::testing::{MemoryNetwork, stream_pair};
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::*;
use crate::line::{LineDecoder, LineEncoder};
use crate::testing::check_splits;

/// Runs `body` with the two ends of a connection.
fn with_pair(
    body: impl AsyncFnOnce(EventLoop, (StreamReader, StreamWriter), StreamWriter) -> Result,
) -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let (near, far) = stream_pair(&event_loop, 64 * 1024)?;
        let (_reader, writer) = far.split();
        body(event_loop, near.split(), writer).await
    })
}

#[test]
fn frames_are_the_same_however_they_come() {
    check_splits(b"3:one,0:,5:three,2:no", |parts| {
        with_pair(async |event_loop, (reader, _writer), peer| {
            let mut frames = FramedReader::new(reader, NetstringDecoder::new());
            let mut taken = Vec::new();
            for part in parts {
                peer.write_all(part).await?;
                // Futures that are dropped lose nothing.
                let waits = Duration::from_millis(1);
                while let Ok(frame) = event_loop.timeout(waits, frames.next()).await {
                    taken.push(frame?.expect("the stream goes on").to_vec());
                }
            }
            assert_eq!(taken, [&b"one"[..], b"", b"three"]);
            peer.write_eof();
            let error = frames.next().await.unwrap_err();
            assert!(error.is_protocol_violation(), "{error}");
            let text = "byte 21: the stream ends within the frame that begins at byte 17";
            assert!(format!("{error:#}").contains(text), "{error:#}");
            assert!(frames.next().await.is_err());
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn the_end_comes_after_the_last_frame() -> Result {
    with_pair(async |_, (reader, _writer), peer| {
        peer.write_all(b"3:one,3:two,").await?;
        peer.write_eof();
        let mut frames = FramedReader::new(reader, NetstringDecoder::new());
        assert_eq!(frames.next().await?, Some(&b"one"[..]));
        assert_eq!(frames.next_with(|frame| frame.to_vec()).await?, Some(b"two".to_vec()));
        assert_eq!(frames.next().await?, None);
        assert_eq!(frames.next().await?, None);
        Ok(())
    })
}

#[test]
fn what_is_refused_is_refused_again_without_more_input() -> Result {
    with_pair(async |_, (reader, _writer), peer| {
        peer.write_all(b"1").await?;
        let mut frames = FramedReader::new(reader, NetstringDecoder::new());
        peer.write_all(b"x").await?;
        for _ in 0..3 {
            assert!(frames.next().await.is_err_and(|error| error.is_protocol_violation()));
            let again = frames.next_with(<[u8]>::to_vec).await;
            assert!(again.is_err_and(|error| error.is_protocol_violation()));
        }
        Ok(())
    })
}

#[test]
fn a_shutdown_waits_for_the_rest_of_a_frame() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let handler = async |reader: StreamReader, writer: StreamWriter| {
            let mut frames = FramedReader::new(reader, NetstringDecoder::new());
            let mut writer = FramedWriter::new(writer, NetstringEncoder::new());
            while let Some(frame) = frames.next().await? {
                writer.send(frame).await?;
            }
            Result::<()>::Ok(())
        };
        let server = event_loop.start_server(handler, "10.0.0.1:7").await?;
        let (mut reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
        writer.write_all(b"5:hel").await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        let shutdown =
            event_loop.create_task(async move { server.shutdown(Duration::from_secs(60)).await });
        event_loop.sleep(Duration::from_secs(1)).await;
        writer.write_all(b"lo,").await?;
        assert_eq!(reader.read_exactly(8).await?, b"5:hello,");
        assert_eq!(reader.read_chunk().await?, b"");
        shutdown.await??;
        Ok(())
    })
}

#[test]
fn lines_can_be_read_too() -> Result {
    with_pair(async |_, (reader, _writer), peer| {
        let mut peer = FramedWriter::new(peer, LineEncoder::new());
        peer.send(&b"one"[..]).await?;
        assert!(peer.send(&b"two\nlines"[..]).await.is_err());
        peer.writer().write(b"last");
        peer.writer().write_eof();
        let mut lines = FramedReader::new(reader, LineDecoder::new());
        assert_eq!(lines.next().await?, Some(&b"one"[..]));
        assert_eq!(lines.next().await?, Some(&b"last"[..]));
        assert_eq!(lines.next().await?, None);
        Ok(())
    })
}

#[test]
fn the_parts_hold_what_follows_the_frames() -> Result {
    with_pair(async |_, (reader, _writer), peer| {
        peer.write_all(b"2:ok,RAW").await?;
        let mut frames = FramedReader::new(reader, NetstringDecoder::new());
        assert_eq!(frames.next().await?, Some(&b"ok"[..]));
        let (mut reader, remainder) = frames.into_parts();
        assert_eq!(remainder, b"");
        assert_eq!(reader.read_exactly(3).await?, b"RAW");
        Ok(())
    })
}

#[test]
fn a_writer_says_what_it_did_not_send() -> Result {
    with_pair(async |_, (mut reader, _writer), peer| {
        let mut frames = FramedWriter::new(peer, NetstringEncoder::new().max_length(3));
        frames.write(&b"one"[..])?;
        let error = frames.send(&b"four"[..]).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&PayloadError::TooLong { length: 4, max_length: 3 }));
        frames.send(&b"two"[..]).await?;
        assert_eq!(reader.read_exactly(12).await?, b"3:one,3:two,");
        frames.writer().close();
        assert!(frames.send(&b"end"[..]).await.unwrap_err().is_closed());
        Ok(())
    })
}

/// What is kept and what is lent of frames that are cut: each byte comes once.
#[test]
fn frames_larger_than_the_readers_limit() -> Result {
    with_pair(async |event_loop, (mut reader, _writer), peer| {
        reader.set_limit(1000);
        let payload: Vec<u8> = (0..60_000_u32).map(|number| number as u8).collect();
        let sent = payload.clone();
        let sender = event_loop.create_task(async move {
            let mut frames = FramedWriter::new(peer, LengthPrefixEncoder::new(LengthPrefix::U32));
            for length in [60_000, 0, 1, 30_000, 999, 1000, 1001] {
                frames.send(&sent[..length]).await?;
            }
            Result::<()>::Ok(())
        });
        let mut frames = FramedReader::new(reader, LengthPrefixDecoder::new(LengthPrefix::U32));
        for length in [60_000, 0, 1, 30_000, 999, 1000, 1001] {
            assert!(frames.next().await? == Some(&payload[..length]), "{length}");
        }
        assert_eq!(frames.next().await?, None);
        sender.await??;
        Ok(())
    })
}
