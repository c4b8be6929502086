//! The server, and what it puts up with.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, Keepalive, ServerBuilder, Timeout};

use super::hall::Hall;
use super::member::Member;
use wharf_examples::serving::Listen;

/// The most bytes that may wait for one member. Whoever reads so slowly that more are waiting is
/// disconnected: the others neither wait nor pay for it.
pub(crate) const WRITE_CAP: usize = 256 * 1024;

/// A member who has taken nothing of what waits for so long is gone.
const STALL: Duration = Duration::from_secs(60);

/// A server to be awaited. With `idle`, members who say and hear nothing for so long are sent away.
pub(crate) fn chat_server(
    event_loop: &EventLoop,
    listen: Listen,
    idle: Option<Duration>,
) -> ServerBuilder {
    // A loop and all that runs on it stay on one thread: no lock is needed to share.
    let hall = Rc::new(RefCell::new(Hall::default()));
    let member = move || Member::new(Rc::clone(&hall));
    let server = match listen {
        Listen::Address(address) => event_loop.create_server(member, address),
        Listen::Unix(path) => event_loop.create_unix_server(member, path),
    };
    server
        .write_buffer_cap(Some(WRITE_CAP))
        .connection_timeout(Timeout::WriteStall, Some(STALL))
        .connection_timeout(Timeout::Idle, idle)
        .keepalive(Keepalive::new().time(STALL))
}
