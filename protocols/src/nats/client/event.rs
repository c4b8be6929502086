use std::fmt;
use std::rc::Rc;

use wharf::Error;

use crate::mailbox::Mailbox;

/// What happens to a client besides its messages.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// It is connected, and its subscriptions are restored.
    Connected {
        /// Where to.
        address: String,
    },
    /// The connection was lost, or an attempt failed; the next one follows.
    Disconnected {
        /// Why; `None`: the server ended it.
        error: Option<Error>,
    },
    /// The server refused something, such as a subscription that is not permitted.
    ServerError(String),
    /// A subscription's queue is full; messages are dropped, or the connection is not read, until some are taken. Told
    /// once for each time that it fills up.
    SlowConsumer {
        /// The subject of the subscription.
        subject: String,
    },
    /// A message that was kept for this connection is longer than its server takes, and was dropped.
    MessageTooLong {
        /// Where it was to be published.
        subject: String,
    },
    /// A message was dropped, as its subject is no UTF-8.
    MalformedMessage,
    /// The server is about to shut down: "lame duck mode".
    LameDuckMode,
    /// The client is closed, or has given up. Nothing follows.
    Closed {
        /// Why it gave up.
        error: Option<Error>,
    },
}

/// The events of a client from now on: see [`Client::events`](super::Client::events).
pub struct Events {
    pub(super) queue: Rc<Mailbox<Event>>,
}

impl Events {
    /// The next event; `None` after [`Event::Closed`].
    ///
    /// Dropping the future loses nothing. The last 64 that nobody has taken are kept.
    pub async fn next(&mut self) -> Option<Event> {
        self.queue.next().await
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.queue.end();
        self.queue.clear();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Events").field("waiting", &self.queue.len()).finish()
    }
}
