//! How commands find an executor on NATS.

use std::time::Duration;

use clap::Args;
use wharf::Result;

use crate::nats::NatsOptions;

/// An executor on NATS JetStream.
#[derive(Clone, Debug, Args)]
pub(super) struct Nats {
    /// NATS servers, in place of a coordinator: host:port or nats://user:password@host:port, several with commas
    #[arg(
        id = "nats",
        long = "nats",
        value_name = "SERVERS",
        value_delimiter = ',',
        env = "WHARF_EXECUTOR_NATS"
    )]
    pub(super) servers: Vec<String>,
    /// What stream, bucket and subjects begin with
    #[arg(id = "nats_name", long = "nats-name", value_name = "NAME", default_value = "wharf")]
    name: Box<str>,
    /// On how many servers tasks are kept, if this command is the first one: 1, 3 or 5
    #[arg(id = "nats_replicas", long = "nats-replicas", value_name = "COUNT", default_value_t = 1)]
    replicas: usize,
    /// Seconds after which a worker of which nothing is heard has lost its tasks, if this command is the first one
    #[arg(id = "nats_lease", long = "nats-lease", value_name = "SECONDS", default_value_t = 15)]
    lease: u64,
}

impl Nats {
    /// Refuses what would be ignored.
    ///
    /// # Errors
    /// There are certificates for a coordinator.
    pub(super) fn check(&self, has_tls: bool) -> Result {
        if has_tls {
            return Err(
                "NATS servers are spoken to without TLS: --tls-ca and --tls-cert are for --connect"
                    .into(),
            );
        }
        Ok(())
    }

    pub(super) fn options(&self) -> NatsOptions {
        NatsOptions {
            name: self.name.clone(),
            replicas: self.replicas,
            lease: Duration::from_secs(self.lease.max(1)),
            ..NatsOptions::default()
        }
    }
}
