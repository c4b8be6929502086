use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use wharf::Result;
use wharf::signal::{SIGINT, SIGTERM};

use super::output::Output;
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::DiskStore;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen; the first line of output says where it does
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: String,
    /// Where the tasks are kept
    #[arg(long, default_value = "wharf-executor.data")]
    data: PathBuf,
    /// What workers and clients must know
    #[arg(long, env = "WHARF_EXECUTOR_TOKEN", hide_env_values = true)]
    token: Option<Box<str>>,
}

/// How long connections have to come to their end.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(arguments: Serve, output: Output) -> Result {
    wharf::run(async move |event_loop| {
        std::fs::create_dir_all(&arguments.data)?;
        let store = DiskStore::open(&arguments.data.join("tasks.redb"))?;
        let options = ServeOptions { token: arguments.token, ..ServeOptions::default() };
        let coordinator = CoordinatorServer::new(&event_loop, store, options)?;
        let factory = coordinator.clone();
        let listening = event_loop.create_server(move || factory.protocol(), arguments.listen);
        let server = listening.await?;
        for address in server.addresses() {
            let address = address.to_string();
            output.print(&json!({"listening": address}), format_args!("listening on {address}"))?;
        }
        server.serve_until([SIGINT, SIGTERM], GRACE).await?;
        Ok(())
    })
}
