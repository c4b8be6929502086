//! wharf, as its users meet it: `call_later` and the handle it gives.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, TimerHandle};

use super::queue::TimerQueue;

pub(super) struct Wharf {
    event_loop: EventLoop,
    fired: Rc<Cell<usize>>,
}

impl TimerQueue for Wharf {
    type Delay = Duration;
    type Key = TimerHandle;

    fn new() -> Self {
        let event_loop = EventLoop::new().expect("the system has descriptors left");
        Self { event_loop, fired: Rc::default() }
    }

    fn delay(nanoseconds: u64) -> Duration {
        Duration::from_nanos(nanoseconds)
    }

    fn create(&mut self, delay: Duration) -> TimerHandle {
        let fired = Rc::clone(&self.fired);
        self.event_loop.call_later(delay, move || fired.set(fired.get() + 1))
    }

    fn cancel(&mut self, handle: TimerHandle) {
        handle.cancel();
    }

    fn reset(&mut self, handle: &mut TimerHandle, delay: Duration) {
        handle.reset(delay);
    }

    fn fire_due(&mut self) -> usize {
        let sleep = self.event_loop.sleep(Duration::from_millis(1));
        self.event_loop.run_until_complete(sleep).expect("the loop runs");
        self.fired.take()
    }
}
