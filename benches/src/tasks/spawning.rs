//! Tasks that are spawned and joined.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;

use super::contender::Contender;

/// How many tasks there are at once when they are joined together.
pub(super) const TOGETHER: u64 = 10_000;

/// Each task is joined before the next one is spawned.
pub(super) async fn one_by_one<C: Contender>(contender: C, count: u64) {
    for number in 0..count {
        let task = contender.spawn(async move { black_box(number) });
        assert_eq!(C::join(task).await, number);
    }
}

/// Many tasks are spawned, then all are joined; so on until there were `count`.
pub(super) async fn together<C: Contender>(contender: C, count: u64) {
    let mut tasks = Vec::with_capacity(TOGETHER.min(count) as usize);
    for batch in batches(count) {
        tasks.extend((0..batch).map(|number| contender.spawn(async move { black_box(number) })));
        for (number, task) in tasks.drain(..).enumerate() {
            assert_eq!(C::join(task).await, number as u64);
        }
    }
}

/// As [`together`], with the library's own group of tasks.
pub(super) async fn in_groups<C: Contender>(contender: C, count: u64) {
    let ended = Rc::new(Cell::new(0));
    for batch in batches(count) {
        let tasks = (0..batch).map(|_| {
            let ended = Rc::clone(&ended);
            async move { ended.set(ended.get() + 1) }
        });
        contender.run_in_group(tasks).await;
    }
    assert_eq!(ended.get(), count);
}

/// Many futures that borrow run side by side, until all have ended; so on until there were `count`.
pub(super) async fn in_scopes<C: Contender>(contender: C, count: u64) {
    let ended = Cell::new(0);
    for batch in batches(count) {
        let futures = (0..batch).map(|_| async { ended.set(ended.get() + 1) });
        contender.run_in_scope(futures).await;
    }
    assert_eq!(ended.get(), count);
}

/// `count` in parts of at most [`TOGETHER`].
fn batches(count: u64) -> impl Iterator<Item = u64> {
    (0..count).step_by(TOGETHER as usize).map(move |begun| TOGETHER.min(count - begun))
}
