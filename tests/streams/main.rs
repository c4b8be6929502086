//! Streams: readers, writers, and servers whose connections are served by an async function each.
#![forbid(unsafe_code)]

mod changing;
mod children;
mod datagrams;
mod dropping;
mod futures_io;
mod listening;
mod many;
mod pipes;
mod pressure;
mod reading;
mod servers;
mod transports;
#[cfg(feature = "tls")]
mod upgrades;
mod writing;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use wharf::testing::{MemoryNetwork, stream_pair};
use wharf::{ByteStream, EventLoop, Result, StreamReader, StreamWriter};

/// Runs `test` with two streams that are joined in memory.
fn joined(test: impl AsyncFnOnce(EventLoop, ByteStream, ByteStream) -> Result) {
    let outcome = MemoryNetwork::new().event_loop().run(async |event_loop| {
        let (near, far) = stream_pair(&event_loop, 64 * 1024)?;
        test(event_loop, near, far).await
    });
    outcome.unwrap();
}

/// As [`joined`]: one end is written to, and the other is read.
fn one_way(test: impl AsyncFnOnce(EventLoop, StreamWriter, StreamReader) -> Result) {
    joined(async |event_loop, near, far| {
        let (_near, writer) = near.split();
        let (reader, _far) = far.split();
        test(event_loop, writer, reader).await
    });
}

/// Polls `future` once.
async fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Lets the loop run until nothing is left to do.
async fn settle(event_loop: &EventLoop) {
    for _ in 0..20 {
        event_loop.sleep(std::time::Duration::ZERO).await;
    }
}

/// What the exception handler of `event_loop` is told from now on.
fn reports(event_loop: &EventLoop) -> Log {
    let log = Log::default();
    let told = log.clone();
    event_loop.set_exception_handler(move |_, exception| told.add(exception.to_string()));
    log
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, entry: impl Into<String>) {
        self.0.borrow_mut().push(entry.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// A value that adds `entry` when it is dropped.
    fn adds_on_drop(&self, entry: &'static str) -> impl Drop + use<> {
        struct Adds(Log, &'static str);

        impl Drop for Adds {
            fn drop(&mut self) {
                self.0.add(self.1);
            }
        }

        Adds(self.clone(), entry)
    }
}
