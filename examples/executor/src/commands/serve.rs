use std::time::Duration;

use wharf::Result;
use wharf::signal::{SIGINT, SIGTERM};

use super::arguments::Serve;
use crate::serve::{CoordinatorServer, ServeOptions};
use crate::store::DiskStore;

/// How long connections have to come to their end.
const GRACE: Duration = Duration::from_secs(2);

pub(super) fn run(arguments: Serve) -> Result {
    wharf::run(async move |event_loop| {
        std::fs::create_dir_all(&arguments.data)?;
        let store = DiskStore::open(&arguments.data.join("tasks.redb"))?;
        let options = ServeOptions { token: arguments.token, ..ServeOptions::default() };
        let coordinator = CoordinatorServer::new(&event_loop, store, options)?;
        let factory = coordinator.clone();
        let listening = event_loop.create_server(move || factory.protocol(), arguments.listen);
        let server = listening.await?;
        for address in server.addresses() {
            super::say(format_args!("listening on {address}"))?;
        }
        server.serve_until([SIGINT, SIGTERM], GRACE).await?;
        Ok(())
    })
}
