//! The echo server on wharf's streams: an async function for each connection.

use std::str::FromStr;

use wharf::{EventLoop, StreamReader, StreamWriter};

use super::wharf::serve_until_told;
use super::{Options, READ_BUFFER_SIZE, prepare};
use crate::Result;

/// How a handler reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Into a buffer of its own, as on any other library.
    Copying,
    /// What the stream holds is lent.
    Lent,
    /// The same through `fill_buf` and `consume`.
    Filled,
}

impl FromStr for Reading {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "read" => Ok(Self::Copying),
            "read_chunk" => Ok(Self::Lent),
            "fill_buf" => Ok(Self::Filled),
            _ => Err("neither read, read_chunk nor fill_buf"),
        }
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// The address cannot be bound, or polling is impossible.
pub fn run(options: Options<Reading>) -> Result {
    prepare()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = match options.by {
            Reading::Copying => event_loop.start_server(copying, options.listen),
            Reading::Lent => event_loop.start_server(lent, options.listen),
            Reading::Filled => event_loop.start_server(filled, options.listen),
        };
        serve_until_told(&event_loop, &server.await?).await
    })
}

async fn copying(mut reader: StreamReader, writer: StreamWriter) -> Result {
    let mut buffer = vec![0; READ_BUFFER_SIZE];
    loop {
        let received = reader.read(&mut buffer).await?;
        if received == 0 {
            return Ok(());
        }
        writer.write_all(&buffer[..received]).await?;
    }
}

async fn lent(mut reader: StreamReader, writer: StreamWriter) -> Result {
    loop {
        let data = reader.read_chunk().await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write_all(data).await?;
    }
}

async fn filled(mut reader: StreamReader, writer: StreamWriter) -> Result {
    loop {
        let data = reader.fill_buf().await?;
        let received = data.len();
        if received == 0 {
            return Ok(());
        }
        writer.write_all(data).await?;
        reader.consume(received);
    }
}
