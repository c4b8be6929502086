//! Options of the dashboard.

use clap::Args;
use serde_json::json;
use wharf::{EventLoop, Result, Server, TlsServer};

use super::output::Output;
use super::secrets::Demands;
use crate::access::KEEPALIVE;
use crate::dashboard::{Dashboard, DashboardOptions};
use crate::serve::CoordinatorServer;

#[derive(Debug, Args)]
pub(super) struct Http {
    /// Where to serve the dashboard, /metrics and /healthz: HOST:PORT, or https://HOST:PORT with the coordinator's
    /// certificate. The token is wanted there as well
    #[arg(long = "http", value_name = "ADDRESS", env = "WHARF_EXECUTOR_HTTP")]
    address: Option<String>,
    /// Names by which browsers find this host, besides localhost and its addresses
    #[arg(long = "http-name", value_name = "NAME", value_delimiter = ',')]
    names: Vec<String>,
}

impl Http {
    /// Serves the dashboard, if it is wanted, and says where.
    ///
    /// # Errors
    /// Others could reach the address, and there is no token; there is no certificate; or the address cannot be had.
    pub(super) async fn serve(
        &self,
        event_loop: &EventLoop,
        coordinator: &CoordinatorServer,
        demands: &Demands,
        tls: Option<&TlsServer>,
        output: Output,
    ) -> Result<Option<Server>> {
        let Some(address) = self.address.as_deref() else { return Ok(None) };
        let (scheme, address) = match address.split_once("://") {
            None => ("http", address),
            Some((scheme @ ("http" | "https"), address)) => (scheme, address),
            Some((scheme, _)) => return Err(format!("a dashboard is not at {scheme}://").into()),
        };
        let tokens = demands.tokens()?;
        if !tokens.is_empty() && tokens.all.is_none() {
            return Err("a dashboard shows and changes everything: give a --token-file".into());
        }
        let names = self.names.clone();
        let options = DashboardOptions { token: tokens.all, names, ..DashboardOptions::default() };
        let dashboard = Dashboard::new(event_loop, coordinator.clone(), address, options)?;
        let mut server =
            event_loop.create_server(dashboard.factory(), address).keepalive(KEEPALIVE);
        if scheme == "https" {
            let tls = tls.ok_or("TLS needs --tls-cert and --tls-key")?;
            server = server.tls(tls);
        }
        let server = server.await?;
        for address in server.addresses() {
            let url = format!("{scheme}://{address}/");
            output.print(&json!({"dashboard": url}), format_args!("dashboard at {url}"))?;
        }
        Ok(Some(server))
    }
}
