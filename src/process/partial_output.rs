//! What a program wrote that was not run to its end.

use std::error::Error as StdError;
use std::fmt;

use crate::error::Error;

/// What a program wrote before it was killed: what [`Error::partial_output`] gives.
///
/// ```
/// use std::time::Duration;
/// use wharf::{EventLoop, Result};
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let running = event_loop
///         .run_shell("echo begun; exec sleep 60")
///         .timeout(Duration::from_millis(500));
///     let error = running.await.expect_err("it takes a minute");
///     assert!(error.is_timeout());
///     println!("until then: {:?}", error.partial_output());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartialOutput {
    /// From its standard output.
    pub stdout: Vec<u8>,
    /// From its standard error.
    pub stderr: Vec<u8>,
}

impl fmt::Display for PartialOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (self.stdout.len(), self.stderr.len());
        write!(
            formatter,
            "{stdout} bytes of its standard output and {stderr} of its standard error were read"
        )
    }
}

impl fmt::Debug for PartialOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PartialOutput")
            .field("stdout", &String::from_utf8_lossy(&self.stdout))
            .field("stderr", &String::from_utf8_lossy(&self.stderr))
            .finish()
    }
}

impl StdError for PartialOutput {}

impl Error {
    /// What a program had written that was killed because it ran for too long or wrote too much
    /// (see [`RunBuilder::timeout`] and [`RunBuilder::output_limit`]); `None` for any other error.
    ///
    /// Python's `TimeoutExpired.output` and `stderr`. After a timeout it is all that the program had
    /// written by then; beyond an output limit it is the first so many bytes.
    ///
    /// ```
    /// # fn main() -> wharf::Result {
    /// use std::time::Duration;
    ///
    /// let event_loop = wharf::EventLoop::new()?;
    /// event_loop.run(async |event_loop| {
    ///     let slow = event_loop.run_shell("echo so far; exec sleep 100");
    ///     let error = slow.timeout(Duration::from_secs(1)).await.unwrap_err();
    ///     assert!(error.is_timeout());
    ///     assert_eq!(error.partial_output().unwrap().stdout, b"so far\n");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// [`RunBuilder::timeout`]: crate::RunBuilder::timeout
    /// [`RunBuilder::output_limit`]: crate::RunBuilder::output_limit
    pub fn partial_output(&self) -> Option<&PartialOutput> {
        self.downcast_ref()
    }
}
