//! How commands find the coordinator.

use std::time::Duration;

use clap::Args;
use wharf::{EventLoop, Result};

use super::exit::{CommandError, Exit};
use super::nats::Nats;
use super::parse;
use super::secrets::Credentials;
use crate::client::{Client, ClientError, ClientOptions};
use crate::work::{Functions, Worker, WorkerOptions};

/// Where the coordinator is.
#[derive(Clone, Debug, Args)]
pub(super) struct Connect {
    /// The coordinator's address: HOST:PORT, tls://HOST:PORT, unix:/PATH or unix:@NAME
    #[arg(long = "connect", default_value = "127.0.0.1:7070", env = "WHARF_EXECUTOR")]
    address: String,
    #[command(flatten)]
    credentials: Credentials,
    /// How long a command waits for a coordinator that is not there; a worker waits for ever
    #[arg(
        long,
        default_value = "5s",
        env = "WHARF_EXECUTOR_CONNECT_TIMEOUT",
        value_parser = parse::duration,
    )]
    connect_timeout: Duration,
    #[command(flatten)]
    nats: Nats,
}

impl Connect {
    /// A client of it, once it is there.
    pub(super) async fn client(&self, event_loop: &EventLoop) -> Result<Client> {
        let options =
            ClientOptions { token: self.credentials.token()?, ..ClientOptions::default() };
        let (client, what) = if self.nats.servers.is_empty() {
            let (address, tls) = self.credentials.tls(&self.address)?;
            let options = ClientOptions { tls, ..options };
            (Client::start(event_loop, [address], options)?, self.address.clone())
        } else {
            self.nats.check()?;
            let (servers, nats) = (&self.nats.servers, self.nats.options());
            let options = ClientOptions { tls: self.credentials.nats_tls(servers)?, ..options };
            (Client::on_nats(event_loop, servers, options, nats)?, self.nats.shown())
        };
        match client.connected(self.connect_timeout).await {
            Err(error @ ClientError::Unreachable { .. }) => {
                let text = format!("at {what}: {error}");
                Err(CommandError::new(Exit::Unreachable, text).into())
            }
            outcome => Ok(outcome.map(|()| client)?),
        }
    }

    /// The same for what only a coordinator does: on NATS it is refused before anything is made there, with why or what
    /// else to do.
    pub(super) async fn coordinator(
        &self,
        event_loop: &EventLoop,
        command: &str,
        on_nats: &str,
    ) -> Result<Client> {
        if !self.nats.servers.is_empty() {
            let text =
                format!("`{command}` is for a coordinator, and on NATS there is none: {on_nats}");
            return Err(CommandError::new(Exit::Refused, text).into());
        }
        self.client(event_loop).await
    }

    /// Who answers, for people.
    pub(super) fn whom(&self) -> &'static str {
        if self.nats.servers.is_empty() { "coordinator" } else { "NATS server" }
    }

    /// A worker's certificates are read again, for its next connections.
    pub(super) fn renew(&self, worker: &Worker) -> Result {
        if !self.nats.servers.is_empty() {
            return match self.credentials.nats_tls(&self.nats.servers)? {
                Some(_) => Err("on NATS they are read when a worker begins".into()),
                None => Ok(()),
            };
        }
        let (_, tls) = self.credentials.tls(&self.address)?;
        worker.set_tls(tls);
        Ok(())
    }

    /// A worker of it.
    pub(super) fn worker(
        &self,
        event_loop: &EventLoop,
        functions: Functions,
        options: WorkerOptions,
    ) -> Result<Worker> {
        let options = WorkerOptions { token: self.credentials.token()?, ..options };
        if !self.nats.servers.is_empty() {
            self.nats.check()?;
            let (servers, nats) = (&self.nats.servers, self.nats.options());
            let options = WorkerOptions { tls: self.credentials.nats_tls(servers)?, ..options };
            return Worker::on_nats(event_loop, servers, functions, options, nats);
        }
        let (address, tls) = self.credentials.tls(&self.address)?;
        let options = WorkerOptions { tls, ..options };
        Worker::start(event_loop, [address], functions, options)
    }
}
