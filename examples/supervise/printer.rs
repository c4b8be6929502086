//! The protocol of one child: it prints the lines that the child writes.

use std::io::{self, Write};
use std::process::ExitStatus;
use std::time::Duration;

use wharf::{ChildFd, Error, ProcessProtocol, ProcessTransport, Promise, Result};

/// Longer lines are printed in pieces: what is kept of a child stays bounded.
const LONGEST_LINE: usize = 64 * 1024;

/// How long others that the child has started may still write after it has exited.
const LAST_WORDS: Duration = Duration::from_secs(1);

pub(crate) struct Printer {
    /// Stands before each line.
    prefix: String,
    /// What has come of a line that is not complete, from standard output and standard error.
    partial: [Vec<u8>; 2],
    /// Told how the child has ended, when everything is printed.
    ended: Option<Promise<ExitStatus>>,
}

impl Printer {
    pub(crate) fn new(prefix: String, ended: Promise<ExitStatus>) -> Self {
        Self { prefix, partial: Default::default(), ended: Some(ended) }
    }
}

impl ProcessProtocol for Printer {
    fn pipe_data_received(&mut self, _: &dyn ProcessTransport, fd: ChildFd, data: &[u8]) -> Result {
        let partial = &mut self.partial[usize::from(fd == ChildFd::STDERR)];
        // Bytes come as the pipe has them, cut anywhere.
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || partial.len() >= LONGEST_LINE {
                print_line(&self.prefix, fd, partial)?;
                partial.clear();
            }
        }
        Ok(())
    }

    fn pipe_connection_lost(
        &mut self,
        _: &dyn ProcessTransport,
        fd: ChildFd,
        _: Option<&Error>,
    ) -> Result {
        let partial = std::mem::take(&mut self.partial[usize::from(fd == ChildFd::STDERR)]);
        match partial.is_empty() {
            true => Ok(()),
            false => print_line(&self.prefix, fd, &partial),
        }
    }

    /// The exit and the ends of the pipes are independent: something that the child has left behind
    /// may hold them open for ever.
    fn process_exited(&mut self, process: &dyn ProcessTransport, _: ExitStatus) -> Result {
        let handle = process.handle();
        process.event_loop().call_later(LAST_WORDS, move || handle.close());
        Ok(())
    }

    fn connection_lost(&mut self, process: &dyn ProcessTransport, _: Option<&Error>) -> Result {
        if let (Some(ended), Some(status)) = (self.ended.take(), process.exit_status()) {
            // It says when nobody waits for it any more; that is fine here.
            let _ = ended.set_result(status);
        }
        Ok(())
    }
}

/// Standard output may block while nobody reads it: then the children's pipes fill up, and they
/// wait as well.
fn print_line(prefix: &str, fd: ChildFd, line: &[u8]) -> Result {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let text = [prefix.as_bytes(), line, b"\n"].concat();
    match fd {
        ChildFd::STDERR => io::stderr().write_all(&text)?,
        _ => io::stdout().write_all(&text)?,
    }
    Ok(())
}
