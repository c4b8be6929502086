//! Each awaitable is dropped at each of its steps: nothing is lost that its page does not name.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use wharf::{Error, EventLoop, Result, StreamReader, StreamWriter};

use super::one_way;

/// Polls `future` so many times, once a round, then drops it. `None`: it was not done.
async fn for_steps<T>(
    event_loop: &EventLoop,
    steps: usize,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    for step in 0..steps {
        if step > 0 {
            event_loop.sleep(std::time::Duration::ZERO).await;
        }
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
    }
    None
}

const TEXT: &[u8] = b"one\ntwo two\n\nfour: 0123456789\nfive\nand a last line without an end";

/// Sends the text in parts of `size` bytes, one a round, while `read` reads. What `read` gives has to be all of
/// it, however often its futures were dropped.
fn nothing_is_lost(
    name: &str,
    read: impl AsyncFn(&mut StreamReader, &mut Vec<u8>) -> Result<bool, Error> + Copy,
) {
    for size in [1, 3, 100] {
        for steps in [0, 1, 2, 5] {
            one_way(async |event_loop, writer, mut reader| {
                let sending = event_loop.create_task(send(event_loop.clone(), writer, size));
                let mut all = Vec::new();
                for _ in 0..10_000 {
                    // The one that is dropped, and one that may take as long as it needs.
                    match for_steps(&event_loop, steps, read(&mut reader, &mut all)).await {
                        Some(Ok(false)) => break,
                        Some(outcome) => drop(outcome?),
                        None if !read(&mut reader, &mut all).await? => break,
                        None => {}
                    }
                }
                assert_eq!(
                    String::from_utf8_lossy(&all),
                    String::from_utf8_lossy(TEXT),
                    "{name}, in parts of {size}, dropped after {steps} steps"
                );
                assert_eq!(reader.buffered(), 0);
                sending.await?;
                Ok(())
            });
        }
    }
}

async fn send(event_loop: EventLoop, writer: StreamWriter, size: usize) {
    for part in TEXT.chunks(size) {
        writer.write(part);
        event_loop.sleep(std::time::Duration::ZERO).await;
    }
}

#[test]
fn a_read_that_is_dropped_at_any_step_loses_nothing() {
    nothing_is_lost("read", async |reader, all| {
        let mut buffer = [0; 4];
        let count = reader.read(&mut buffer).await?;
        all.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    });
    nothing_is_lost("read_chunk", async |reader, all| {
        let data = reader.read_chunk().await?;
        all.extend_from_slice(data);
        Ok(!data.is_empty())
    });
    nothing_is_lost("fill_buf", async |reader, all| {
        let data = reader.fill_buf().await?;
        let count = data.len().min(2);
        all.extend_from_slice(&data[..count]);
        reader.consume(count);
        Ok(count > 0)
    });
}

#[test]
fn reading_so_many_bytes_that_is_dropped_at_any_step_loses_nothing() {
    nothing_is_lost("read_exactly", async |reader, all| match reader.read_exactly(7).await {
        Ok(data) => {
            all.extend_from_slice(data);
            Ok(true)
        }
        Err(error) if error.is_incomplete_read() => {
            all.extend_from_slice(reader.read_chunk().await?);
            Ok(false)
        }
        Err(error) => Err(error),
    });
    nothing_is_lost("peek", async |reader, all| {
        let data = reader.peek(5).await?;
        let count = data.len().min(5);
        all.extend_from_slice(&data[..count]);
        reader.consume(count);
        Ok(count > 0)
    });
    nothing_is_lost("read_to_end", async |reader, all| {
        all.extend_from_slice(&reader.read_to_end(1000).await?);
        Ok(false)
    });
}

#[test]
fn reading_lines_that_is_dropped_at_any_step_loses_nothing() {
    nothing_is_lost("read_until", async |reader, all| match reader.read_until("\n").await {
        Ok(line) => {
            all.extend_from_slice(line);
            Ok(true)
        }
        Err(error) if error.is_incomplete_read() => {
            all.extend_from_slice(reader.read_chunk().await?);
            Ok(false)
        }
        Err(error) => Err(error),
    });
    nothing_is_lost("read_line", async |reader, all| {
        let before = all.len();
        if let Some(line) = reader.read_line().await? {
            all.extend_from_slice(line.as_bytes());
            if all.len() < TEXT.len() {
                all.push(b'\n');
            }
        }
        Ok(all.len() > before)
    });
}

#[test]
fn waiting_to_write_that_is_dropped_at_any_step_changes_nothing() {
    for steps in 0..6 {
        super::joined(async |event_loop, near, mut far| {
            let writer = near.writer();
            writer.write(&[1; 300_000]);
            for _ in 0..3 {
                let _ = for_steps(&event_loop, steps, writer.drain()).await;
                let _ = for_steps(&event_loop, steps, writer.flush()).await;
                let _ = for_steps(&event_loop, steps, writer.wait_closed()).await;
                let _ = for_steps(&event_loop, steps, writer.shutting_down()).await;
                let handle = writer.transport();
                let _ = for_steps(&event_loop, steps, handle.flush()).await;
                let _ = for_steps(&event_loop, steps, handle.wait_closed()).await;
            }
            let waiting = event_loop.create_task({
                let handle = writer.transport();
                async move { handle.wait_closed().await }
            });
            assert_eq!(far.reader().read_exactly(300_000).await?.len(), 300_000);
            writer.drain().await?;
            writer.flush().await?;
            // All of it is taken in the first step.
            let whole = for_steps(&event_loop, steps, writer.write_all(&[2; 300_000])).await;
            let expected = if steps == 0 { 0 } else { 300_000 };
            assert!(whole.is_none());
            writer.write_eof();
            assert_eq!(far.reader().read_to_end(1 << 20).await?.len(), expected);
            writer.close();
            waiting.await??;
            Ok(())
        });
    }
}
