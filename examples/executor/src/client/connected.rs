//! A client waits for its coordinator.

use std::time::Duration;

use wharf_protocols::reconnect::State;

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
        let welcomed = wharf::timeout(within, self.welcomed(&mut why)).await;
        welcomed.unwrap_or_else(|_| {
            let why = why.unwrap_or_else(|| "it does not answer".to_owned());
            Err(ClientError::Unreachable { tried: within, why: why.into() })
        })
    }

    async fn welcomed(&self, why: &mut Option<String>) -> Result<(), ClientError> {
        let Some(client) = &self.client else { return self.shared.is_ready().await };
        let mut states = client.states();
        while let Some(state) = states.next().await {
            if let Some(refused) = &*self.shared.refused.borrow() {
                return Err(ClientError::NotAdmitted(refused.clone()));
            }
            match state {
                State::Connected { .. } => return Ok(()),
                State::Waiting { error: Some(error), .. } => *why = Some(format!("{error:#}")),
                _ => {}
            }
        }
        Err(ClientError::Closed)
    }
}
