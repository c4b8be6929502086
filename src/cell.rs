//! Values that are taken out of their cell while they are used, and put back.

use std::cell::Cell;

/// What was taken out of its place. It goes back when this is dropped, also by what unwinds.
pub(crate) struct Borrowed<'a, T> {
    place: &'a Cell<Option<T>>,
    value: Option<T>,
}

impl<'a, T> Borrowed<'a, T> {
    #[inline]
    pub(crate) fn take(place: &'a Cell<Option<T>>, make: impl FnOnce() -> T) -> Self {
        let value = place.take().unwrap_or_else(make);
        Self { place, value: Some(value) }
    }

    #[inline]
    pub(crate) fn value(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("it is given back by `drop` only"),
        }
    }
}

impl<T> Drop for Borrowed<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            put_back(self.place, value);
        }
    }
}

/// Puts back what was taken out of its place: nothing is there, and nothing has to be dropped.
#[inline]
pub(crate) fn put_back<T>(place: &Cell<Option<T>>, value: T) {
    let nothing = place.replace(Some(value));
    debug_assert!(nothing.is_none(), "the place was taken in the meantime");
    std::mem::forget(nothing);
}
