//! The dashboard, of a coordinator in this process or of any executor that can be reached.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::future::select;
use serde_json::json;
use wharf::signal::{SIGHUP, SIGINT, SIGTERM};
use wharf::{EventLoop, Result, Server, TlsServer};

use super::connect::Connect;
use super::output::Output;
use super::secrets::{identity, token};
use super::service::Manager;
use crate::access::KEEPALIVE;
use crate::dashboard::{ClientSource, Dashboard, DashboardOptions, Source};

/// Where it is served by a command that does nothing else.
const ADDRESS: &str = "127.0.0.1:8080";
/// How long browsers have to end their connections.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct ServeDashboard {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    http: Http,
    /// A file with what people and programs must know who look, which need not be what this command shows to the executor
    #[arg(long, env = "WHARF_EXECUTOR_HTTP_TOKEN_FILE")]
    http_token_file: Option<PathBuf>,
    /// The dashboard's certificate and its intermediates (PEM); read again on SIGHUP
    #[arg(long, requires = "http_tls_key")]
    http_tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM); read again on SIGHUP
    #[arg(long, requires = "http_tls_cert")]
    http_tls_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Http {
    /// Where to serve the dashboard, /metrics and /healthz: HOST:PORT, or https://HOST:PORT with a certificate. A token is
    /// wanted there if others than those on this machine could reach it
    #[arg(id = "http", long = "http", value_name = "ADDRESS", env = "WHARF_EXECUTOR_HTTP")]
    address: Option<String>,
    /// Names by which browsers find this host, besides localhost and its addresses
    #[arg(long = "http-name", value_name = "NAME", value_delimiter = ',')]
    names: Vec<String>,
}

pub(super) fn run(arguments: &ServeDashboard, output: Output) -> Result {
    wharf::run(async |event_loop| {
        let ServeDashboard { connect, http, http_token_file, http_tls_cert, http_tls_key } =
            arguments;
        let manager = Manager::new()?;
        let mut signals = event_loop.signals([SIGINT, SIGTERM, SIGHUP])?;
        let token = token(None, http_token_file.as_deref())?;
        let identity = identity(http_tls_cert.as_deref(), http_tls_key.as_deref())?;
        let tls = identity.map(|identity| TlsServer::builder().identity(identity).build());
        let tls = tls.transpose()?;
        let client = connect.client(&event_loop).await?;
        let source = ClientSource::start(&event_loop, client).await?;
        let address = http.address().unwrap_or(ADDRESS);
        let server = http.serve(&event_loop, source, address, token, tls.as_ref(), output).await?;
        manager.is_ready();
        manager.watch(&event_loop);
        while signals.next().await == SIGHUP {
            manager.reloads();
            if let Some(Err(error)) = tls.as_ref().map(TlsServer::reload) {
                eprintln!("the certificates stay as they were: {error}");
            }
            manager.is_ready();
        }
        manager.stops();
        select(server.shutdown(GRACE), Box::pin(signals.next())).await;
        Ok(())
    })
}

impl Http {
    /// Where it is wanted.
    pub(super) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Serves the dashboard, and says where.
    ///
    /// # Errors
    /// Others could reach the address, and there is no token; there is no certificate; or the address cannot be had.
    pub(super) async fn serve(
        &self,
        event_loop: &EventLoop,
        source: impl Source,
        address: &str,
        token: Option<Box<str>>,
        tls: Option<&TlsServer>,
        output: Output,
    ) -> Result<Server> {
        let (scheme, address) = match address.split_once("://") {
            None => ("http", address),
            Some((scheme @ ("http" | "https"), address)) => (scheme, address),
            Some((scheme, _)) => return Err(format!("a dashboard is not at {scheme}://").into()),
        };
        let names = self.names.clone();
        let options = DashboardOptions { token, names, ..DashboardOptions::default() };
        let dashboard = Dashboard::new(event_loop, source, address, options)?;
        let mut server =
            event_loop.create_server(dashboard.factory(), address).keepalive(KEEPALIVE);
        if scheme == "https" {
            let tls = tls.ok_or("TLS needs a certificate and its key")?;
            server = server.tls(tls);
        }
        let server = server.await?;
        for address in server.addresses() {
            let url = format!("{scheme}://{address}/");
            output.print(&json!({"dashboard": url}), format_args!("dashboard at {url}"))?;
        }
        Ok(server)
    }
}
