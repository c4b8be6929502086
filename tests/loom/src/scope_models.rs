//! Wakes of a scope's tasks, which are polled in place: none is lost.

use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::model;
use crate::scope::wake_queue::{ChildWaker, WakeQueue};

/// Who polls the scope's future: it waits until that is woken.
struct Executor {
    is_woken: Mutex<bool>,
    condition: Condvar,
}

impl Executor {
    fn new() -> Arc<Self> {
        Arc::new(Self { is_woken: Mutex::new(true), condition: Condvar::new() })
    }

    fn wait(&self) {
        let mut is_woken = self.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = self.condition.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }
}

impl Wake for Executor {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.condition.notify_one();
    }
}

/// Polls tasks as a scope does, until `poll` has said of each that it is done.
fn drive(
    queue: &Arc<WakeQueue<u64>>,
    tasks: &[Arc<ChildWaker<u64>>],
    mut poll: impl FnMut(u64) -> bool,
) {
    let executor = Executor::new();
    let waker = Waker::from(Arc::clone(&executor));
    let mut left = tasks.len();
    while left > 0 {
        executor.wait();
        let (woken, _) = queue.begin_turn(&waker);
        for _ in 0..woken {
            let id = queue.pop().unwrap();
            tasks[id as usize].unqueue();
            left -= usize::from(poll(id));
        }
        if queue.end_turn() {
            waker.wake_by_ref();
        }
    }
}

/// The flag is set and read without any order of its own: the wake alone has to carry it over.
#[test]
fn a_wake_while_its_task_is_polled_is_not_lost() {
    model(|| {
        let queue = Arc::new(WakeQueue::new());
        let tasks = [ChildWaker::new(&queue, 0)];
        tasks[0].wake_by_ref();
        let is_set = loom::sync::Arc::new(AtomicBool::new(false));
        let (setter, waker) = (is_set.clone(), Arc::clone(&tasks[0]));
        let other = thread::spawn(move || {
            setter.store(true, Ordering::Relaxed);
            waker.wake();
        });

        drive(&queue, &tasks, |_| is_set.load(Ordering::Relaxed));
        other.join().unwrap();
    });
}

#[test]
fn wakes_of_two_threads_each_reach_their_task() {
    model(|| {
        let queue = Arc::new(WakeQueue::new());
        let tasks = [0, 1].map(|id| ChildWaker::new(&queue, id));
        let counts = loom::sync::Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let others = [0, 1].map(|id| {
            let (counts, waker) = (counts.clone(), Arc::clone(&tasks[id]));
            thread::spawn(move || {
                counts[id].fetch_add(1, Ordering::Relaxed);
                waker.wake();
            })
        });

        let mut done = [false; 2];
        drive(&queue, &tasks, |id| {
            let is_done = counts[id as usize].load(Ordering::Relaxed) == 1;
            is_done && !std::mem::replace(&mut done[id as usize], true)
        });
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_wake_while_the_scope_ends_does_nothing() {
    model(|| {
        let queue = Arc::new(WakeQueue::new());
        let task = ChildWaker::new(&queue, 0);
        let executor = Executor::new();
        queue.begin_turn(&Waker::from(Arc::clone(&executor)));
        let waker = Arc::clone(&task);
        let other = thread::spawn(move || waker.wake());

        drop(queue.close());
        other.join().unwrap();
        assert_eq!(queue.pop(), None);
    });
}
