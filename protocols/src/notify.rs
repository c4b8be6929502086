//! Waiting for a change, in one loop's thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Those who wait for a change of something. One who gives up leaves nothing behind.
#[derive(Default)]
pub(crate) struct Notify {
    waiting: RefCell<BTreeMap<u64, Waker>>,
    next: Cell<u64>,
}

impl Notify {
    /// Waits until `look` finds something; it looks again each time that [`wake`](Self::wake) is called.
    pub(crate) async fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let number = self.next.get();
        self.next.set(number + 1);
        let place = Place { notify: self, number };
        poll_fn(|context| match look() {
            Some(found) => Poll::Ready(found),
            None => {
                place.keep(context.waker());
                Poll::Pending
            }
        })
        .await
    }

    pub(crate) fn wake(&self) {
        for waker in self.waiting.take().into_values() {
            waker.wake();
        }
    }
}

/// The place of one who waits.
struct Place<'a> {
    notify: &'a Notify,
    number: u64,
}

impl Place<'_> {
    fn keep(&self, waker: &Waker) {
        let waiting = self.notify.waiting.borrow();
        if waiting.get(&self.number).is_some_and(|kept| kept.will_wake(waker)) {
            return;
        }
        drop(waiting);
        // Wakers are others' code, which may come back here: nothing is borrowed when they are cloned and dropped.
        let waker = waker.clone();
        let earlier = self.notify.waiting.borrow_mut().insert(self.number, waker);
        drop(earlier);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waker = self.notify.waiting.borrow_mut().remove(&self.number);
        drop(waker);
    }
}

/// The one who waits, where there can only be one. The last who asked is it.
#[derive(Default)]
pub(crate) struct WakerSlot(Cell<Option<Waker>>);

impl WakerSlot {
    pub(crate) fn keep(&self, waker: &Waker) {
        match self.0.take() {
            Some(kept) if kept.will_wake(waker) => self.0.set(Some(kept)),
            earlier => {
                self.0.set(Some(waker.clone()));
                drop(earlier);
            }
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    #[test]
    fn those_who_give_up_leave_nothing() {
        let notify = Notify::default();
        let ((first, waker), (second, other)) = (counter(), counter());
        {
            let mut waits = pin!(notify.wait_for(|| None::<()>));
            let mut waits_too = pin!(notify.wait_for(|| None::<()>));
            for waker in [&waker, &waker, &other] {
                assert!(waits.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
                assert!(waits_too.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
            }
            assert_eq!(notify.waiting.borrow().len(), 2);
        }
        assert!(notify.waiting.borrow().is_empty());
        notify.wake();
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (2, 2));
    }

    #[test]
    fn all_are_woken_and_look_again() {
        let notify = Notify::default();
        let (there, (woken, waker)) = (Cell::new(false), counter());
        let mut context = Context::from_waker(&waker);
        let mut waits = pin!(notify.wait_for(|| there.get().then_some(7)));
        let mut waits_too = pin!(notify.wait_for(|| there.get().then_some(8)));
        assert!(waits.as_mut().poll(&mut context).is_pending());
        assert!(waits_too.as_mut().poll(&mut context).is_pending());
        notify.wake();
        assert_eq!(woken.0.load(Ordering::Relaxed), 2);
        assert!(waits.as_mut().poll(&mut context).is_pending());
        there.set(true);
        notify.wake();
        assert_eq!(woken.0.load(Ordering::Relaxed), 3);
        assert_eq!(waits.as_mut().poll(&mut context), Poll::Ready(7));
        assert_eq!(waits_too.as_mut().poll(&mut context), Poll::Ready(8));
    }

    #[test]
    fn the_last_who_asked_is_woken_once() {
        let slot = WakerSlot::default();
        let ((first, waker), (second, other)) = (counter(), counter());
        slot.keep(&waker);
        slot.keep(&other);
        slot.keep(&other);
        slot.wake();
        slot.wake();
        let woken = |counter: &Counter| counter.0.load(Ordering::Relaxed);
        assert_eq!((woken(&first), woken(&second)), (0, 1));
    }
}
