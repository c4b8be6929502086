//! Requests and WebSockets, over a network in memory, in virtual time.

mod access;
mod client_source;
mod live;
mod pages;
mod visitors;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result};

use super::{Dashboard, DashboardOptions};
use crate::coordinator::{Overview, PhaseCounts, Totals};
use crate::serve::CoordinatorServer;
use crate::serve::tests::serve;
use crate::task::Timestamp;

const ADDRESS: &str = "127.0.0.1:8080";

/// Of nothing.
pub(super) fn overview() -> Overview {
    Overview {
        now: Timestamp(1_800_000_000_000),
        tasks: PhaseCounts::default(),
        kinds: Vec::new(),
        totals: Totals::default(),
        per_second: 0.0,
        workers: Vec::new(),
        worker_count: 0,
        is_draining: false,
        store_error: None,
    }
}

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

/// A coordinator with a dashboard, which has a token if `token` is given.
async fn dashboard(event_loop: &EventLoop, token: Option<&str>) -> Result<CoordinatorServer> {
    let coordinator = serve(event_loop).await?;
    serve_dashboard(event_loop, &coordinator, token).await?;
    Ok(coordinator)
}

async fn serve_dashboard(
    event_loop: &EventLoop,
    coordinator: &CoordinatorServer,
    token: Option<&str>,
) -> Result<Dashboard> {
    let names = vec!["tasks.example".to_owned()];
    let token = token.map(Into::into);
    let options = DashboardOptions { token, names, ..DashboardOptions::default() };
    let dashboard = Dashboard::new(event_loop, coordinator.clone(), ADDRESS, options)?;
    event_loop.create_server(dashboard.factory(), ADDRESS).await?;
    Ok(dashboard)
}

/// What is answered to a request, all of it.
async fn answer(event_loop: &EventLoop, head: &str, content: &str) -> Result<String> {
    let (mut reader, writer) = event_loop.open_connection(ADDRESS).await?;
    let length = content.len();
    let request =
        format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}");
    writer.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        let chunk = reader.read_chunk().await?;
        if chunk.is_empty() {
            return Ok(String::from_utf8(answer)?);
        }
        answer.extend_from_slice(chunk);
    }
}

async fn status(event_loop: &EventLoop, head: &str) -> Result<u16> {
    let answer = answer(event_loop, head, "").await?;
    Ok(answer.split(' ').nth(1).ok_or("no answer")?.parse()?)
}
