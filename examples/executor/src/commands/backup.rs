//! A copy of the coordinator's store in a file.

use std::io;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use wharf::Result;

use super::connect::Connect;
use super::output::Output;
use crate::store::NewFile;

#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    connect: Connect,
    /// Where the copy is, when all of it is there; a file that is there stays, and is an error
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(arguments: &Backup, output: Output) -> Result {
    wharf::run(async |event_loop| {
        let client = arguments
            .connect
            .coordinator(
                &event_loop,
                "backup",
                "`nats stream backup` copies its streams, NAME-tasks, KV_NAME-records and KV_NAME-control",
            )
            .await?;
        let path = &arguments.out;
        let named = |error: io::Error| format!("{}: {error}", path.display());
        let copy = NewFile::create(path).map_err(named)?;
        let length = client.back_up(&mut copy.file()).await?;
        copy.finish().map_err(named)?;
        let text = format_args!("{}: {length} bytes", path.display()).to_string();
        output.print(&json!({"out": path, "bytes": length}), text)
    })
}
