//! How each transport is set up: only this differs from one to the next.

use std::time::Duration;

use wharf::testing::{MemoryNetwork, pair};
use wharf::{EventLoop, Result};

use super::Echo;
use super::client::{Outcome, Workload};

/// How long the server's ends of the connections have to close; they do so at once.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) fn tcp(workload: Workload) -> Result<Outcome> {
    EventLoop::new()?
        .run(async |event_loop| over_address(event_loop, "127.0.0.1:0", workload).await)
}

pub(crate) fn unix(workload: Workload) -> Result<Outcome> {
    let path = std::env::temp_dir().join(format!("wharf-tour-{}", std::process::id()));
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_unix_server(|| Echo, &path).await?;
        let connect =
            async |client| Ok(event_loop.create_unix_connection(|| client, &path).await?);
        let outcome = workload.run(&event_loop, connect).await?;
        server.shutdown(GRACE).await?;
        Ok(outcome)
    })
}

/// Two protocols joined without a socket, on an ordinary loop.
pub(crate) fn memory_pair(workload: Workload) -> Result<Outcome> {
    EventLoop::new()?.run(async |event_loop| {
        let connect = async |client| {
            let (client, _echo) = pair(&event_loop, 64 * 1024, client, Echo)?;
            Ok(client)
        };
        workload.run(&event_loop, connect).await
    })
}

/// A whole network in memory, with a clock of its own: what protocols are tested on.
pub(crate) fn memory_network(workload: Workload) -> Result<Outcome> {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| over_address(event_loop, "192.0.2.1:7", workload).await)
}

/// The same code serves and connects on any loop.
async fn over_address(event_loop: EventLoop, address: &str, workload: Workload) -> Result<Outcome> {
    let server = event_loop.create_server(|| Echo, address).await?;
    let address = server.addresses()[0].as_ip().ok_or("the server has no IP address")?;
    let connect = async |client| Ok(event_loop.create_connection(|| client, address).await?);
    let outcome = workload.run(&event_loop, connect).await?;
    server.shutdown(GRACE).await?;
    Ok(outcome)
}
