//! The attempts of a connect that failed.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// One address that a connect tried, and why it failed.
///
/// ```
/// use std::io;
/// use wharf::testing::{MemoryNetwork, Record};
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     // Nobody listens at either.
///     let servers = ["10.0.0.1:7", "10.0.0.2:7"];
///     let error = event_loop.create_connection(Record::new().factory(), servers).await.unwrap_err();
///     for attempt in error.attempts() {
///         println!("{attempt}");
///         assert_eq!(attempt.error.kind(), io::ErrorKind::ConnectionRefused);
///     }
///     assert_eq!(error.attempts().len(), 2);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectAttempt {
    /// The address.
    pub address: SocketAddr,
    /// Why connecting to it failed.
    pub error: io::Error,
}

impl fmt::Display for ConnectAttempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.address, self.error)
    }
}

/// The list behind [`Error::attempts`](super::Error::attempts), as an error's source.
#[derive(Debug)]
pub(crate) struct ConnectAttempts(pub(crate) Vec<ConnectAttempt>);

impl fmt::Display for ConnectAttempts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("no attempt finished");
        }
        for (position, attempt) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{attempt}")?;
        }
        Ok(())
    }
}

impl StdError for ConnectAttempts {}
