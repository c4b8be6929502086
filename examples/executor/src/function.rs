use std::fmt;
use std::marker::PhantomData;

use crate::task::{InvalidName, is_name};

/// A function of workers, with the types of its arguments and of what it returns: what a worker
/// [defines](crate::work::Functions::define) and a client [calls](crate::client::Client::call), so that the compiler
/// checks both.
///
/// ```
/// use wharf_executor::Function;
/// use wharf_executor::work::Functions;
///
/// const ADD: Function<(i64, i64), i64> = Function::new("add");
///
/// let mut functions = Functions::new();
/// functions.define(&ADD, |(left, right), _| Ok::<_, String>(left + right));
/// assert_eq!(functions.kinds().count(), 1);
/// ```
pub struct Function<A, R> {
    name: &'static str,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R> Function<A, R> {
    /// A function with a name: the kind of its tasks.
    ///
    /// # Panics
    /// It is no name of 1 to 64 letters, digits, `.`, `_`, `:` and `-`. In a `const` the compiler says so.
    pub const fn new(name: &'static str) -> Self {
        assert!(is_name(name), "{}", InvalidName::TEXT);
        Self { name, types: PhantomData }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<A, R> Clone for Function<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A, R> Copy for Function<A, R> {}

impl<A, R> fmt::Debug for Function<A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Function").field(&self.name).finish()
    }
}
