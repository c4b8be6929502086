//! How commands find the coordinator.

use std::time::Duration;

use clap::Args;
use wharf::{EventLoop, Result};

use super::exit::{CommandError, Exit};
use super::parse;
use crate::client::{Client, ClientError, ClientOptions};
use crate::work::{Functions, Worker, WorkerOptions};

/// Where the coordinator is.
#[derive(Clone, Debug, Args)]
pub(super) struct Connect {
    /// The coordinator's address
    #[arg(long = "connect", default_value = "127.0.0.1:7070", env = "WHARF_EXECUTOR")]
    address: String,
    /// What the coordinator wants to hear
    #[arg(long, env = "WHARF_EXECUTOR_TOKEN", hide_env_values = true)]
    token: Option<Box<str>>,
    /// How long a command waits for a coordinator that is not there; a worker waits for ever
    #[arg(
        long,
        default_value = "5s",
        env = "WHARF_EXECUTOR_CONNECT_TIMEOUT",
        value_parser = parse::duration,
    )]
    connect_timeout: Duration,
}

impl Connect {
    /// A client of it, once it is there.
    pub(super) async fn client(&self, event_loop: &EventLoop) -> Result<Client> {
        let options = ClientOptions { token: self.token.clone(), ..ClientOptions::default() };
        let client = Client::start(event_loop, [&*self.address], options)?;
        match client.connected(self.connect_timeout).await {
            Err(ClientError::Unreachable(why)) => {
                let text = format!("no coordinator at {}: {why}", self.address);
                Err(CommandError::new(Exit::Unreachable, text).into())
            }
            outcome => Ok(outcome.map(|()| client)?),
        }
    }

    /// A worker of it.
    pub(super) fn worker(
        &self,
        event_loop: &EventLoop,
        functions: Functions,
        options: WorkerOptions,
    ) -> Result<Worker> {
        let options = WorkerOptions { token: self.token.clone(), ..options };
        Worker::start(event_loop, [&*self.address], functions, options)
    }
}
