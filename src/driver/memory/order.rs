//! In which order things happen that happen at one instant.

use std::cell::RefCell;

/// Chooses one of so many, which are at least one.
pub(crate) type Choose = Box<dyn Fn(usize) -> usize>;

/// In which order things happen that happen at one instant: that of their making, unless a simulation shuffles them.
#[derive(Default)]
pub(super) struct Order(RefCell<Option<Choose>>);

impl Order {
    #[cfg(feature = "sim")]
    pub(super) fn set(&self, choose: Option<Choose>) {
        *self.0.borrow_mut() = choose;
    }

    /// Any order of these.
    pub(super) fn shuffle<T>(&self, items: &mut [T]) {
        if items.len() < 2 {
            return;
        }
        let choose = self.0.borrow();
        let Some(choose) = &*choose else { return };
        for last in (1..items.len()).rev() {
            items.swap(last, choose(last + 1).min(last));
        }
    }

    /// What something that happens at an instant is ordered by, among others.
    pub(super) fn rank(&self) -> u32 {
        match &*self.0.borrow() {
            Some(choose) => u32::try_from(choose(RANKS)).unwrap_or(0),
            None => 0,
        }
    }

    /// Whether others have their turn before the next thing of the same instant happens.
    pub(super) fn gives_way(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|choose| choose(4) == 0)
    }
}

/// Enough that two are hardly ever the same.
const RANKS: usize = 1 << 30;
