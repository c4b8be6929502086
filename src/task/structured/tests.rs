//! The queue of tasks that were woken. (`tests/loom` has its models.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::wake_queue::{ChildWaker, WakeQueue};

#[derive(Default)]
struct Parent(AtomicUsize);

impl Wake for Parent {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn each_task_is_queued_once_and_the_scope_woken_once() {
    let parent = Arc::new(Parent::default());
    let waker = Waker::from(Arc::clone(&parent));
    let woken = || parent.0.load(Ordering::Relaxed);
    let queue = Arc::new(WakeQueue::new());
    let tasks = [1, 2].map(|id| ChildWaker::new(&queue, id));
    let begin = |waker| {
        let (count, former) = queue.begin_turn(waker);
        (count, former.is_some())
    };

    assert_eq!(begin(&waker), (0, false));
    tasks[0].wake_by_ref();
    assert_eq!(woken(), 0, "it is being polled");
    assert!(queue.end_turn());
    assert_eq!(begin(&waker), (1, false));
    assert_eq!(queue.pop(), Some(1));
    tasks[0].unqueue();
    assert!(!queue.end_turn());

    for _ in 0..3 {
        tasks[1].wake_by_ref();
        tasks[0].wake_by_ref();
    }
    assert_eq!(woken(), 1);
    assert_eq!(begin(&waker), (2, false));
    assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(2), Some(1), None));
    // One waker in the queue, and two others here. It is replaced by another.
    assert_eq!(Arc::strong_count(&parent), 3);
    assert_eq!(begin(Waker::noop()), (0, true));
    assert_eq!(Arc::strong_count(&parent), 2);
    queue.tell();
    assert!(!queue.end_turn());
    queue.tell();

    assert_eq!(begin(&waker), (0, true));
    assert!(queue.close().is_some());
    tasks[0].unqueue();
    tasks[0].wake_by_ref();
    queue.tell();
    assert_eq!((queue.pop(), woken(), Arc::strong_count(&parent)), (None, 1, 2));
}
