use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use wharf::EventLoop;

use super::HttpClientConnection;
use super::connect::Origin;

/// Connections that wait for the next request, the last one used at the end.
pub(super) struct Pool {
    idle: RefCell<Vec<Idle>>,
    limits: Cell<(usize, usize)>,
    event_loop: RefCell<Option<EventLoop>>,
}

struct Idle {
    origin: Origin,
    connection: HttpClientConnection,
    since: Instant,
}

/// A connection that waited longer is closed when somebody looks: servers keep them for about as long.
const IDLE: Duration = Duration::from_secs(30);

impl Pool {
    pub(super) fn new() -> Self {
        Self {
            idle: RefCell::default(),
            limits: Cell::new((8, 64)),
            event_loop: RefCell::default(),
        }
    }

    pub(super) fn set_limits(&self, of_a_host: usize, in_all: usize) {
        self.limits.set((of_a_host, in_all));
    }

    /// The connection to `origin` that was used last, if it is open.
    pub(super) fn take(
        &self,
        origin: &Origin,
        event_loop: &EventLoop,
    ) -> Option<HttpClientConnection> {
        let now = event_loop.time();
        self.event_loop.borrow_mut().get_or_insert_with(|| event_loop.clone());
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|each| {
            now.duration_since(each.since) < IDLE && each.connection.is_reusable()
        });
        let at = idle.iter().rposition(|each| each.origin == *origin)?;
        Some(idle.remove(at).connection)
    }

    /// Keeps a connection whose answer is over, if it can be used again.
    pub(super) fn give_back(&self, origin: &Origin, mut connection: HttpClientConnection) {
        let Some(since) = self.event_loop.borrow().as_ref().map(EventLoop::time) else { return };
        let (of_a_host, in_all) = self.limits.get();
        if of_a_host == 0 || in_all == 0 || !connection.is_reusable() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let count = idle.iter().filter(|each| each.origin == *origin).count();
        // The one that waits longest makes room.
        if count >= of_a_host
            && let Some(at) = idle.iter().position(|each| each.origin == *origin)
        {
            idle.remove(at);
        } else if idle.len() >= in_all {
            idle.remove(0);
        }
        idle.push(Idle { origin: origin.clone(), connection, since });
    }
}
