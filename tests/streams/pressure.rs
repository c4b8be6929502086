//! How much a stream holds.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;

use futures_lite::future::zip;
use wharf::{Error, Transport as _, WriteStatus};

use super::{Log, joined, one_way, poll_once, settle};

// 305.
#[test]
fn reading_pauses_above_the_limit_and_goes_on_when_it_is_consumed() {
    joined(async |event_loop, near, mut far| {
        let handle = far.writer().transport();
        far.reader().set_limit(100);
        near.writer().write(&[1; 100]);
        settle(&event_loop).await;
        assert!(handle.is_reading(), "not above the limit");
        near.writer().write(&[2; 50]);
        settle(&event_loop).await;
        assert_eq!(far.reader().buffered(), 150);
        assert!(!handle.is_reading());
        near.writer().write(&[3; 50]);
        settle(&event_loop).await;
        assert_eq!(far.reader().buffered(), 150, "the rest waits in the system");
        far.reader().consume(49);
        assert!(!handle.is_reading());
        far.reader().consume(1);
        assert!(handle.is_reading());
        settle(&event_loop).await;
        assert_eq!(far.reader().buffered(), 150);
        far.reader().set_limit(1000);
        assert!(handle.is_reading(), "a higher limit resumes, too");
        Ok(())
    });
}

// 305: always before waiting.
#[test]
fn a_reader_that_waits_for_more_than_the_limit_gets_it() {
    one_way(async |event_loop, writer, mut reader| {
        reader.set_limit(1);
        let writing = event_loop.create_task(async move { writer.write_all(&[9; 300_000]).await });
        assert_eq!(reader.peek(250_000).await?[0], 9);
        assert!(reader.buffered() >= 250_000);
        assert_eq!(reader.read_exactly(300_000).await?.len(), 300_000);
        writing.await??;
        Ok(())
    });
}

/// Of thousands that share a writer, all but a few would wait again and again.
#[test]
fn all_who_drain_go_on_at_the_low_mark_whatever_the_first_of_them_writes() {
    joined(async |event_loop, near, mut far| {
        let (_reader, writer) = near.split();
        let (writer, log) = (Rc::new(writer), Log::default());
        writer.write(&[0; 300_000]);
        for name in ["one", "two", "three"] {
            let (writer, log) = (Rc::clone(&writer), log.clone());
            let draining = async move {
                writer.drain().await.unwrap();
                log.add(name);
                writer.write(&[0; 300_000]);
            };
            event_loop.create_task(draining).detach();
        }
        settle(&event_loop).await;
        assert!(log.take().is_empty());
        far.reader().read_exactly(300_000).await?;
        settle(&event_loop).await;
        assert_eq!(log.take(), ["one", "two", "three"]);
        assert!(poll_once(writer.drain()).await.is_none(), "it is paused again");
        Ok(())
    });
}

// 314.
#[test]
fn a_drain_waits_above_the_high_mark_until_the_low_mark() {
    joined(async |event_loop, near, mut far| {
        let writer = near.writer();
        assert!(poll_once(writer.drain()).await.is_some(), "there is nothing to wait for");
        writer.write(&[0; 300_000]);
        assert!(poll_once(writer.drain()).await.is_none(), "noticed at once");
        settle(&event_loop).await;
        assert!(poll_once(writer.drain()).await.is_none());
        let drained = Cell::new(0);
        // Any number can wait.
        let waiting = || async {
            writer.drain().await?;
            assert!(writer.write_buffer_size() <= 16 * 1024, "the low-water mark");
            drained.set(drained.get() + 1);
            Ok::<_, Error>(())
        };
        let reading = async {
            let mut left = 300_000;
            while left > 0 {
                left -= far.reader().read_chunk().await?.len();
            }
            Ok::<_, Error>(())
        };
        try_zip(waiting(), try_zip(waiting(), reading)).await?;
        assert_eq!(drained.get(), 2);
        Ok(())
    });
}

// 314, W30: it asks the connection, and depends on no callback.
#[test]
fn a_drain_notices_at_once_that_the_connection_is_lost() {
    joined(async |event_loop, near, far| {
        let writer = near.writer();
        writer.write(&[0; 300_000]);
        far.writer().abort();
        let waited = writer.drain().await;
        assert!(waited.is_err_and(|error| error.is_closed()), "while it waited");
        let error = poll_once(writer.drain()).await.expect("it does not wait").unwrap_err();
        assert!(error.is_closed());
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionReset), "{error:#}");
        assert_eq!(writer.write(b"x"), WriteStatus::Closed);
        assert!(poll_once(writer.write_all(b"x")).await.expect("at once").is_err());
        assert!(writer.wait_closed().await.is_err());
        settle(&event_loop).await;
        Ok(())
    });
}

// 314.
#[test]
fn a_drain_after_a_close_waits_for_what_was_written() {
    joined(async |_, near, mut far| {
        let writer = near.writer();
        writer.write(&[0; 300_000]);
        writer.close();
        let reading = async {
            far.reader().read_exactly(300_000).await?;
            Ok::<_, Error>(())
        };
        try_zip(writer.drain(), reading).await?;
        writer.wait_closed().await?;
        assert!(writer.drain().await.is_err(), "now it is gone");
        Ok(())
    });
}

// W29.
#[test]
fn a_flush_waits_until_the_system_has_everything() {
    joined(async |event_loop, near, mut far| {
        let writer = near.writer();
        writer.write(b"small");
        writer.flush().await?;
        assert_eq!(writer.write_buffer_size(), 0);
        writer.write(&[0; 300_000]);
        assert!(poll_once(writer.flush()).await.is_none());
        settle(&event_loop).await;
        assert!(poll_once(writer.flush()).await.is_none());
        let reading = async {
            far.reader().read_exactly(300_005).await?;
            Ok::<_, Error>(())
        };
        try_zip(writer.flush(), reading).await?;
        assert_eq!(writer.write_buffer_size(), 0);
        // By the handle of the transport, too.
        writer.write(&[0; 300_000]);
        let handle = writer.transport();
        let flushing = handle.flush();
        let aborting = async {
            settle(&event_loop).await;
            writer.abort();
        };
        let (flushed, ()) = zip(flushing, aborting).await;
        assert!(flushed.is_err_and(|error| error.is_closed()), "it was dropped");
        assert!(handle.flush().await.is_err(), "it is gone");
        handle.wait_closed().await?;
        Ok(())
    });
}

async fn try_zip<E>(
    first: impl Future<Output = Result<(), E>>,
    second: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    let (first, second) = zip(first, second).await;
    first.and(second)
}

#[test]
fn a_writer_whose_peer_takes_everything_leaves_others_their_turn() {
    joined(async |event_loop, _, _| {
        let (near, _far) = wharf::testing::stream_pair(&event_loop, 64 << 20)?;
        let turns = std::rc::Rc::new(Cell::new(0));
        let counter = std::rc::Rc::clone(&turns);
        let counting = event_loop.create_task(async move {
            loop {
                wharf::yield_now().await;
                counter.set(counter.get() + 1);
            }
        });
        let writer = near.writer();
        for _ in 0..32 * 16 {
            writer.write_all(&[7; 64 * 1024]).await?;
        }
        assert_eq!(writer.write_buffer_size(), 0, "it never had to wait");
        assert!(turns.get() >= 20, "{} turns", turns.get());
        counting.cancel();
        Ok(())
    });
}

#[test]
fn much_and_little_in_any_order_arrives_whole() {
    joined(async |event_loop, near, mut far| {
        let sizes = [1, 100_000, 64, 20_000, 16_384, 16_383, 300_000, 5, 5, 70_000, 1];
        let data: Vec<u8> = (0..1_000_000_u32).map(|number| (number / 7) as u8).collect();
        for limit in [1, 1000, 64 * 1024, 1 << 20] {
            far.reader().set_limit(limit);
            for size in sizes {
                let (sent, reader) = (&data[..size], far.reader());
                let sending = async {
                    near.writer().write_all(sent).await?;
                    Ok::<_, Error>(())
                };
                let reading = async {
                    let mut received = Vec::new();
                    while received.len() < size {
                        received.extend_from_slice(reader.read_chunk().await?);
                    }
                    assert!(received == sent, "{size} bytes, limit {limit}");
                    Ok::<_, Error>(())
                };
                try_zip(sending, reading).await?;
            }
            // Behind each other, without anybody reading meanwhile.
            for size in sizes {
                near.writer().write(&data[..size]);
                settle(&event_loop).await;
            }
            for size in sizes {
                assert!(far.reader().read_exactly(size).await? == &data[..size]);
            }
            assert_eq!(far.reader().buffered(), 0);
        }
        Ok(())
    });
}
