use std::fmt::{self, Display};

/// Why a function failed, and whether it is worth to try again.
///
/// Whatever can be displayed becomes one that is tried again, so that `?` does in a function that returns
/// `Result<_, Failure>`:
///
/// ```
/// use wharf_executor::work::Failure;
///
/// fn parse(text: &str) -> Result<u32, Failure> {
///     text.parse().map_err(Failure::permanent)
/// }
///
/// fn read(path: &str) -> Result<u32, Failure> {
///     parse(&std::fs::read_to_string(path)?)
/// }
///
/// assert!(parse("x").unwrap_err().is_permanent());
/// assert!(!read("/nowhere").unwrap_err().is_permanent());
/// ```
// It cannot be displayed itself: that would be one conversion too many.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure {
    text: Box<str>,
    is_permanent: bool,
}

impl Failure {
    /// It would fail again: the task has failed, whatever retries are left.
    pub fn permanent(error: impl Display) -> Self {
        Self { text: error.to_string().into(), is_permanent: true }
    }

    /// It may succeed another time: the task is tried again, if it has retries left.
    pub fn retryable(error: impl Display) -> Self {
        Self { text: error.to_string().into(), is_permanent: false }
    }

    /// Whether it is not tried again.
    pub fn is_permanent(&self) -> bool {
        self.is_permanent
    }

    /// What went wrong, for people. It is the task's error.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retryable(error)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.is_permanent { "permanent" } else { "retryable" };
        formatter.debug_tuple(name).field(&self.text).finish()
    }
}
