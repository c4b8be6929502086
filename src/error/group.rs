//! The errors of a group of tasks.

use std::error::Error as StdError;
use std::fmt;

use super::{Error, Kind};

/// How many errors of a group are written.
const MOST_WRITTEN: usize = 10;

/// # The errors of a group of tasks
impl Error {
    /// All errors of a [`task_group`](crate::task_group) or a [`scope`](crate::scope) that failed, in the order in
    /// which they came: those of its tasks and of its body. Empty for any other error.
    ///
    /// The error of a group is of the kind of its first one, the one that ended it: `is_timeout` and the like,
    /// and [`downcast_ref`](Self::downcast_ref), speak of that. asyncio's `ExceptionGroup.exceptions`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::{Result, sleep, task_group};
    ///
    /// # fn main() -> Result {
    /// wharf::testing::MemoryNetwork::new().event_loop().run(async |_| {
    ///     let error = task_group(async |group| {
    ///         group.spawn(async { Err::<(), _>("the first".into()) });
    ///         group.spawn(async {
    ///             sleep(Duration::from_secs(3600)).await;
    ///             Ok(())
    ///         });
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap_err();
    ///     assert_eq!(error.errors().len(), 1);
    ///     assert_eq!(error.errors()[0].to_string(), "the first");
    ///     assert_eq!(format!("{error:#}"), "a task group failed: the first");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("ExceptionGroup", "exceptions", "MultiError"))]
    pub fn errors(&self) -> &[Self] {
        self.downcast_ref::<GroupErrors>().map_or(&[], |group| &group.0)
    }

    /// The error of a group that `errors` came out of; they are in the order in which they came.
    pub(crate) fn group(errors: Vec<Self>) -> Self {
        let context = match errors.len() {
            0 | 1 => "a task group failed".to_owned(),
            count => format!("a task group failed with {count} errors"),
        };
        let Some(first) = errors.first() else { return Self::new(Kind::Cancelled, context) };
        let (kind, of_connect) = (first.kind(), first.inner.of_connect);
        let mut error = Self::with_source(kind, context, GroupErrors(errors));
        if of_connect && let Some(inner) = std::sync::Arc::get_mut(&mut error.inner) {
            inner.of_connect = true;
        }
        error
    }
}

/// The list behind [`Error::errors`], as an error's source.
#[derive(Debug)]
pub(super) struct GroupErrors(pub(super) Vec<Error>);

impl fmt::Display for GroupErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().take(MOST_WRITTEN).enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{error:#}")?;
        }
        match self.0.len().saturating_sub(MOST_WRITTEN) {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

impl StdError for GroupErrors {}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::timeout::TimeoutKind;

    #[test]
    fn a_groups_error_is_of_the_kind_of_its_first() {
        let errors = vec![Error::timeout(TimeoutKind::Future), Error::from("second")];
        let group = Error::group(errors);
        assert!(group.is_timeout() && !group.is_application());
        assert_eq!(group.errors().len(), 2);
        assert_eq!(group.to_string(), "a task group failed with 2 errors");
        let chain = "a task group failed with 2 errors: what was awaited took too long; second";
        assert_eq!(format!("{group:#}"), chain);
        // What is said around it hides nothing.
        let around = group.in_context("a crawl failed");
        assert!(around.is_timeout());
        assert_eq!(around.errors().len(), 2);
        assert!(Error::from("alone").errors().is_empty());
    }

    #[test]
    fn what_is_in_an_error_of_a_group_is_found() {
        let io = || Error::io("reading", io::Error::from(io::ErrorKind::NotFound));
        let group = Error::group(vec![Error::from("first"), Error::group(vec![io()])]);
        assert_eq!(group.io_kind(), Some(io::ErrorKind::NotFound));
        assert!(group.is_application());
        assert_eq!(group.errors()[1].errors().len(), 1);
    }

    #[test]
    fn a_group_is_reported_if_one_of_its_errors_is() {
        let silent = || Error::protocol_violation("junk");
        assert!(!Error::group(vec![silent(), silent()]).is_reported());
        assert!(Error::group(vec![silent(), Error::from("a bug")]).is_reported());
    }

    #[test]
    fn the_text_of_many_errors_is_bounded() {
        let group = Error::group((0..1000).map(|_| Error::from("no")).collect());
        let text = format!("{group:#}");
        assert!(text.ends_with("no; no; and 990 more"), "{text}");
    }
}
