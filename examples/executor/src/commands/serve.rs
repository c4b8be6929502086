use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use wharf::signal::{SIGHUP, SIGINT, SIGTERM};
use wharf::{Result, TlsServer, inherited_sockets};

use super::listening::Listening;
use super::output::Output;
use super::secrets::Demands;
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::DiskStore;

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    demands: Demands,
    /// Where the tasks are kept
    #[arg(long, default_value = "wharf-executor.data")]
    data: PathBuf,
}

/// How long connections have to come to their end.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(arguments: Serve, output: Output) -> Result {
    // Before there is a thread: it changes the environment.
    let inherited = inherited_sockets()?;
    wharf::run(async move |event_loop| {
        let mut signals = event_loop.signals([SIGINT, SIGTERM, SIGHUP])?;
        std::fs::create_dir_all(&arguments.data)?;
        let tls = arguments.demands.tls()?;
        let store = DiskStore::open(&arguments.data.join("tasks.redb"))?;
        let options =
            ServeOptions { tokens: arguments.demands.tokens()?, ..ServeOptions::default() };
        let coordinator = CoordinatorServer::new(&event_loop, store, options)?;
        let Serve { listening, demands, .. } = &arguments;
        let listeners =
            listening.start(&event_loop, &coordinator, demands, tls.as_ref(), inherited);
        let listeners = listeners.await?;
        for address in listeners.iter().flat_map(wharf::Server::addresses) {
            let address = address.to_string();
            output.print(&json!({"listening": address}), format_args!("listening on {address}"))?;
        }
        while signals.next().await == SIGHUP {
            reload(tls.as_ref());
        }
        for server in &listeners {
            server.shutdown(GRACE).await?;
        }
        Ok(())
    })
}

/// New connections get the certificates that are in the files now; those that are there stay.
fn reload(tls: Option<&TlsServer>) {
    if let Some(Err(error)) = tls.map(TlsServer::reload) {
        eprintln!("the certificates stay as they were: {error}");
    }
}
