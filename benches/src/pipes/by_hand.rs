//! One write, one read, and so on: what the system itself takes, without a poll.

use std::io::{self, Read, Write};

use super::WRITE;
use crate::Result;

pub(super) fn run(writes: u64) -> Result<u64> {
    let (mut reader, mut writer) = io::pipe()?;
    let data = vec![7; WRITE];
    // As large as wharf's.
    let mut buffer = vec![0; 256 * 1024];
    let mut received = 0;
    for _ in 0..writes {
        // A pipe holds as much, when it is empty.
        writer.write_all(&data)?;
        received += reader.read(&mut buffer)? as u64;
    }
    drop(writer);
    while let count @ 1.. = reader.read(&mut buffer)? {
        received += count as u64;
    }
    Ok(received)
}
