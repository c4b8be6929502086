//! What protocols of endpoints and processes have in common: a callback that comes to the point.

use std::rc::Rc;

use wharf::Result;

use crate::bomb::{Bomb, DropError, OnDrop};
use crate::stage::{Counts, Stage};

/// Comes to the point in the callback `at`, or when it is dropped.
pub(super) struct Reaching<At> {
    pub(super) at: At,
    /// By an error that panics when it is dropped, not by a panic.
    fails: bool,
    bomb: Bomb,
    counts: Rc<Counts>,
    _on_drop: Option<OnDrop>,
}

impl<At: Copy + PartialEq> Reaching<At> {
    pub(super) fn new(stage: &Stage, at: At, fails: bool) -> Self {
        let counts = Rc::clone(&stage.counts);
        Self { at, fails, bomb: stage.bomb.clone(), counts, _on_drop: None }
    }

    /// One whose `Drop` is the point, and whose callbacks never are, as `nowhere` is none.
    pub(super) fn dropped(stage: &Stage, nowhere: At) -> Self {
        Self { _on_drop: Some(stage.bomb.on_drop()), ..Self::new(stage, nowhere, false) }
    }

    /// The callback `at`, which is the point or is not.
    pub(super) fn reach(&self, at: At) -> Result {
        if at != self.at {
            return Ok(());
        }
        if self.fails {
            return Err(DropError(self.bomb.on_drop()).into());
        }
        self.bomb.tick();
        Ok(())
    }

    /// `connection_made`.
    pub(super) fn made(&self, at: At) -> Result {
        self.counts.made.set(self.counts.made.get() + 1);
        self.reach(at)
    }

    /// `connection_lost`.
    pub(super) fn lost(&self, at: At) -> Result {
        self.counts.lost.set(self.counts.lost.get() + 1);
        self.reach(at)
    }
}
