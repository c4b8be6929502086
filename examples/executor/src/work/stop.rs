//! What ends a task from outside.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};

/// Why a task is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The coordinator says so.
    Told,
    /// It took longer than this, in milliseconds.
    Timeout(u64),
}

/// Whether a task is to end.
#[derive(Debug, Default)]
pub(super) struct StopSignal {
    why: Cell<Option<Why>>,
    wakers: RefCell<Vec<Waker>>,
}

impl StopSignal {
    /// The task is to end. The first reason counts.
    pub(super) fn stop(&self, why: Why) {
        self.why.set(self.why.get().or(Some(why)));
        self.wakers.take().into_iter().for_each(Waker::wake);
    }

    /// Why it is to end, if it is.
    pub(super) fn why(&self) -> Option<Why> {
        self.why.get()
    }

    /// Waits until it is.
    pub(super) async fn stopped(&self) -> Why {
        poll_fn(|context| match self.why.get() {
            Some(why) => Poll::Ready(why),
            None => {
                let mut wakers = self.wakers.borrow_mut();
                if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        })
        .await
    }
}

/// Waits for whichever of two comes first; the other is dropped.
pub(super) async fn race<A, B>(
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> Result<A, B> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| {
        if let Poll::Ready(value) = first.as_mut().poll(context) {
            return Poll::Ready(Ok(value));
        }
        second.as_mut().poll(context).map(Err)
    })
    .await
}

/// Waits for a future, while another goes on, which may end before.
pub(super) async fn beside<A>(
    awaited: impl Future<Output = A>,
    mut other: Pin<&mut impl Future<Output = ()>>,
    has_ended: &mut bool,
) -> A {
    let mut awaited = pin!(awaited);
    poll_fn(|context| {
        if !*has_ended {
            *has_ended = other.as_mut().poll(context).is_ready();
        }
        awaited.as_mut().poll(context)
    })
    .await
}
