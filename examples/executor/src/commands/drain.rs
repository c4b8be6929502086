use clap::Args;
use wharf::Result;

use super::connect::Connect;

#[derive(Debug, Args)]
pub(super) struct Drain {
    #[command(flatten)]
    coordinator: Connect,
    /// It takes and gives tasks again
    #[arg(long)]
    end: bool,
}

pub(super) fn run(arguments: &Drain) -> Result {
    wharf::run(async |event_loop| {
        let client = arguments.coordinator.client(&event_loop).await?;
        client.drain(!arguments.end).await?;
        Ok(())
    })
}
