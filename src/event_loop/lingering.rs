//! The sockets of connections that are over, and whose peers have still to get what was sent.
//!
//! They are no connections any more: no server, handle or count of connections knows of them. They are
//! limited in number; `eviction.rs` says which one goes when there are too many, or when no descriptor is
//! left for something new.

mod eviction;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;

use self::eviction::{Order, Peer};
use super::core::Core;
use super::entries::{Lingering, ServerCore};
use super::ready::Callback;
use super::timers::nanoseconds;
use crate::driver::Unacknowledged;
use crate::time::TimerKey;

/// How many sockets linger at most.
const MOST: usize = 4096;

/// How long after the last look the next one is taken at how far a peer is.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// How many are looked at in one tick: each may cost two system calls.
const LOOKS_PER_TICK: usize = 256;

/// How soon the rest follows.
const NEXT_LOOKS: Duration = Duration::from_millis(1);

/// How long a loop that closes waits for peers that take nothing, and at most.
const AT_THE_END: Duration = Duration::from_secs(1);
const AT_THE_END_AT_MOST: Duration = Duration::from_secs(5);

/// How soon it looks at all of them again, and how often if that lasts.
const FIRST_LOOKS_AT_THE_END: Duration = Duration::from_millis(2);
const LAST_LOOKS_AT_THE_END: Duration = Duration::from_millis(50);

/// The sockets that linger, the oldest first.
#[derive(Default)]
pub(crate) struct LingeringSockets {
    sockets: RefCell<BTreeMap<u64, LingeringSocket>>,
    /// The same sockets by who makes room first.
    order: RefCell<Order>,
    next_number: Cell<u64>,
    timer: Cell<Option<TimerKey>>,
}

struct LingeringSocket {
    socket: Rc<Lingering>,
    /// When it is to be looked at.
    look_at: u64,
    peer: Peer,
}

impl LingeringSockets {
    pub(crate) fn len(&self) -> usize {
        self.sockets.borrow().len()
    }

    /// The timer for all of them, which no connection has. It may have gone off, and not have run yet.
    pub(crate) fn timer(&self) -> Option<TimerKey> {
        self.timer.get()
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.replace(self.next_number.get() + 1)
    }

    fn first_to_go(&self) -> Option<u64> {
        self.order.borrow().first()
    }

    fn first_to_spare(&self) -> Option<u64> {
        self.order.borrow().first_to_spare()
    }

    /// Puts the socket where it belongs after a look.
    fn note_look(&self, socket: &Lingering, now: u64) {
        let mut sockets = self.sockets.borrow_mut();
        let Some(entry) = sockets.get_mut(&socket.number()) else { return };
        let mut order = self.order.borrow_mut();
        order.remove(&entry.peer);
        entry.peer.note_look(socket.last_unacknowledged() == Some(0), socket.progress_at(), now);
        order.insert(&entry.peer);
    }
}

impl Core {
    pub(crate) fn add_lingering(self: &Rc<Self>, socket: Rc<Lingering>) {
        let look_at = self.tick_time().saturating_add(nanoseconds(BETWEEN_LOOKS));
        let peer = Peer::new(socket.number(), socket.progress_at());
        self.lingering.order.borrow_mut().insert(&peer);
        let entry = LingeringSocket { look_at, socket, peer };
        self.lingering.sockets.borrow_mut().insert(entry.socket.number(), entry);
        if self.lingering.timer.get().is_none() {
            self.set_looking_timer(look_at);
        }
        if self.lingering.len() > MOST {
            self.give_up(self.lingering.first_to_go(), &Unacknowledged::begin());
        }
    }

    pub(crate) fn is_lingering(&self, number: u64) -> bool {
        self.lingering.sockets.borrow().contains_key(&number)
    }

    /// Takes it out of the list. It is the caller's to end.
    pub(crate) fn forget_lingering(&self, number: u64) -> Option<Rc<Lingering>> {
        let mut sockets = self.lingering.sockets.borrow_mut();
        let entry = sockets.remove(&number)?;
        self.lingering.order.borrow_mut().remove(&entry.peer);
        if sockets.is_empty()
            && let Some(timer) = self.lingering.timer.take()
        {
            self.cancel_timer(timer);
        }
        Some(entry.socket)
    }

    /// Opens something; where no descriptor is left, again after a socket that lingers has made room.
    pub(crate) fn open_descriptor<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        loop {
            match open() {
                Err(error) if self.give_up_lingering(&error) => {}
                outcome => return outcome,
            }
        }
    }

    /// Closes one of the sockets that linger, if `error` says that no descriptor is left. Returns whether
    /// there was one whose peer loses nothing by it, or takes nothing. Other shortages, as of memory, are
    /// not relieved so.
    pub(crate) fn give_up_lingering(&self, error: &io::Error) -> bool {
        if !is_out_of_descriptors(error) {
            return false;
        }
        // Asking needs a descriptor, too: without one, the last look says what the peer had.
        self.give_up(self.lingering.first_to_spare(), &Unacknowledged::begin())
    }

    fn give_up(&self, number: Option<u64>, asking: &Unacknowledged) -> bool {
        let socket = number.and_then(|number| self.forget_lingering(number));
        socket.map(|socket| socket.give_up(self, asking)).is_some()
    }

    /// How many sockets of `server`'s connections, or of all, linger whose peers have not acknowledged
    /// everything. Those that only have not ended their side do not count.
    pub(crate) fn unfinished_lingering(&self, server: Option<&Rc<ServerCore>>) -> usize {
        self.unfinished_of(server, &Unacknowledged::begin()).len()
    }

    /// Closes those that [`unfinished_lingering`](Self::unfinished_lingering) counts. Returns how many
    /// they were.
    pub(crate) fn give_up_unfinished_lingering(&self, server: Option<&Rc<ServerCore>>) -> usize {
        let asking = Unacknowledged::begin();
        let numbers = self.unfinished_of(server, &asking);
        for number in &numbers {
            if let Some(socket) = self.forget_lingering(*number) {
                socket.give_up(self, &asking);
            }
        }
        numbers.len()
    }

    fn unfinished_of(&self, server: Option<&Rc<ServerCore>>, asking: &Unacknowledged) -> Vec<u64> {
        let sockets = self.lingering.sockets.borrow();
        let is_meant = |socket: &Lingering| server.is_none_or(|server| socket.belongs_to(server));
        let own = sockets.values().filter(|entry| is_meant(&entry.socket));
        own.filter(|entry| !entry.socket.has_everything(self, asking))
            .map(|entry| entry.socket.number())
            .collect()
    }

    fn set_looking_timer(&self, at: u64) {
        let timer = self.add_timer(at, Box::new(Rc::new(Look)));
        self.lingering.timer.set(Some(timer));
    }

    /// Looks how far the peers are, and closes what has lingered long enough.
    fn look_at_lingering(&self) {
        let now = self.tick_time();
        let due: Vec<Rc<Lingering>> = {
            let mut sockets = self.lingering.sockets.borrow_mut();
            let due = sockets.values_mut().filter(|entry| entry.look_at <= now);
            due.take(LOOKS_PER_TICK)
                .map(|entry| {
                    entry.look_at = now.saturating_add(nanoseconds(BETWEEN_LOOKS));
                    Rc::clone(&entry.socket)
                })
                .collect()
        };
        let asking = Unacknowledged::begin();
        for socket in due {
            if socket.look(self, &asking) {
                let number = socket.number();
                drop(socket);
                if let Some(socket) = self.forget_lingering(number) {
                    socket.give_up(self, &asking);
                }
            } else {
                self.lingering.note_look(&socket, now);
            }
        }
        let next = self.lingering.sockets.borrow().values().map(|entry| entry.look_at).min();
        if let Some(next) = next
            && self.lingering.timer.get().is_none()
        {
            self.set_looking_timer(next.max(now.saturating_add(nanoseconds(NEXT_LOOKS))));
        }
    }

    /// The loop closes: peers that are still taking what was sent have a moment for it, which is spent
    /// waiting here. Nobody else would keep their sockets.
    pub(crate) fn end_all_lingering(self: &Rc<Self>) {
        let began = self.driver.now();
        let mut progress_at = began;
        let mut delay = FIRST_LOOKS_AT_THE_END;
        loop {
            let asking = Unacknowledged::begin();
            let numbers: Vec<u64> = self.lingering.sockets.borrow().keys().copied().collect();
            for number in numbers {
                let Some(socket) = self.lingering_socket(number) else { continue };
                let before = socket.last_unacknowledged();
                let is_done = socket.has_everything(self, &asking);
                if before.is_none() || socket.last_unacknowledged() < before {
                    progress_at = self.driver.now();
                }
                drop(socket);
                if is_done && let Some(socket) = self.forget_lingering(number) {
                    socket.end(self);
                }
            }
            let now = self.driver.now();
            let is_late = now.saturating_duration_since(progress_at) >= AT_THE_END
                || now.saturating_duration_since(began) >= AT_THE_END_AT_MOST;
            if self.lingering.len() == 0 || is_late || !self.driver.peers_run_meanwhile() {
                break;
            }
            // Not woken by events: a peer that sends without a pause would have all of them looked at
            // without one.
            std::thread::sleep(delay);
            delay = (2 * delay).min(LAST_LOOKS_AT_THE_END);
        }
        let asking = Unacknowledged::begin();
        while self.give_up(self.lingering.first_to_go(), &asking) {}
    }

    fn lingering_socket(&self, number: u64) -> Option<Rc<Lingering>> {
        self.lingering.sockets.borrow().get(&number).map(|entry| Rc::clone(&entry.socket))
    }
}

/// The timer that has the sockets looked at.
struct Look;

impl Callback for Look {
    fn run(self: Rc<Self>, core: &Rc<Core>) {
        core.lingering.timer.set(None);
        core.look_at_lingering();
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{PausedProtocol, Protocol};
    use crate::testing::{MemoryNetwork, advance, pair, settle};
    use crate::transport::Transport;

    struct Closer;

    impl Protocol for Closer {
        fn connection_made(&mut self, transport: &dyn Transport) -> crate::Result {
            transport.write(b"the last words");
            transport.close();
            Ok(())
        }

        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> crate::Result {
            Ok(())
        }
    }

    #[test]
    fn only_a_lack_of_descriptors_ends_sockets_that_linger() {
        let event_loop = MemoryNetwork::new().event_loop();
        for _ in 0..2 {
            pair(&event_loop, 64, Closer, PausedProtocol::new()).unwrap();
        }
        settle(&event_loop).unwrap();
        let core = event_loop.core();
        assert!(!core.give_up_lingering(&Errno::MFILE.into()), "nothing is known of their peers");
        advance(&event_loop, 4 * BETWEEN_LOOKS).unwrap();
        for errno in [Errno::NOBUFS, Errno::NOMEM, Errno::CONNABORTED] {
            assert!(!core.give_up_lingering(&errno.into()));
        }
        assert_eq!(core.lingering.len(), 2);
        assert!(core.give_up_lingering(&Errno::MFILE.into()));
        assert_eq!(core.lingering.len(), 1, "one for each descriptor");
        assert!(core.give_up_lingering(&Errno::NFILE.into()));
        assert!(!core.give_up_lingering(&Errno::NFILE.into()), "there are none");
        assert_eq!(event_loop.statistics().lingering_cut_off, 2);
    }
}
