//! How commands find the coordinator.

use clap::Args;
use wharf::{EventLoop, Result};

use crate::client::{Client, ClientOptions};
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
}

impl Connect {
    /// A client of it.
    pub(super) fn client(&self, event_loop: &EventLoop) -> Result<Client> {
        let options = ClientOptions { token: self.token.clone(), ..ClientOptions::default() };
        Client::start(event_loop, [&*self.address], options)
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
