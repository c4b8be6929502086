//! A copy of the coordinator's store in a file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use wharf::Result;

use super::connect::Connect;
use super::output::Output;

#[derive(Debug, Args)]
pub(super) struct Backup {
    #[command(flatten)]
    connect: Connect,
    /// Where the copy goes; a file that is there stays, and is an error
    #[arg(long)]
    out: PathBuf,
}

pub(super) fn run(arguments: &Backup, output: Output) -> Result {
    wharf::run(async |event_loop| {
        let client = arguments
            .connect
            .coordinator(&event_loop, "backup", "its streams are what is to be copied")
            .await?;
        let path = &arguments.out;
        let named = |error: io::Error| format!("{}: {error}", path.display());
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
        let mut file = Partial { path, file: options.open(path).map_err(named)?, is_whole: false };
        let length = client.back_up(&mut file.file).await?;
        file.file.sync_all().map_err(named)?;
        file.is_whole = true;
        let text = format_args!("{}: {length} bytes", path.display()).to_string();
        output.print(&json!({"out": path, "bytes": length}), text)
    })
}

/// A file that is removed unless all of it is there.
struct Partial<'a> {
    path: &'a Path,
    file: File,
    is_whole: bool,
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // It was made by this process; nobody can be told if it stays.
            let _ = fs::remove_file(self.path);
        }
    }
}
