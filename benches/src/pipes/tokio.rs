//! Two tasks on one thread.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::runtime;

use super::WRITE;
use crate::Result;

pub(super) fn run(writes: u64) -> Result<u64> {
    let (reader, writer) = io::pipe()?;
    let (reader, writer): (OwnedFd, OwnedFd) = (reader.into(), writer.into());
    runtime::Builder::new_current_thread().enable_io().build()?.block_on(async move {
        let mut writer = Sender::from_owned_fd(writer)?;
        let mut reader = Receiver::from_owned_fd(reader)?;
        let writing = tokio::spawn(async move {
            let data = vec![7; WRITE];
            for _ in 0..writes {
                writer.write_all(&data).await?;
            }
            io::Result::Ok(())
        });
        let mut buffer = vec![0; 256 * 1024];
        let mut received = 0;
        while let count @ 1.. = reader.read(&mut buffer).await? {
            received += count as u64;
        }
        writing.await??;
        Ok(received)
    })
}
