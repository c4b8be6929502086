//! A client waits for its coordinator.

use std::time::Duration;

use super::error::ClientError;
use super::handle::Client;

impl Client {
    /// Waits until the coordinator has welcomed this client, for at most so long. Nobody needs to: what is asked for is
    /// asked when there is a connection. It is for those who would rather fail.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`], with what failed last; the coordinator refuses this client; or it is closed.
    pub async fn connected(&self, within: Duration) -> Result<(), ClientError> {
        let mut why = None;
        let welcomed = wharf::timeout(within, self.shared.welcomed(&mut why)).await;
        welcomed.unwrap_or_else(|_| {
            let why = why.map(Box::from).or_else(|| self.shared.backend.failure());
            let why = why.unwrap_or_else(|| "it does not answer".into());
            Err(ClientError::Unreachable { tried: within, why })
        })
    }
}
