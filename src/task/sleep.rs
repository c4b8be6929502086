//! Waiting for time to pass.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::event_loop::{Callback, Core, EventLoop, nanoseconds};
use crate::time::TimerKey;

/// Waits until a time: what [`EventLoop::sleep`] gives. Dropping it takes its timer back.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::MemoryNetwork;
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let began = event_loop.time();
///     event_loop.sleep(Duration::from_secs(5)).await;
///     assert_eq!(event_loop.time() - began, Duration::from_secs(5));
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "it waits only when it is awaited"]
pub struct Sleep {
    core: Rc<Core>,
    deadline: u64,
    alarm: Option<(TimerKey, Rc<Alarm>)>,
}

/// # Sleeping
impl EventLoop {
    /// Waits for at least `delay`, from now on, when awaited. A delay of zero means the loop's next
    /// tick.
    ///
    /// On a loop that is closed it never ends, as its time does not pass any more.
    #[doc(alias("deferLater"))]
    pub fn sleep(&self, delay: Duration) -> Sleep {
        let core = Rc::clone(self.core());
        let deadline = core.now().saturating_add(nanoseconds(delay));
        Sleep { core, deadline, alarm: None }
    }

    /// Waits until the loop's clock has reached `when`, when awaited.
    pub fn sleep_until(&self, when: Instant) -> Sleep {
        let core = Rc::clone(self.core());
        let deadline = core.since_start(when);
        Sleep { core, deadline, alarm: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &self.alarm {
            Some((_, alarm)) if alarm.rung.get() => Poll::Ready(()),
            Some((_, alarm)) => {
                let former = alarm.waker.replace(Some(context.waker().clone()));
                self.core.drop_user(former, "waker");
                Poll::Pending
            }
            None if self.core.is_closed() => Poll::Pending,
            None => {
                let alarm = Rc::new(Alarm {
                    rung: Cell::new(false),
                    waker: RefCell::new(Some(context.waker().clone())),
                });
                let key = self.core.add_timer(self.deadline, Box::new(Rc::clone(&alarm)));
                self.alarm = Some((key, alarm));
                Poll::Pending
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((key, alarm)) = self.alarm.take()
            && !alarm.rung.get()
        {
            let waker = alarm.waker.take();
            self.core.cancel_timer(key);
            self.core.drop_user(waker, "waker");
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sleep").field("until", &self.core.instant(self.deadline)).finish()
    }
}

struct Alarm {
    rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Callback for Alarm {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.rung.set(true);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            core.run_caught("a waker failed", || waker.wake());
        }
    }
}
