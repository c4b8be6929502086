//! Streams: their wakers, their handlers and what waits in them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wharf::testing::stream_pair;
use wharf::{ByteStream, Result, Server, StreamReader, StreamWriter};

use super::groups::{guards, poll, reach, rings};
use crate::bomb::{Bomb, DropError, OnDrop, TextError};
use crate::stage::{Point, Stage, blow_up, connect, elsewhere, reported};

fn streams(stage: &Stage) -> (ByteStream, ByteStream) {
    stream_pair(&stage.event_loop, 1024).expect("a pair")
}

/// Polls the future with a waker that panics when it is woken, then has it woken.
fn ring<F: Future>(stage: &Stage, future: F, wake: impl FnOnce()) {
    let mut future = Box::pin(future);
    reach(stage, || {
        poll(&mut future, &rings(stage));
        wake();
    });
}

/// Polls the future with a waker whose `Drop` panics, then with another one, and drops it while it waits.
fn replace<F: Future>(stage: &Stage, future: F) {
    let mut future = Box::pin(future);
    reach(stage, || {
        poll(&mut future, &guards(stage));
        poll(&mut future, Waker::noop());
        poll(&mut future, &guards(stage));
        drop(future);
    });
}

fn fill(writer: &StreamWriter) {
    writer.write(&[1; 200_000]);
}

const WAKERS: &[Point] = &[
    reported("the waker of a reader", |stage| {
        let (mut near, far) = streams(stage);
        ring(stage, near.reader().read_line(), || {
            far.writer().write(b"hello");
        });
    }),
    reported("the waker of a reader at the end", |stage| {
        let (mut near, far) = streams(stage);
        ring(stage, near.reader().read_exactly(9), || drop(far));
    }),
    reported("the waker of a reader whose connection is lost", |stage| {
        let (near, _far) = streams(stage);
        let (mut reader, writer) = near.split();
        ring(stage, reader.peek(9), || writer.abort());
    }),
    reported("the drop of a reader's waker", |stage| {
        let (mut near, _far) = streams(stage);
        replace(stage, near.reader().fill_buf());
    }),
    reported("the waker of a drain", |stage| {
        let (near, mut far) = streams(stage);
        fill(near.writer());
        ring(stage, near.writer().drain(), || far.reader().set_limit(1 << 20));
    }),
    reported("the drop of a drain's waker", |stage| {
        let (near, _far) = streams(stage);
        fill(near.writer());
        replace(stage, near.writer().drain());
        near.writer().abort();
    }),
    reported("the waker of a flush", |stage| {
        let (near, _far) = streams(stage);
        fill(near.writer());
        ring(stage, near.writer().flush(), || near.writer().abort());
    }),
    reported("the drop of a flush's waker", |stage| {
        let (near, _far) = streams(stage);
        fill(near.writer());
        replace(stage, near.writer().flush());
        near.writer().abort();
    }),
    reported("the waker of who waits for the end", |stage| {
        let (near, _far) = streams(stage);
        ring(stage, near.writer().wait_closed(), || near.writer().close());
    }),
    reported("the drop of the waker of who waits for the end", |stage| {
        let (near, _far) = streams(stage);
        replace(stage, near.writer().wait_closed());
    }),
    reported("the waker of an accept", |stage| {
        let listening = stage.event_loop.listen("127.0.0.1:0").start();
        let listener = stage.complete(listening).expect("a listener");
        let mut client = None;
        ring(stage, listener.accept(), || client = Some(connect(listener.server())));
    }),
    reported("the drop of an accept's waker", |stage| {
        let listening = stage.event_loop.listen("127.0.0.1:0").start();
        let listener = stage.complete(listening).expect("a listener");
        replace(stage, listener.accept());
    }),
    reported("the waker of who receives a datagram", |stage| {
        let open = stage.event_loop.open_datagram_endpoint().local_address("127.0.0.1:0");
        let mut stream = stage.complete(open.start()).expect("an endpoint");
        let handle = stream.transport();
        ring(stage, stream.next(), || wharf::DatagramTransport::close(&handle));
    }),
    reported("the waker of who takes items", |stage| {
        let (near, _far) = streams(stage);
        let (sender, mut items) = stage.event_loop.items(4);
        ring(stage, items.next(), || sender.send(&near.writer().transport(), ()));
    }),
    reported("the drop of an item that nobody takes", |stage| {
        let (near, _far) = streams(stage);
        let (sender, items) = stage.event_loop.items(4);
        for _ in 0..3 {
            sender.send(&near.writer().transport(), stage.bomb.on_drop());
        }
        reach(stage, || drop(items));
        sender.send(&near.writer().transport(), stage.bomb.on_drop());
    }),
];

/// Serves one client by `handler`.
fn serve<F>(stage: &Stage, handler: F)
where
    F: AsyncFn(StreamReader, StreamWriter) -> Result + 'static,
{
    let server = server(stage, handler);
    stage.talk_to(&server, |_| {});
}

fn server<F>(stage: &Stage, handler: F) -> Server
where
    F: AsyncFn(StreamReader, StreamWriter) -> Result + 'static,
{
    let serving = stage.event_loop.start_server(handler, "127.0.0.1:0").start();
    stage.complete(serving).expect("a server")
}

/// A future that is done at once.
struct Done(#[expect(dead_code, reason = "it is there to be dropped")] OnDrop);

impl Future for Done {
    type Output = Result;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result> {
        Poll::Ready(Ok(()))
    }
}

fn of(stage: &Stage) -> Bomb {
    stage.bomb.clone()
}

const HANDLERS: &[Point] = &[
    reported("a handler", |stage| {
        let bomb = of(stage);
        serve(stage, async move |_, _| {
            bomb.tick();
            Ok(())
        });
    }),
    reported("a handler that has waited", |stage| {
        let bomb = of(stage);
        serve(stage, async move |_, _| {
            wharf::sleep(Duration::from_micros(10)).await;
            bomb.tick();
            Ok(())
        });
    }),
    reported("a function that gives a handler", |stage| {
        let bomb = of(stage);
        serve(stage, move |_, _| {
            bomb.tick();
            Done(Bomb::new(u32::MAX).on_drop())
        });
    }),
    reported("the drop of a handler", |stage| {
        let bomb = of(stage);
        serve(stage, move |_, _| Done(bomb.on_drop()));
    }),
    reported("the drop of a handler's error", |stage| {
        let bomb = of(stage);
        serve(stage, async move |_, _| Err(DropError(bomb.on_drop()).into()));
    }),
    elsewhere("the text of a handler's error", |stage| {
        // It is the default handler that shows it.
        stage.event_loop.reset_exception_handler();
        let bomb = of(stage);
        serve(stage, async move |_, _| Err(TextError(bomb.clone()).into()));
    }),
    reported("the drop of the function of a server", |stage| {
        let guard = stage.bomb.on_drop();
        let server = server(stage, async move |_, _| {
            let _ = &guard;
            Ok(())
        });
        reach(stage, || server.close());
    }),
];

#[test]
fn wakers_of_streams_and_what_waits_in_them_may_panic() {
    blow_up(WAKERS);
}

#[test]
fn handlers_of_streams_may_panic_and_so_may_what_they_give() {
    blow_up(HANDLERS);
}
