//! Whether the coordinator can be reached, and since when not.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use wharf_protocols::reconnect::State;

use super::error::ClientError;
use super::handle::Shared;

#[derive(Default)]
pub(super) struct Reach {
    /// Since when there has been no connection; `None`: there is one.
    lost: Cell<Option<Instant>>,
    /// That was too long ago.
    is_given_up: Cell<bool>,
    /// What went wrong last.
    why: RefCell<Box<str>>,
}

impl Shared {
    /// There is no connection. There may have been none before.
    pub(super) fn lost(self: &Rc<Self>) {
        if self.reach.lost.get().is_some() {
            return;
        }
        let lost = self.event_loop.time();
        self.reach.lost.set(Some(lost));
        *self.reach.why.borrow_mut() = "there was no answer".into();
        let Some(most) = self.options.connect_within else { return };
        let shared = Rc::downgrade(self);
        self.event_loop.call_later(most, move || {
            let Some(shared) = shared.upgrade() else { return };
            if shared.reach.lost.get() == Some(lost) {
                shared.reach.is_given_up.set(true);
                if let Some(error) = shared.unreachable() {
                    shared.give_up(&error);
                }
            }
        });
    }

    /// There is a connection.
    pub(super) fn reached(&self) {
        self.reach.lost.set(None);
        self.reach.is_given_up.set(false);
    }

    /// What the client is doing instead of being connected.
    pub(super) fn note(&self, state: &State) {
        if let State::Waiting { error: Some(error), .. } = state {
            *self.reach.why.borrow_mut() = format!("{error:#}").into();
        }
    }

    /// The error of whatever is asked for, if it was tried for too long.
    pub(super) fn unreachable(&self) -> Option<ClientError> {
        let lost = self.reach.lost.get().filter(|_| self.reach.is_given_up.get())?;
        let tried = self.event_loop.time().saturating_duration_since(lost);
        Some(ClientError::Unreachable { tried, why: self.reach.why.borrow().clone() })
    }
}
