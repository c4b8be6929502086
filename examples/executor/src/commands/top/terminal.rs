//! The terminal, while something is shown on it.

use std::io::{self, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A terminal without a cursor, which gives keys at once and does not show them. Dropping it restores what was there.
pub(super) struct Terminal {
    /// Those of standard input, if that is a terminal.
    settings: Option<Termios>,
}

impl Terminal {
    pub(super) fn new() -> io::Result<Self> {
        let settings = io::stdin().is_terminal().then(|| tcgetattr(io::stdin())).transpose()?;
        let terminal = Self { settings };
        if let Some(settings) = &terminal.settings {
            let mut silent = settings.clone();
            silent.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(io::stdin(), OptionalActions::Now, &silent)?;
        }
        // The other screen, without the cursor.
        write("\x1b[?1049h\x1b[?25l");
        Ok(terminal)
    }

    /// Its columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => (80, 24),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        write("\x1b[?25h\x1b[?1049l");
        if let Some(settings) = &self.settings {
            // The terminal may be gone, and with it what there is to restore.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
        }
    }
}

fn write(text: &str) {
    let mut output = io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}
