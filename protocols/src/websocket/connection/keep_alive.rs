//! Whether the peer is still there.

/// Asked when a deadline passes; all it costs a message is [`heard`](Self::heard).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeepAlive {
    has_heard: bool,
    is_asked: bool,
}

/// What to do when a deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Wait for another interval.
    Wait,
    /// Ask, and wait for an answer.
    Ask,
    /// Nobody is there.
    GiveUp,
}

impl KeepAlive {
    /// Something came from the peer.
    pub(super) fn heard(&mut self) {
        self.has_heard = true;
    }

    /// A deadline has passed. What could not be heard in the meantime does not count as silence.
    pub(super) fn passed(&mut self, could_hear: bool) -> Next {
        if self.has_heard || !could_hear {
            *self = Self::default();
            Next::Wait
        } else if self.is_asked {
            Next::GiveUp
        } else {
            self.is_asked = true;
            Next::Ask
        }
    }
}
