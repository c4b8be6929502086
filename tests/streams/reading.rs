//! What a reader gives, and what it keeps.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use wharf::Error;

use super::{one_way, poll_once, reports, settle};

// 307.
#[test]
fn a_read_gives_what_is_there_and_0_bytes_at_the_end() {
    one_way(async |event_loop, writer, mut reader| {
        writer.write(b"hello world");
        settle(&event_loop).await;
        let mut buffer = [0; 5];
        assert_eq!(reader.read(&mut []).await?, 0, "nothing is asked for");
        assert_eq!(reader.read(&mut buffer).await?, 5);
        assert_eq!(&buffer, b"hello");
        assert_eq!(reader.buffered(), 6);
        assert_eq!(reader.read_chunk().await?, b" world");
        assert_eq!(reader.buffered(), 0, "it counts as consumed");
        writer.write(b"more");
        assert_eq!(reader.read_chunk().await?, b"more", "what was lent was consumed");
        assert!(!reader.at_eof());
        writer.write_eof();
        assert_eq!(reader.read(&mut buffer).await?, 0);
        assert!(reader.at_eof());
        assert_eq!(reader.read(&mut buffer).await?, 0, "and again");
        Ok(())
    });
}

// 307: not bounded by the limit.
#[test]
fn all_of_the_input_is_read_to_its_end_or_to_a_bound() {
    one_way(async |event_loop, writer, mut reader| {
        reader.set_limit(10);
        let data: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let sent = data.clone();
        let sending = event_loop.create_task(async move {
            writer.write_all(&sent).await?;
            Ok::<_, Error>(())
        });
        let failed = reader.read_to_end(100_000).await;
        assert!(failed.is_err_and(|error| error.is_limit_overrun()));
        assert!(reader.buffered() > 100_000, "what was received stays");
        assert_eq!(reader.read_to_end(200_000).await?, data);
        assert!(reader.at_eof());
        sending.await??;
        Ok(())
    });
}

#[test]
fn what_is_lent_without_being_consumed_stays() {
    one_way(async |_, writer, mut reader| {
        writer.write(b"abcdef");
        assert_eq!(reader.fill_buf().await?, b"abcdef");
        reader.consume(2);
        assert_eq!(reader.fill_buf().await?, b"cdef");
        assert_eq!(reader.peek(3).await?, b"cdef", "at least so many");
        reader.consume(100);
        assert_eq!(reader.buffered(), 0);
        writer.write(b"xy");
        writer.write_eof();
        assert_eq!(reader.peek(3).await?, b"xy", "what is left at the end");
        assert_eq!(reader.peek(3).await?, b"xy");
        Ok(())
    });
}

// 308.
#[test]
fn so_many_bytes_are_read_whatever_the_limit_or_none() {
    one_way(async |event_loop, writer, mut reader| {
        reader.set_limit(4);
        let data = vec![7; 100_000];
        let sent = data.clone();
        let writing = event_loop.create_task(async move {
            writer.write_all(&sent).await?;
            writer.write_all(b"rest").await
        });
        assert_eq!(reader.read_exactly(0).await?, b"");
        assert_eq!(reader.read_exactly(100_000).await?, data);
        let error = reader.read_exactly(10).await.unwrap_err();
        assert!(error.is_incomplete_read(), "{error}");
        assert_eq!(error.to_string(), "the input ended after 4 of 10 bytes");
        assert_eq!(reader.read_exactly(4).await?, b"rest", "it stays");
        writing.await??;
        Ok(())
    });
}

#[test]
fn a_buffer_is_filled_without_holding_more_than_the_limit() {
    one_way(async |event_loop, writer, mut reader| {
        reader.set_limit(1000);
        let writing = event_loop.create_task(async move { writer.write_all(&[3; 500_000]).await });
        let mut buffer = vec![0; 400_000];
        reader.read_exactly_into(&mut buffer).await?;
        assert!(buffer.iter().all(|byte| *byte == 3));
        let mut rest = vec![0; 100_001];
        let error = reader.read_exactly_into(&mut rest).await.unwrap_err();
        assert!(error.is_incomplete_read());
        writing.await??;
        Ok(())
    });
}

// 309.
#[test]
fn reading_until_a_separator_gives_it_too() {
    one_way(async |event_loop, writer, mut reader| {
        writer.write(b"one--two-");
        assert_eq!(reader.read_until("--").await?, b"one--");
        assert!(poll_once(reader.read_until("--")).await.is_none(), "half of a separator");
        writer.write(b"-three");
        assert_eq!(reader.read_until(b"--").await?, b"two--");
        assert!(reader.read_until("").await.is_err_and(|error| error.is_invalid()));
        assert!(reader.read_until_any(&[]).await.is_err_and(|error| error.is_invalid()));
        writer.write_eof();
        settle(&event_loop).await;
        let error = reader.read_until("--").await.unwrap_err();
        assert!(error.is_incomplete_read());
        assert_eq!(reader.read_chunk().await?, b"three", "what was received stays");
        Ok(())
    });
}

// 309: the limit does not count the separator.
#[test]
fn no_separator_within_the_limit_is_an_error_that_loses_nothing() {
    one_way(async |event_loop, writer, mut reader| {
        reader.set_limit(4);
        writer.write(b"four\r\n");
        assert_eq!(reader.read_until("\r\n").await?, b"four\r\n");
        writer.write(b"fives\r\nrest");
        settle(&event_loop).await;
        let error = reader.read_until("\r\n").await.unwrap_err();
        assert!(error.is_limit_overrun(), "found behind the limit: {error}");
        assert_eq!(reader.read_exactly(7).await?, b"fives\r\n");
        writer.write(b"more");
        let error = reader.read_until("\r\n").await.unwrap_err();
        assert!(error.is_limit_overrun(), "not found: {error}");
        assert_eq!(reader.read_exactly(8).await?, b"restmore");
        Ok(())
    });
}

// 310.
#[test]
fn of_several_separators_the_one_that_ends_first_counts() {
    one_way(async |_, writer, mut reader| {
        writer.write(b"a\r\nb\nc");
        let ends: &[&[u8]] = &[b"\r\n", b"\n", b"c"];
        for expected in [&b"a\r\n"[..], b"b\n", b"c"] {
            assert_eq!(reader.read_until_any(ends).await?, expected);
        }
        Ok(())
    });
}

// 311.
#[test]
fn lines_are_given_without_their_ends_and_the_last_one_needs_none() {
    one_way(async |_, writer, mut reader| {
        writer.write("one\ntwo\r\n\nlast é".as_bytes());
        writer.write_eof();
        for expected in [Some("one"), Some("two"), Some(""), Some("last é"), None, None] {
            assert_eq!(reader.read_line().await?, expected);
        }
        Ok(())
    });
}

// 311.
#[test]
fn a_line_too_long_is_dropped_and_the_next_one_is_read() {
    one_way(async |event_loop, writer, mut reader| {
        reader.set_limit(5);
        writer.write(b"too long\nshort\n");
        settle(&event_loop).await;
        assert!(reader.read_line().await.is_err_and(|error| error.is_limit_overrun()));
        assert_eq!(reader.read_line().await?, Some("short"));
        writer.write(b"without end");
        settle(&event_loop).await;
        assert!(reader.read_line().await.is_err_and(|error| error.is_limit_overrun()));
        assert_eq!(reader.buffered(), 0, "as much of it as was received");
        writer.write(b"\xff\nlast\n");
        let mut lines = reader.lines();
        let error = lines.next().await.unwrap().unwrap_err();
        assert!(error.is_protocol_violation(), "not UTF-8: {error}");
        assert_eq!(lines.next().await.unwrap()?, "last");
        writer.write(b"x");
        writer.write_eof();
        assert_eq!(lines.next().await.unwrap()?, "x");
        assert!(lines.next().await.is_none());
        assert!(lines.into_inner().at_eof());
        Ok(())
    });
}

// Only `\n` and `\r\n` end a line, as in `BufRead::lines`.
#[test]
fn a_carriage_return_alone_is_no_end_of_a_line() {
    one_way(async |_, writer, mut reader| {
        writer.write(b"one\rmore\r\r\nlast\r");
        writer.write_eof();
        assert_eq!(reader.read_line().await?, Some("one\rmore\r"));
        assert_eq!(reader.read_line().await?, Some("last\r"));
        assert_eq!(reader.read_line().await?, None);
        Ok(())
    });
}

// What is held in several pieces is no other line than what is held in one.
#[test]
fn a_line_too_long_is_dropped_in_whatever_pieces_it_was_received() {
    for (size, parts) in [(1, 3000), (300, 10), (700, 3), (3000, 1), (300_000, 2)] {
        one_way(async |event_loop, writer, mut reader| {
            let part = vec![b'x'; size];
            // So much is received before anybody reads.
            reader.set_limit(1_000_000);
            for _ in 0..parts {
                writer.write_all(&part).await?;
                settle(&event_loop).await;
            }
            writer.write_all(b"\nshort\n").await?;
            settle(&event_loop).await;
            assert_eq!(reader.buffered(), size * parts + 7);
            reader.set_limit(5);
            assert!(reader.read_line().await.is_err_and(|error| error.is_limit_overrun()));
            assert_eq!(reader.read_line().await?, Some("short"), "{parts} parts of {size} bytes");

            // And without an end, nothing of it is left.
            reader.set_limit(1_000_000);
            for _ in 0..parts {
                writer.write_all(&part).await?;
                settle(&event_loop).await;
            }
            reader.set_limit(5);
            assert!(reader.read_line().await.is_err_and(|error| error.is_limit_overrun()));
            assert_eq!(reader.buffered(), 0, "{parts} parts of {size} bytes");
            Ok(())
        });
    }
}

// 312: input comes before the error.
#[test]
fn what_was_received_before_an_error_is_read_before_it() {
    one_way(async |event_loop, writer, mut reader| {
        writer.write(b"first\nsecond");
        settle(&event_loop).await;
        // A reset.
        writer.write(&[0; 200_000]);
        writer.abort();
        settle(&event_loop).await;
        assert_eq!(reader.read_until("\n").await?, b"first\n");
        assert_eq!(reader.read_exactly(6).await?, b"second");
        let mut error = None;
        for _ in 0..10 {
            match reader.read_chunk().await {
                Ok(data) => assert!(!data.is_empty(), "a reset is no end"),
                Err(lost) => error = Some(lost),
            }
        }
        let error = error.expect("the connection was reset");
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionReset));
        assert!(reader.at_eof());
        Ok(())
    });
}

// 313.
#[test]
fn after_the_peers_end_the_writer_goes_on() {
    super::joined(async |_, near, mut far| {
        near.writer().write(b"question");
        near.writer().write_eof();
        assert_eq!(far.reader().read_to_end(100).await?, b"question");
        far.writer().write_all(b"answer").await?;
        far.writer().write_eof();
        let mut near = near;
        assert_eq!(near.reader().read_to_end(100).await?, b"answer");
        Ok(())
    });
}

#[test]
fn a_reader_that_is_closed_here_sees_the_end_after_what_it_holds() {
    super::joined(async |event_loop, near, far| {
        far.writer().write(b"before");
        settle(&event_loop).await;
        near.writer().close();
        let (mut reader, writer) = near.split();
        assert_eq!(reader.read_chunk().await?, b"before");
        assert_eq!(reader.read_chunk().await?, b"");
        writer.wait_closed().await?;
        Ok(())
    });
}

/// Panics when it wakes.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("no waking");
    }
}

#[test]
fn wakers_that_panic_are_reported_and_the_stream_goes_on() {
    one_way(async |event_loop, writer, mut reader| {
        let log = reports(&event_loop);
        let poll = |future: Pin<&mut dyn Future<Output = ()>>| {
            let waker = Waker::from(Arc::new(Panics));
            let mut context = Context::from_waker(&waker);
            assert!(future.poll(&mut context).is_pending());
        };
        {
            let reading = pin!(async { drop(reader.read_chunk().await) });
            poll(reading);
            writer.write(&[1; 300_000]);
            let draining = pin!(async { drop(writer.drain().await) });
            poll(draining);
            settle(&event_loop).await;
        }
        let all = reader.read_exactly(300_000).await?;
        assert!(all.iter().all(|byte| *byte == 1));
        settle(&event_loop).await;
        let told = log.take();
        assert!(told.iter().any(|told| told.contains("no waking")), "{told:?}");
        assert!(!writer.is_closing() && !reader.at_eof());
        Ok(())
    });
}
