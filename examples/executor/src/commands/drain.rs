//! `drain`: nothing new begins.

use clap::Args;
use serde_json::json;
use wharf::Result;

use super::connect::Connect;
use super::output::Output;

#[derive(Debug, Args)]
pub(super) struct Drain {
    #[command(flatten)]
    connect: Connect,
    /// It takes and gives tasks again
    #[arg(long)]
    end: bool,
}

pub(super) fn run(arguments: &Drain, output: Output) -> Result {
    wharf::run(async |event_loop| {
        let client = arguments.connect.client(&event_loop).await?;
        client.drain(!arguments.end).await?;
        output.changed(&json!({"draining": !arguments.end}))
    })
}
