//! How commands find an executor on NATS.

use std::time::Duration;

use clap::Args;

use super::exit::{CommandError, Exit};
use crate::nats::NatsOptions;

/// An executor on NATS JetStream.
#[derive(Clone, Debug, Args)]
pub(super) struct Nats {
    /// NATS servers, in place of a coordinator: host:port or nats://user:password@host:port, several with commas; tls:// is
    /// under TLS
    #[arg(
        id = "nats",
        long = "nats",
        value_name = "SERVERS",
        value_delimiter = ',',
        env = "WHARF_EXECUTOR_NATS",
        hide_env_values = true
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
    /// Refuses what is half of an address: the other half of a password would be taken for a server, and shown.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let is_half = |server: &String| server.contains('@') && !server.contains("://");
        if self.servers.iter().any(is_half) {
            let text = "--nats: an address with a user begins with nats:// or tls://, and has no comma in it";
            return Err(CommandError::new(Exit::Usage, text));
        }
        Ok(())
    }

    /// The servers, without passwords.
    pub(super) fn shown(&self) -> String {
        let shown = |server: &String| match server.rsplit_once('@') {
            Some((_, host)) => host.to_owned(),
            None => server.clone(),
        };
        self.servers.iter().map(shown).collect::<Vec<_>>().join(",")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_nats_servers_are_not_shown_nor_halves_of_them() {
        let nats = |servers: &str| Nats {
            servers: servers.split(',').map(String::from).collect(),
            name: "wharf".into(),
            replicas: 1,
            lease: 1,
        };
        let several = nats("a:4222,nats://me:secret@b:4222,tls://se@cret@[::1]:4222");
        assert!(several.check().is_ok());
        assert_eq!(several.shown(), "a:4222,b:4222,[::1]:4222");
        let error = nats("nats://me:sec,ret@b:4222").check().unwrap_err().to_string();
        assert!(error.contains("comma") && !error.contains("ret@"), "{error}");
    }
}
