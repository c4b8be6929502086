use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wharf::Error;

use crate::mailbox::Mailbox;

/// What a reconnecting client is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// It tries an address.
    Connecting {
        /// Which.
        address: String,
        /// How many attempts have failed since the last connection: 0 at first.
        failures: u32,
    },
    /// It has a connection, and the protocol's own handshake is done, if it has
    /// [one](super::ReconnectBuilder::handshake).
    Connected {
        /// Where to.
        address: String,
    },
    /// It waits for the next attempt.
    Waiting {
        /// How long.
        delay: Duration,
        /// Why the connection was lost or could not be made; `None`: the peer ended it, or one of our own did.
        error: Option<Error>,
    },
    /// It has given up, or was closed. Nothing follows.
    Closed {
        /// Why it gave up; `None`: it was closed.
        error: Option<Error>,
    },
}

impl State {
    /// Whether this is [`State::Connected`].
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// Whether this is [`State::Closed`].
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed { .. })
    }
}

/// The states of a client from now on: see [`Reconnecting::states`](super::Reconnecting::states).
pub struct States {
    pub(super) queue: Rc<Mailbox<State>>,
}

impl States {
    /// The next state; `None` after [`State::Closed`].
    ///
    /// Dropping the future loses nothing. The last 64 that nobody has taken are kept.
    pub async fn next(&mut self) -> Option<State> {
        self.queue.next().await
    }
}

impl Drop for States {
    fn drop(&mut self) {
        self.queue.end();
        self.queue.clear();
    }
}

impl fmt::Debug for States {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("States").field("waiting", &self.queue.len()).finish()
    }
}
