use std::fmt;

use wharf::{Error, Transport};

use super::Tap;

/// How much of each part is shown, unless told otherwise.
const SHOWN: usize = 64;

/// A [`Tap`] that gives a line of text for everything that happens: with the connection's number, and the bytes as text
/// with everything else escaped.
pub struct Log {
    write: Box<dyn Fn(&str)>,
    shown: usize,
}

impl Log {
    /// Gives each line, without an end, to `write`: a logger, or `eprintln!`. The bytes may be secrets.
    ///
    /// ```
    /// let log = wharf_protocols::wrap::Log::new(|line| eprintln!("{line}")).shown(16);
    /// # drop(log);
    /// ```
    pub fn new(write: impl Fn(&str) + 'static) -> Self {
        Self { write: Box::new(write), shown: SHOWN }
    }

    /// How many bytes of each part are shown: 64 by default; 0: only their number.
    #[must_use]
    pub fn shown(mut self, bytes: usize) -> Self {
        self.shown = bytes;
        self
    }

    fn tell(&self, transport: &dyn Transport, what: &str) {
        (self.write)(&format!("{:?} {what}", transport.id()));
    }

    fn bytes(&self, transport: &dyn Transport, direction: &str, data: &[u8]) {
        let shown = &data[..data.len().min(self.shown)];
        let more = if shown.len() < data.len() { "…" } else { "" };
        let text = shown.escape_ascii();
        self.tell(transport, &format!("{direction} {} bytes \"{text}{more}\"", data.len()));
    }
}

impl Tap for Log {
    fn opened(&self, transport: &dyn Transport) {
        let info = transport.info();
        let what = match info.peer_address() {
            Some(peer) => format!("open, with {peer}"),
            None => "open".to_owned(),
        };
        self.tell(transport, &what);
    }

    fn received(&self, transport: &dyn Transport, data: &[u8]) {
        self.bytes(transport, "<", data);
    }

    fn sent(&self, transport: &dyn Transport, data: &[u8]) {
        self.bytes(transport, ">", data);
    }

    fn closed(&self, transport: &dyn Transport, error: Option<&Error>) {
        match error {
            Some(error) => self.tell(transport, &format!("closed: {error:#}")),
            None => self.tell(transport, "closed"),
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Log").field("shown", &self.shown).finish_non_exhaustive()
    }
}
