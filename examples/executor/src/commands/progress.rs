//! A progress bar, where there is a terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often it is drawn at most.
const PAUSE: Duration = Duration::from_millis(50);
const WIDTH: usize = 40;

/// A bar in the last line of a terminal; nothing where standard error is none.
pub(super) struct ProgressBar {
    is_shown: bool,
    what: &'static str,
    drawn: Option<Instant>,
}

impl ProgressBar {
    /// Of so many of `what`.
    pub(super) fn new(what: &'static str) -> Self {
        Self { is_shown: io::stderr().is_terminal(), what, drawn: None }
    }

    /// So many are done; `failed` of them in vain.
    pub(super) fn show(&mut self, done: usize, of: usize, failed: usize) {
        let is_time = self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE);
        if self.is_shown && (is_time || done == of) {
            self.drawn = Some(Instant::now());
            draw(&format!("\r{}\x1b[K", line(self.what, done, of, failed)));
        }
    }

    /// Makes room for a line of output.
    pub(super) fn clear(&mut self) {
        if self.is_shown && self.drawn.take().is_some() {
            draw("\r\x1b[K");
        }
    }

    /// The bar stays as it is.
    pub(super) fn finish(&mut self) {
        if self.is_shown && self.drawn.take().is_some() {
            draw("\n");
        }
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        self.finish();
    }
}

fn line(what: &str, done: usize, of: usize, failed: usize) -> String {
    let full = WIDTH * done / of.max(1);
    let mut line = format!("[{}{}] {done}/{of} {what}", "#".repeat(full), "-".repeat(WIDTH - full));
    if failed > 0 {
        let _ = write!(line, ", {failed} failed");
    }
    line
}

fn draw(text: &str) {
    let mut error = io::stderr().lock();
    // A terminal that is gone shows no bar.
    let _ = error.write_all(text.as_bytes()).and_then(|()| error.flush());
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_bar_says_how_many_are_done() {
        assert_eq!(line("tiles", 0, 0, 0), format!("[{}] 0/0 tiles", "-".repeat(40)));
        let half = format!("[{}{}] 1/2 tasks, 1 failed", "#".repeat(20), "-".repeat(20));
        assert_eq!(line("tasks", 1, 2, 1), half);
        assert_eq!(line("tasks", 2, 2, 0), format!("[{}] 2/2 tasks", "#".repeat(40)));
    }
}
