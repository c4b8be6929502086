//! The protocol of one child: it shows the lines that the child writes.

use std::rc::Rc;

use wharf::{ChildFd, Error, ProcessProtocol, ProcessTransport, Promise, Result};

use super::screen::Screen;

/// Longer lines are shown in pieces: what is kept of a child stays bounded.
const LONGEST_LINE: usize = 64 * 1024;

pub(crate) struct Printer {
    screen: Rc<Screen>,
    /// Stands before each line.
    prefix: String,
    /// Standard output and standard error.
    partial: [Partial; 2],
    /// Completed when everything is shown.
    ended: Option<Promise<()>>,
}

/// What has come of a line that is not complete.
#[derive(Default)]
struct Partial {
    line: Vec<u8>,
    /// The last line ended with a carriage return; a newline behind it belongs to that.
    after_return: bool,
}

impl Printer {
    pub(crate) fn new(screen: Rc<Screen>, prefix: String, ended: Promise<()>) -> Self {
        Self { screen, prefix, partial: Default::default(), ended: Some(ended) }
    }
}

impl ProcessProtocol for Printer {
    fn connection_made(&mut self, process: &dyn ProcessTransport) -> Result {
        self.screen.begin(process);
        Ok(())
    }

    fn pipe_data_received(&mut self, _: &dyn ProcessTransport, fd: ChildFd, data: &[u8]) -> Result {
        let partial = &mut self.partial[usize::from(fd == ChildFd::STDERR)];
        // Bytes come as the pipe has them, cut anywhere. A carriage return ends a line, too: on a
        // terminal, what follows it would cover the name in front.
        for piece in data.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            if let Some(line) = partial.push(piece) {
                self.screen.print_line(fd, &self.prefix, &line);
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
        if !partial.line.is_empty() {
            self.screen.print_line(fd, &self.prefix, &partial.line);
        }
        Ok(())
    }

    fn connection_lost(&mut self, process: &dyn ProcessTransport, _: Option<&Error>) -> Result {
        self.screen.end(process);
        if let Some(ended) = self.ended.take() {
            // Refused when nobody waits for it any more, which is fine.
            let _ = ended.set_result(());
        }
        Ok(())
    }
}

impl Partial {
    /// Adds the next piece, which may have an end of line at its end; gives the line once it is
    /// complete.
    fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        let ends_return = std::mem::replace(&mut self.after_return, piece.ends_with(b"\r"));
        if ends_return && piece == b"\n" {
            return None;
        }
        let text = piece.strip_suffix(b"\n").or(piece.strip_suffix(b"\r"));
        self.line.extend_from_slice(text.unwrap_or(piece));
        // A program that shows its progress returns to a line that is empty yet.
        let is_complete = text.is_some() && !(self.after_return && self.line.is_empty());
        let is_long = self.line.len() >= LONGEST_LINE;
        (is_complete || is_long).then(|| std::mem::take(&mut self.line))
    }
}
