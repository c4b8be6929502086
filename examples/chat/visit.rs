//! How a client's visit ends, and why.

use std::cell::{Cell, RefCell};

use wharf::Error;

/// What a client has said and heard, as far as it explains the end.
#[derive(Default)]
pub(crate) struct Visit {
    /// This side wants to leave: the end of the connection is no surprise.
    is_leaving: Cell<bool>,
    has_heard: Cell<bool>,
    has_heard_tls: Cell<bool>,
    /// The beginning of the line that is being said.
    line: RefCell<Vec<u8>>,
}

const QUIT: &[u8] = b"/quit";

/// What a TLS server answers to somebody who does not speak TLS: an alert.
const TLS_ALERT: &[u8] = b"\x15\x03";

impl Visit {
    pub(crate) fn leave(&self) {
        self.is_leaving.set(true);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.get()
    }

    /// Notes what is said, cut anywhere: after `/quit`, the server ends the connection.
    pub(crate) fn says(&self, data: &[u8]) {
        let mut line = self.line.borrow_mut();
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            // As much as is looked at.
            let room = (QUIT.len() + 2).saturating_sub(line.len());
            line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                if Self::is_farewell(&line) {
                    self.leave();
                }
                line.clear();
            }
        }
    }

    /// Whether the server ends the connection after this line. It takes no notice of what follows the command.
    pub(crate) fn is_farewell(line: &[u8]) -> bool {
        let rest = line.trim_ascii_end().strip_prefix(QUIT);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b" "))
    }

    /// Notes what is heard; whether it can be shown.
    pub(crate) fn hears(&self, data: &[u8]) -> bool {
        if !self.has_heard.replace(true) {
            self.has_heard_tls.set(data.starts_with(TLS_ALERT));
        }
        !self.has_heard_tls.get()
    }

    /// What the end of the connection means for who visits.
    pub(crate) fn outcome(&self, error: Option<&Error>) -> Result<(), String> {
        const TLS: &str = "the server wants TLS, which `chat --tls` speaks";
        match error {
            _ if self.has_heard_tls.get() => Err(TLS.to_owned()),
            Some(error) => Err(format!("the connection broke: {error:#}")),
            None if self.is_leaving.get() => Ok(()),
            None if !self.has_heard.get() => {
                Err(format!("the server ended the connection without a word; perhaps {TLS}"))
            }
            None => Err("the server ended the connection".to_owned()),
        }
    }
}
