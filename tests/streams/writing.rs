//! What a writer sends, and how it ends.

use std::io::IoSlice;

use wharf::bytes::Bytes;
use wharf::{Error, WriteStatus};

use super::{joined, one_way, poll_once, settle};

#[test]
fn what_is_written_in_any_way_arrives_in_order() {
    one_way(async |_, writer, mut reader| {
        writer.write(b"one ");
        writer.write_bytes(Bytes::from_static(b"two "));
        writer.write_vectored(&[IoSlice::new(b"three "), IoSlice::new(b"four ")]);
        writer.write_all(b"five ").await?;
        writer.write(b"");
        writer.write_all(b"").await?;
        writer.write_all(b"six").await?;
        writer.write_eof();
        assert_eq!(writer.write(b"x"), WriteStatus::Closed);
        assert_eq!(reader.read_to_end(100).await?, b"one two three four five six");
        Ok(())
    });
}

// 315.
#[test]
fn a_close_sends_what_is_written_and_can_be_waited_for() {
    joined(async |event_loop, near, mut far| {
        let writer = near.writer();
        writer.write(&[5; 200_000]);
        assert!(!writer.is_closing());
        writer.close();
        assert!(writer.is_closing());
        writer.close();
        let closing = event_loop.create_task({
            let handle = writer.transport();
            async move { handle.wait_closed().await }
        });
        assert!(poll_once(writer.wait_closed()).await.is_none());
        assert_eq!(far.reader().read_to_end(200_000).await?.len(), 200_000);
        writer.wait_closed().await?;
        closing.await??;
        writer.wait_closed().await?;
        Ok(())
    });
}

// 315.
#[test]
fn waiting_for_the_end_gives_the_error_that_was_the_end() {
    joined(async |_, near, far| {
        far.writer().write(&[0; 100_000]);
        far.writer().abort();
        let handle = near.writer().transport();
        let reset = |outcome: Result<(), Error>| {
            outcome.is_err_and(|error| error.io_kind() == Some(std::io::ErrorKind::ConnectionReset))
        };
        assert!(reset(near.writer().wait_closed().await));
        assert!(reset(handle.wait_closed().await));
        Ok(())
    });
}

#[test]
fn a_writer_that_is_dropped_ends_its_side_and_both_halves_close() {
    joined(async |event_loop, near, mut far| {
        let before = event_loop.statistics().connections_open;
        let (mut reader, writer) = near.split();
        writer.write(b"last words");
        drop(writer);
        assert_eq!(far.reader().read_to_end(100).await?, b"last words");
        far.writer().write_all(b"answer").await?;
        assert_eq!(reader.read_chunk().await?, b"answer", "the reader goes on");
        drop(reader);
        settle(&event_loop).await;
        assert_eq!(event_loop.statistics().connections_open, before - 1);
        drop(far);
        settle(&event_loop).await;
        assert_eq!(event_loop.statistics().connections_open, before - 2);
        Ok(())
    });
}

#[test]
fn a_reader_that_is_dropped_stops_reading_and_the_writer_goes_on() {
    joined(async |event_loop, near, mut far| {
        let (reader, writer) = near.split();
        drop(reader);
        far.writer().write(&[0; 200_000]);
        settle(&event_loop).await;
        assert!(far.writer().write_buffer_size() > 0, "the peer is slowed down");
        writer.write_all(b"still here").await?;
        assert_eq!(far.reader().read_exactly(10).await?, b"still here");
        Ok(())
    });
}

#[test]
fn what_is_taken_by_write_all_is_sent_though_it_is_dropped_while_it_waits() {
    one_way(async |_, writer, mut reader| {
        assert!(poll_once(writer.write_all(&[1; 300_000])).await.is_none());
        drop(writer.write_all(b"never begun"));
        writer.write(b"end");
        let all = reader.read_exactly(300_003).await?;
        assert!(all.ends_with(b"end"));
        Ok(())
    });
}
