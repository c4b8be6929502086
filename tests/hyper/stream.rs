//! What hyper asks of a connection, call by call.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use hyper::rt::{Read, ReadBuf, Write};
use wharf::hyper::HyperStream;
use wharf::testing::stream_pair;
use wharf::{ByteStream, Error, EventLoop, Result};

use super::{reset, run, settle};

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (Arc::clone(&bell), Waker::from(bell))
}

impl Bell {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn joined(test: impl AsyncFnOnce(EventLoop, HyperStream, ByteStream) -> Result) {
    run(async |event_loop| {
        let (near, far) = stream_pair(&event_loop, 64 * 1024)?;
        test(event_loop, near.into(), far).await
    });
}

fn poll_read(stream: &mut HyperStream, waker: &Waker, room: usize) -> Poll<Result<Vec<u8>, Error>> {
    let mut memory = vec![0; room];
    let mut buffer = ReadBuf::new(&mut memory);
    let poll = Pin::new(stream).poll_read(&mut Context::from_waker(waker), buffer.unfilled());
    poll.map(|outcome| outcome.map(|()| buffer.filled().to_vec()).map_err(Error::from))
}

fn write(stream: &mut HyperStream, waker: &Waker, data: &[u8]) -> Poll<std::io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(waker), data)
}

fn ready<T>(poll: Poll<Result<T, Error>>) -> T {
    match poll {
        Poll::Ready(Ok(value)) => value,
        Poll::Ready(Err(error)) => panic!("{error:?}"),
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_read_with_nothing_buffered_waits_and_wakes_who_polled_last() {
    joined(async |_, mut near, far| {
        let (first, first_waker) = bell();
        let (second, second_waker) = bell();
        assert!(poll_read(&mut near, &first_waker, 100).is_pending());
        assert!(poll_read(&mut near, &second_waker, 100).is_pending());
        assert!(poll_read(&mut near, &second_waker, 0).is_ready(), "there is no room");
        far.writer().write_all(b"hello").await?;
        settle().await;
        assert_eq!((first.count(), second.count()), (0, 1));
        assert_eq!(ready(poll_read(&mut near, &first_waker, 3)), b"hel");
        assert_eq!(ready(poll_read(&mut near, &first_waker, 3)), b"lo");
        assert!(poll_read(&mut near, &first_waker, 3).is_pending());
        Ok(())
    });
}

#[test]
fn a_read_takes_all_that_there_is_room_for() {
    joined(async |_, mut near, far| {
        let data: Vec<u8> = (0..50_000_u32).map(|number| number as u8).collect();
        for part in data.chunks(5000) {
            far.writer().write_all(part).await?;
            settle().await;
        }
        let (_, waker) = bell();
        assert_eq!(ready(poll_read(&mut near, &waker, 60_000)), data);
        Ok(())
    });
}

#[test]
fn the_end_is_a_read_of_nothing_and_a_reset_an_error_of_wharf() {
    joined(async |_, mut near, far| {
        let (_, waker) = bell();
        far.writer().write_all(b"last").await?;
        far.writer().write_eof();
        settle().await;
        assert_eq!(ready(poll_read(&mut near, &waker, 100)), b"last");
        assert_eq!(ready(poll_read(&mut near, &waker, 100)), b"");
        assert_eq!(ready(poll_read(&mut near, &waker, 100)), b"", "again");
        // The other side goes on.
        assert_eq!(poll_fn(|context| Pin::new(&mut near).poll_write(context, b"more")).await?, 4);
        Ok(())
    });
    joined(async |_, mut near, far| {
        let (bell, waker) = bell();
        assert!(poll_read(&mut near, &waker, 100).is_pending());
        reset(near.get_ref(), &far);
        settle().await;
        assert_eq!(bell.count(), 1);
        let Poll::Ready(Err(error)) = poll_read(&mut near, &waker, 100) else { panic!() };
        assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionReset), "{error:?}");
        Ok(())
    });
}

#[test]
fn a_write_waits_above_the_mark_and_takes_so_much_at_once() {
    joined(async |_, mut near, mut far| {
        let (first, first_waker) = bell();
        let (second, second_waker) = bell();
        let data = vec![7; 10 << 20];
        let (mut taken, mut writes) = (0, 0);
        while let Poll::Ready(count) = write(&mut near, &first_waker, &data[taken..]) {
            taken += count?;
            writes += 1;
            settle().await;
        }
        assert!(taken <= 512 * 1024 && writes <= 3, "{taken} bytes in {writes} writes");
        assert!(write(&mut near, &second_waker, &data).is_pending());
        while first.count() + second.count() == 0 {
            assert!(!far.reader().read_chunk().await?.is_empty());
            settle().await;
        }
        assert_eq!((first.count(), second.count()), (0, 1), "who polled last");
        assert!(write(&mut near, &second_waker, b"more").is_ready());
        Ok(())
    });
}

#[test]
fn slices_go_out_in_order_and_as_one() {
    joined(async |event_loop, mut near, mut far| {
        assert!(near.is_write_vectored());
        let large = vec![b'x'; 300 * 1024];
        let all: [&[u8]; 6] = [b"one", b"", b"two", &large, b"three", b"four"];
        let mut expected = all.concat();
        let reading = wharf::spawn(async move { far.reader().read_to_end(1 << 20).await });
        let sent = event_loop.statistics().bytes_sent;
        let slices = [&b"GET "[..], b"/"].map(IoSlice::new);
        let write =
            |context: &mut Context<'_>| Pin::new(&mut near).poll_write_vectored(context, &slices);
        assert_eq!(poll_fn(write).await?, 5);
        assert_eq!(event_loop.statistics().bytes_sent - sent, 5, "at once");
        expected.splice(..0, *b"GET /");

        let mut left: Vec<IoSlice<'_>> = all.into_iter().map(IoSlice::new).collect();
        let mut left = &mut left[..];
        while !left.is_empty() {
            let count = poll_fn(|context| Pin::new(&mut near).poll_write_vectored(context, left));
            let count = count.await?;
            IoSlice::advance_slices(&mut left, count);
        }
        // Many small ones, over and over, so that the system takes parts.
        let parts = [[b'y'; 999]; 100];
        for _ in 0..5 {
            let mut left = parts.each_ref().map(|part| IoSlice::new(part));
            let mut left = &mut left[..];
            while !left.is_empty() {
                let count =
                    poll_fn(|context| Pin::new(&mut near).poll_write_vectored(context, left));
                let count = count.await?;
                IoSlice::advance_slices(&mut left, count);
            }
            expected.extend_from_slice(parts.as_flattened());
        }
        poll_fn(|context| Pin::new(&mut near).poll_shutdown(context)).await?;
        assert!(reading.await?? == expected);
        Ok(())
    });
}

#[test]
fn a_flush_waits_until_the_peer_has_room() {
    joined(async |_, mut near, mut far| {
        let (bell, waker) = bell();
        let mut context = Context::from_waker(&waker);
        assert!(Pin::new(&mut near).poll_flush(&mut context).is_ready(), "nothing is written");
        assert!(write(&mut near, &waker, &[0; 250_000]).is_ready());
        settle().await;
        assert!(Pin::new(&mut near).poll_flush(&mut context).is_pending());
        while Pin::new(&mut near).poll_flush(&mut context).is_pending() {
            far.reader().read_chunk().await?;
            settle().await;
        }
        assert_eq!(bell.count(), 1);
        Ok(())
    });
}

#[test]
fn after_a_shutdown_what_was_written_arrives_and_nothing_can_be_written() {
    joined(async |_, mut near, mut far| {
        let (_, waker) = bell();
        assert!(write(&mut near, &waker, &[1; 100_000]).is_ready());
        let reading = wharf::spawn(async move {
            let all = far.reader().read_to_end(1 << 20).await;
            // It can still send.
            far.writer().write_all(b"thanks").await?;
            all
        });
        poll_fn(|context| Pin::new(&mut near).poll_shutdown(context)).await?;
        poll_fn(|context| Pin::new(&mut near).poll_shutdown(context)).await?;
        assert_eq!(reading.await??.len(), 100_000);
        let Poll::Ready(Err(error)) = write(&mut near, &waker, b"x") else { panic!() };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let slices = [&b"x"[..], b"y"].map(IoSlice::new);
        let mut context = Context::from_waker(&waker);
        let poll = Pin::new(&mut near).poll_write_vectored(&mut context, &slices);
        assert!(matches!(poll, Poll::Ready(Err(_))), "{poll:?}");
        settle().await;
        assert_eq!(ready(poll_read(&mut near, &waker, 100)), b"thanks");
        Ok(())
    });
}

#[test]
fn the_stream_can_be_had_back() {
    joined(async |_, near, mut far| {
        let mut stream = near;
        stream.get_mut().writer().write(b"one");
        let (_reader, writer) = stream.into_inner().split();
        writer.write_all(b"two").await?;
        assert_eq!(far.reader().read_exactly(6).await?, b"onetwo");
        Ok(())
    });
}

#[test]
fn what_came_behind_an_upgrade_is_given_back_and_what_comes_later_is_read_from_the_stream() {
    joined(async |_, near, mut far| {
        far.writer().write(
            b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: other\r\n\r\nhello",
        );
        let service = hyper::service::service_fn(async |_| {
            hyper::Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "other")
                .body(String::new())
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(near, service);
        let parts = connection.without_shutdown().await?;
        assert_eq!(&parts.read_buf[..], b"hello");
        assert!(far.reader().read_until(b"\r\n\r\n").await?.starts_with(b"HTTP/1.1 101 "));
        let mut stream = parts.io.into_inner();
        far.writer().write(b" again");
        assert_eq!(stream.reader().read_exactly(6).await?, b" again");
        stream.writer().write_all(b"answer").await?;
        assert_eq!(far.reader().read_exactly(6).await?, b"answer");
        Ok(())
    });
}
