//! A loop that does nothing but what its queue asks for.

use std::collections::VecDeque;

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::{Arc, Condvar, Mutex};

use crate::remote::queue::{Queue, WakeUp};

/// The poll and what wakes it: as with an eventfd, a wake-up before the wait ends that wait.
pub(crate) struct Poll {
    is_woken: Mutex<bool>,
    condition: Condvar,
    /// Not loom's: counting takes no part in the model.
    wake_ups: AtomicUsize,
}

impl Poll {
    /// Waits for a wake-up, if it may wait.
    fn wait(&self, may_wait: bool) {
        let mut is_woken = self.is_woken.lock().unwrap();
        while may_wait && !*is_woken {
            is_woken = self.condition.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }

    /// How many wake-ups there were: each is a system call.
    pub(crate) fn wake_ups(&self) -> usize {
        self.wake_ups.load(Ordering::Relaxed)
    }
}

impl WakeUp for Arc<Poll> {
    fn wake_up(&self) {
        self.wake_ups.fetch_add(1, Ordering::Relaxed);
        *self.is_woken.lock().unwrap() = true;
        self.condition.notify_one();
    }
}

/// The loop: it owns the poll, and threads share the queue.
pub(crate) struct Loop<T> {
    pub(crate) queue: Arc<Queue<T, Arc<Poll>>>,
    pub(crate) poll: Arc<Poll>,
}

impl<T> Loop<T> {
    pub(crate) fn new() -> Self {
        let poll = Arc::new(Poll {
            is_woken: Mutex::new(false),
            condition: Condvar::new(),
            wake_ups: AtomicUsize::new(0),
        });
        Self { queue: Arc::new(Queue::new(Arc::clone(&poll))), poll }
    }

    /// What `Core::tick` does with the queue: waits unless it is called, then takes.
    pub(crate) fn tick(&self, most: usize) -> VecDeque<T> {
        self.poll.wait(!self.queue.is_called());
        if self.queue.is_woken() { self.queue.take(most) } else { VecDeque::new() }
    }
}
