//! Tasks that are spawned and joined.

use std::hint::black_box;

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
    let mut left = count;
    while left > 0 {
        let batch = left.min(TOGETHER);
        left -= batch;
        tasks.extend((0..batch).map(|number| contender.spawn(async move { black_box(number) })));
        for (number, task) in tasks.drain(..).enumerate() {
            assert_eq!(C::join(task).await, number as u64);
        }
    }
}
