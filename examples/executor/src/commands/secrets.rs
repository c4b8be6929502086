//! Options about who may talk: tokens, certificates.

use std::path::{Path, PathBuf};

use clap::Args;
use wharf::{Result, TlsClient, TlsIdentity, TlsServer};

use crate::access::Tokens;

/// What a client or a worker shows to the coordinator, and which coordinator it trusts.
#[derive(Clone, Debug, Args)]
pub(super) struct Credentials {
    /// What the coordinator wants to hear; a file does not show in the list of processes
    #[arg(
        long,
        env = "WHARF_EXECUTOR_TOKEN",
        hide_env_values = true,
        conflicts_with = "token_file"
    )]
    token: Option<Box<str>>,
    /// A file with what the coordinator wants to hear
    #[arg(long, env = "WHARF_EXECUTOR_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// The authorities (PEM) whose word for the coordinator is taken; the system's for tls:// without it
    #[arg(long, env = "WHARF_EXECUTOR_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// A certificate (PEM) to show to the coordinator
    #[arg(long, env = "WHARF_EXECUTOR_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, env = "WHARF_EXECUTOR_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Whose certificate the coordinator has; by default the host's that is connected to
    #[arg(long, env = "WHARF_EXECUTOR_TLS_SERVER_NAME")]
    tls_server_name: Option<String>,
}

impl Credentials {
    /// The token, if there is one.
    pub(super) fn token(&self) -> Result<Option<Box<str>>> {
        token(self.token.as_deref(), self.token_file.as_deref())
    }

    /// The address without its scheme, and TLS for it: with `tls://`, or with an authority or a certificate.
    pub(super) fn tls<'a>(&self, address: &'a str) -> Result<(&'a str, Option<TlsClient>)> {
        let (address, wants) = match address.split_once("://") {
            Some(("tls", address)) => (address, true),
            Some(("tcp", address)) => (address, false),
            Some((scheme, _)) => return Err(format!("no coordinator is at {scheme}://").into()),
            None => (address, self.tls_ca.is_some() || self.tls_cert.is_some()),
        };
        Ok((address, if wants { Some(self.tls_client()?) } else { None }))
    }

    /// TLS to NATS servers: if an address has `tls://`, or with an authority or a certificate.
    pub(super) fn nats_tls(&self, servers: &[String]) -> Result<Option<TlsClient>> {
        let wants = servers.iter().any(|server| server.trim_start().starts_with("tls://"))
            || self.tls_ca.is_some()
            || self.tls_cert.is_some();
        if wants { self.tls_client().map(Some) } else { Ok(None) }
    }

    fn tls_client(&self) -> Result<TlsClient> {
        let mut builder = TlsClient::builder();
        if let Some(authorities) = &self.tls_ca {
            builder = builder.ca_file(authorities);
        }
        if let Some(identity) = identity(self.tls_cert.as_deref(), self.tls_key.as_deref())? {
            builder = builder.identity(identity);
        }
        let client = builder.build()?;
        Ok(match &self.tls_server_name {
            Some(name) => client.server_name(name),
            None => client,
        })
    }
}

/// What the coordinator demands of its peers, and what it shows them.
#[derive(Debug, Args)]
pub(super) struct Demands {
    /// What workers and clients must know; a file does not show in the list of processes
    #[arg(
        long,
        env = "WHARF_EXECUTOR_TOKEN",
        hide_env_values = true,
        conflicts_with = "token_file"
    )]
    token: Option<Box<str>>,
    /// A file with what workers and clients must know
    #[arg(long, env = "WHARF_EXECUTOR_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// A file with a second token, for those who submit tasks and do nothing else
    #[arg(long)]
    submit_token_file: Option<PathBuf>,
    /// A file with a second token, for those who run tasks and do nothing else
    #[arg(long)]
    work_token_file: Option<PathBuf>,
    /// The coordinator's certificate and its intermediates (PEM); read again on SIGHUP
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM); read again on SIGHUP
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Authorities (PEM) of clients and workers: who has no certificate of theirs is refused
    #[arg(long, requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
}

impl Demands {
    /// The tokens.
    pub(super) fn tokens(&self) -> Result<Tokens> {
        Ok(Tokens {
            all: token(self.token.as_deref(), self.token_file.as_deref())?,
            submit: token(None, self.submit_token_file.as_deref())?,
            work: token(None, self.work_token_file.as_deref())?,
        })
    }

    /// What those must know who look at the dashboard.
    pub(super) fn token_of_dashboard(&self) -> Result<Option<Box<str>>> {
        let tokens = self.tokens()?;
        if !tokens.is_empty() && tokens.all.is_none() {
            return Err("a dashboard shows and changes everything: give a --token-file".into());
        }
        Ok(tokens.all)
    }

    /// TLS, if there is a certificate.
    pub(super) fn tls(&self) -> Result<Option<TlsServer>> {
        let Some(identity) = identity(self.tls_cert.as_deref(), self.tls_key.as_deref())? else {
            return Ok(None);
        };
        let mut builder = TlsServer::builder().identity(identity);
        if let Some(authorities) = &self.tls_client_ca {
            builder = builder.client_ca_file(authorities);
        }
        Ok(Some(builder.build()?))
    }

    /// Whether a peer needs a certificate where there is TLS.
    pub(super) fn asks_for_certificates(&self) -> bool {
        self.tls_client_ca.is_some()
    }
}

/// Both, or none.
pub(super) fn identity(chain: Option<&Path>, key: Option<&Path>) -> Result<Option<TlsIdentity>> {
    match (chain, key) {
        (Some(chain), Some(key)) => Ok(Some(TlsIdentity::from_files(chain, key))),
        (None, None) => Ok(None),
        // Those of a file of options are not looked at together.
        _ => Err("a certificate needs its key, and a key its certificate".into()),
    }
}

/// A token, or the one that a file has.
pub(super) fn token(text: Option<&str>, file: Option<&Path>) -> Result<Option<Box<str>>> {
    let Some(path) = file else { return Ok(text.map(Box::from)) };
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(format!("{}: there is no token in it", path.display()).into()),
        token => Ok(Some(token.into())),
    }
}
