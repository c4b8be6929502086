use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{EventLoop, TimerHandle};

use super::HttpClientConnection;
use super::connect::Origin;

/// Connections that wait for the next request, the one used last at the end.
pub(super) struct Pool {
    event_loop: EventLoop,
    idle: RefCell<Vec<Idle>>,
    /// Closes what has waited for too long.
    timer: RefCell<Option<TimerHandle>>,
}

struct Idle {
    origin: Origin,
    connection: HttpClientConnection,
    since: Instant,
}

/// How many connections may wait.
#[derive(Clone, Copy)]
pub(super) struct MaxIdle {
    pub(super) of_a_host: usize,
    pub(super) in_all: usize,
}

/// A connection that waits longer is closed: servers keep them for about as long.
const IDLE: Duration = Duration::from_secs(30);

impl Pool {
    pub(super) fn new(event_loop: &EventLoop) -> Rc<Self> {
        let (event_loop, idle) = (event_loop.clone(), RefCell::default());
        Rc::new(Self { event_loop, idle, timer: RefCell::default() })
    }

    /// The connection to `origin` that was used last, if it is open.
    pub(super) fn take(&self, origin: &Origin) -> Option<HttpClientConnection> {
        self.close_old();
        let mut idle = self.idle.borrow_mut();
        let at = idle.iter().rposition(|each| each.origin == *origin)?;
        Some(idle.remove(at).connection)
    }

    /// Keeps a connection whose answer is over, if it can be used again.
    pub(super) fn give_back(
        self: &Rc<Self>,
        origin: &Origin,
        mut connection: HttpClientConnection,
        most: MaxIdle,
    ) {
        if most.of_a_host == 0 || most.in_all == 0 || !connection.is_reusable() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let count = idle.iter().filter(|each| each.origin == *origin).count();
        // The one that waits longest makes room.
        if count >= most.of_a_host
            && let Some(at) = idle.iter().position(|each| each.origin == *origin)
        {
            idle.remove(at);
        } else if idle.len() >= most.in_all {
            idle.remove(0);
        }
        let since = self.event_loop.time();
        idle.push(Idle { origin: origin.clone(), connection, since });
        drop(idle);
        self.set_timer();
    }

    /// Looks again when the one that waits longest has waited for too long.
    fn set_timer(self: &Rc<Self>) {
        let Some(since) = self.idle.borrow().first().map(|first| first.since) else { return };
        let mut timer = self.timer.borrow_mut();
        if timer.is_none() {
            let pool = Rc::downgrade(self);
            *timer = Some(self.event_loop.call_at(since + IDLE, move || {
                if let Some(pool) = pool.upgrade() {
                    pool.timer.take();
                    pool.close_old();
                    pool.set_timer();
                }
            }));
        }
    }

    fn close_old(&self) {
        let now = self.event_loop.time();
        self.idle.borrow_mut().retain_mut(|each| {
            now.duration_since(each.since) < IDLE && each.connection.is_reusable()
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.cancel();
        }
    }
}
