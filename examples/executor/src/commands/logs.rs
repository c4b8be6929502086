use std::io::{self, Write};

use clap::Args;
use serde_json::json;
use wharf::Result;

use super::connect::Connect;
use super::output::{Output, not_written};
use super::parse;
use crate::client::{OutputItem, OutputReader};
use crate::task::{Piece, TaskId};

#[derive(Debug, Args)]
pub(super) struct Logs {
    #[command(flatten)]
    connect: Connect,
    /// Goes on with what the task writes, until it has ended
    #[arg(short, long)]
    follow: bool,
    /// No more than about so many bytes at the end
    #[arg(long)]
    last: Option<u32>,
    /// The task's id
    #[arg(value_parser = parse::id)]
    id: TaskId,
}

pub(super) fn run(arguments: &Logs, output: Output) -> Result {
    wharf::run(async |event_loop| {
        let client = arguments.connect.client(&event_loop).await?;
        let mut reader = client.find(arguments.id.clone()).output();
        if let Some(last) = arguments.last {
            reader = reader.last(last);
        }
        if !arguments.follow {
            reader = reader.kept();
        }
        if output.json {
            return show_json(reader, output).await;
        }
        show(reader, &mut io::stdout(), &mut io::stderr()).await
    })
}

/// Writes a task's output where it wrote it, and what is to be said of it to `errors`.
pub(super) async fn show(
    mut reader: OutputReader,
    output: &mut impl Write,
    errors: &mut impl Write,
) -> Result {
    let mut last = 1;
    while let Some(item) = reader.next().await? {
        match item {
            OutputItem::Text { attempt, piece } => {
                if attempt != last {
                    writeln!(errors, "-- attempt {attempt} --")?;
                    last = attempt;
                }
                if piece.is_stderr() {
                    errors.write_all(piece.text().as_bytes())?;
                } else {
                    let written = output.write_all(piece.text().as_bytes());
                    written.and_then(|()| output.flush()).map_err(not_written)?;
                }
            }
            OutputItem::Missing(bytes) => writeln!(errors, "\n-- {bytes} bytes are not kept --")?,
            OutputItem::Progress(_) => {}
        }
    }
    Ok(())
}

async fn show_json(mut reader: OutputReader, output: Output) -> Result {
    while let Some(item) = reader.next().await? {
        let item = match item {
            OutputItem::Text { attempt, piece: Piece::Stdout(text) } => {
                json!({"attempt": attempt, "stdout": text})
            }
            OutputItem::Text { attempt, piece: Piece::Stderr(text) } => {
                json!({"attempt": attempt, "stderr": text})
            }
            OutputItem::Missing(bytes) => json!({"missing": bytes}),
            OutputItem::Progress(progress) => json!({"progress": progress}),
        };
        output.print(&item, "")?;
    }
    Ok(())
}
