//! What users' code fails with.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::ops::Deref;

use super::display::{OneLine, write_chain};

/// What a user's code returns: callbacks, `run` closures, factories.
///
/// ```
/// use wharf::Result;
///
/// /// Without a value, as callbacks return it.
/// fn check(text: &str) -> Result {
///     if text.is_empty() {
///         return Err("nothing there".into());
///     }
///     Ok(())
/// }
///
/// /// With a value. `?` takes any error.
/// fn number(text: &str) -> Result<u32> {
///     check(text)?;
///     Ok(text.trim().parse()?)
/// }
///
/// /// With another error, it is the one of std.
/// fn known(text: &str) -> Result<u32, wharf::Error> {
///     number(text).map_err(wharf::Error::from)
/// }
/// # assert_eq!(number("42")?, 42);
/// # assert!(known("forty-two").is_err_and(|error| error.is_application()));
/// # Ok::<(), wharf::Failure>(())
/// ```
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// What a user's code fails with: any error, or any text.
///
/// `?` takes every error type, and `Err("text".into())` works too. A wharf [`Error`](crate::Error) keeps its
/// kind on the way through the loop.
///
/// It prints as a wharf error does: `{failure}` is the message, `{failure:#}` and `{failure:?}` are the whole
/// chain in one line. So a `main` that returns a [`Result`] ends with a line that a person can use:
///
/// ```
/// fn address(text: &str) -> wharf::Result<std::net::SocketAddr> {
///     Ok(text.parse()?)
/// }
///
/// let failure = address("localhost").unwrap_err();
/// // What `main` prints behind "Error: ".
/// assert_eq!(format!("{failure:?}"), "invalid socket address syntax");
/// ```
///
/// It dereferences to the error inside. As `anyhow::Error`, it is no [`std::error::Error`] itself; `?` turns it
/// into a `Box<dyn Error>`, and [`into_boxed`](Self::into_boxed) into one that is `Send` and `Sync`.
pub struct Failure(Box<dyn StdError + Send + Sync>);

impl Failure {
    /// Makes one of any error, or any text.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The error inside, if it is of this type.
    pub fn downcast_ref<T: StdError + 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// Gives the error inside back, if it is of this type.
    pub fn downcast<T: StdError + 'static>(self) -> Result<T> {
        self.0.downcast().map(|error| *error).map_err(Self)
    }

    /// The error inside.
    pub fn into_boxed(self) -> Box<dyn StdError + Send + Sync> {
        self.0
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

impl From<Failure> for Box<dyn StdError> {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl Deref for Failure {
    type Target = dyn StdError + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if formatter.alternate() {
            write_chain(&*self.0, formatter)
        } else {
            write!(OneLine(formatter), "{}", self.0)
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(&*self.0, formatter)
    }
}
