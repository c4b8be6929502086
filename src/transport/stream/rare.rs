//! What most connections never have.

use std::cell::Cell;

use crate::fence;

/// Values that few connections have, in a box that is there only while one of them is.
pub(super) struct Rare<T>(Cell<Option<Box<T>>>);

/// What can be put in a [`Rare`].
pub(super) trait Occasional: Default {
    /// Whether there is nothing in it, so that its box can go.
    fn is_empty(&self) -> bool;
}

impl<T: Occasional> Rare<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Cell::new((!value.is_empty()).then(|| Box::new(value))))
    }

    #[inline]
    pub(super) fn is_there(&self) -> bool {
        let value = self.0.take();
        let is_there = value.is_some();
        self.0.set(value);
        is_there
    }

    /// Changes the values, which are the defaults where there are none yet.
    ///
    /// They are out of their place meanwhile: `change` runs no foreign code, and drops nothing of the
    /// user's.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let _hold = fence::hold();
        let mut value = self.0.take().unwrap_or_default();
        let result = change(&mut value);
        if !value.is_empty() {
            self.0.set(Some(value));
        }
        result
    }

    /// As [`change`](Self::change) where there are values, else the default result.
    #[inline]
    pub(super) fn change_existing<R: Default>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        if self.is_there() { self.change(change) } else { R::default() }
    }

    /// Takes all of them.
    #[inline]
    pub(super) fn take(&self) -> Option<Box<T>> {
        self.0.take()
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(Cell::new(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Number(u32);

    impl Occasional for Number {
        fn is_empty(&self) -> bool {
            self.0 == 0
        }
    }

    #[test]
    fn the_box_is_there_only_while_something_is_in_it() {
        let rare = Rare::new(Number(0));
        assert!(!rare.is_there());
        assert_eq!(rare.change_existing(|number| number.0 + 1), 0, "there is nothing to change");
        rare.change(|number| number.0 = 7);
        assert!(rare.is_there());
        assert_eq!(rare.change_existing(|number| std::mem::take(&mut number.0)), 7);
        assert!(!rare.is_there());
    }
}
