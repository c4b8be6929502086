//! What came of tasks and is not recorded yet.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::wire::Replied;

/// With so many reports that are not recorded a worker begins nothing more. All of them must fit into a hello.
pub(super) const MOST_REPORTS: usize = 4_000;
/// The same in bytes, about.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// Reports that a worker says again until they are recorded, each with its fence.
#[derive(Default)]
pub(super) struct Unrecorded {
    outcomes: RefCell<BTreeMap<u64, Replied>>,
    bytes: Cell<usize>,
    wakers: RefCell<Vec<Waker>>,
}

impl Unrecorded {
    pub(super) fn insert(&self, fence: u64, outcome: Replied) {
        let added = size(&outcome);
        let former = self.outcomes.borrow_mut().insert(fence, outcome);
        self.bytes.set(self.bytes.get() + added - former.as_ref().map_or(0, size));
    }

    pub(super) fn remove(&self, fence: u64) {
        let Some(outcome) = self.outcomes.borrow_mut().remove(&fence) else { return };
        self.bytes.set(self.bytes.get() - size(&outcome));
        if self.has_room() {
            self.wakers.take().into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn contains(&self, fence: u64) -> bool {
        self.outcomes.borrow().contains_key(&fence)
    }

    pub(super) fn len(&self) -> usize {
        self.outcomes.borrow().len()
    }

    pub(super) fn fences(&self) -> Vec<u64> {
        self.outcomes.borrow().keys().copied().collect()
    }

    pub(super) fn all(&self) -> BTreeMap<u64, Replied> {
        self.outcomes.borrow().clone()
    }

    /// Waits until there are not too many, as when a coordinator records nothing, or its disk is slow.
    pub(super) async fn room(&self) {
        poll_fn(|context| {
            if self.has_room() {
                return Poll::Ready(());
            }
            let mut wakers = self.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn has_room(&self) -> bool {
        self.len() < MOST_REPORTS && self.bytes.get() < MOST_BYTES
    }
}

/// About how many bytes an outcome has.
fn size(outcome: &Replied) -> usize {
    match outcome {
        Replied::Succeeded(result) => result.get().len(),
        Replied::Failed(error) | Replied::FailedForGood(error) => error.len(),
        Replied::Stopped | Replied::GivenBack => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[test]
    fn there_is_room_for_so_many_reports_and_so_many_bytes() {
        let mut context = Context::from_waker(Waker::noop());
        let all = Unrecorded::default();
        let large = || Replied::Failed("x".repeat(MOST_BYTES / 2).into());
        all.insert(1, large());
        // It is the same once more.
        all.insert(1, large());
        assert!(pin!(all.room()).as_mut().poll(&mut context).is_ready());
        all.insert(2, large());
        let mut room = pin!(all.room());
        assert!(room.as_mut().poll(&mut context).is_pending());
        all.remove(7);
        assert!(room.as_mut().poll(&mut context).is_pending());
        all.remove(1);
        assert!(room.as_mut().poll(&mut context).is_ready());
        all.remove(2);
        for fence in 0..MOST_REPORTS as u64 {
            assert!(pin!(all.room()).as_mut().poll(&mut context).is_ready());
            all.insert(fence, Replied::Stopped);
        }
        assert!(pin!(all.room()).as_mut().poll(&mut context).is_pending());
    }
}
