//! Results that nobody took.
//!
//! A future that is dropped with its result still in it closes what is in the result. The values that
//! lead to something open (`Connection`, `Server`, `Endpoint`, `Handover`) close nothing when their
//! user drops them, so they have to know who drops them: the engine says so with [`discard`]. That
//! reaches them wherever they are in the result, in a tuple, a list or a type of the user's own. It also
//! reaches what a `Drop` of the user's in it drops besides, which cannot be told from a part of it.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

thread_local! {
    /// Whether a result is being dropped that nobody took.
    static DISCARDING: Cell<bool> = const { Cell::new(false) };
}

/// Drops what nobody took, so that it closes what it leads to.
pub(crate) fn discard<T>(value: T) {
    let _scope = Scope::enter(true);
    drop(value);
}

/// One of the clones of a value that leads to something open. It counts from the first clone on, so
/// that a value of which there is only one costs no memory.
#[derive(Debug, Default)]
pub(crate) struct Share(OnceCell<Rc<()>>);

impl Share {
    /// Calls `close` if the value is dropped as part of a result that nobody took, and has no clone
    /// elsewhere. To be called from its `Drop`.
    pub(crate) fn close_if_untaken(&self, close: impl FnOnce()) {
        if DISCARDING.get() && self.0.get().is_none_or(|clones| Rc::strong_count(clones) == 1) {
            // What closing drops (a server's factory) is no part of the result.
            let _scope = Scope::enter(false);
            close();
        }
    }
}

impl Clone for Share {
    fn clone(&self) -> Self {
        let clones = self.0.get_or_init(Rc::default);
        Self(OnceCell::from(Rc::clone(clones)))
    }
}

/// Puts back what was, also when a drop panics.
struct Scope {
    outer: bool,
}

impl Scope {
    fn enter(discarding: bool) -> Self {
        Self { outer: DISCARDING.replace(discarding) }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        DISCARDING.set(self.outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Open {
        share: Share,
        closed: Rc<Cell<u32>>,
    }

    impl Drop for Open {
        fn drop(&mut self) {
            self.share.close_if_untaken(|| self.closed.set(self.closed.get() + 1));
        }
    }

    fn open() -> (Open, Rc<Cell<u32>>) {
        let closed = Rc::new(Cell::new(0));
        (Open { share: Share::default(), closed: Rc::clone(&closed) }, closed)
    }

    #[test]
    fn only_what_is_discarded_is_closed_wherever_it_is() {
        let (value, closed) = open();
        drop(value);
        assert_eq!(closed.get(), 0);
        let (value, closed) = open();
        discard((1, vec![Some(Ok::<_, ()>(value))]));
        assert_eq!(closed.get(), 1);
    }

    #[test]
    fn what_has_a_clone_elsewhere_stays_open_and_its_last_clone_counts() {
        let (value, closed) = open();
        let clone = Open { share: value.share.clone(), closed: Rc::clone(&closed) };
        discard(value);
        assert_eq!(closed.get(), 0);
        discard(clone);
        assert_eq!(closed.get(), 1);

        let (value, closed) = open();
        let clone = Open { share: value.share.clone(), closed: Rc::clone(&closed) };
        discard((value, clone));
        assert_eq!(closed.get(), 1, "both were in the result");
    }

    #[test]
    fn a_panic_ends_the_scope() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        let caught = std::panic::catch_unwind(|| discard(Panics));
        assert!(caught.is_err());
        assert!(!DISCARDING.get());
    }
}
