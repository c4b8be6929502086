//! The protocol of one member's connection.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;

use wharf::{Eof, Error, Protocol, Result, TimeoutKind, Transport};
use wharf_protocols::line::{DecodedLines, LineDecoder, LineError, Overlong};

use super::command::{Command, HELP};
use super::hall::{Hall, tell};

/// The longest line a member may send, in bytes.
pub(crate) const MAX_LINE: usize = 1024;

/// A member: what has come of the next line, and the hall that all of them share.
pub(crate) struct Member {
    decoder: LineDecoder,
    hall: Rc<RefCell<Hall>>,
}

impl Member {
    pub(crate) fn new(hall: Rc<RefCell<Hall>>) -> Self {
        let decoder = LineDecoder::new().max_length(MAX_LINE).overlong(Overlong::Discard);
        Self { decoder, hall }
    }
}

impl Protocol for Member {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.hall.borrow_mut().enter(transport);
        Ok(())
    }

    /// Bytes come in pieces of any size: the decoder makes lines of them.
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        obey_all(&self.hall, transport, self.decoder.feed(data));
        Ok(())
    }

    /// The member will send no more. The last line counts, newline or not.
    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        obey_all(&self.hall, transport, self.decoder.finish());
        Ok(Eof::Close)
    }

    /// Answers that waited have gone out: on with the lines that were left (see [`obey_all`]).
    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        transport.resume_reading();
        obey_all(&self.hall, transport, self.decoder.feed(b""));
        Ok(())
    }

    fn timed_out(&mut self, transport: &dyn Transport, kind: TimeoutKind) -> Result {
        if kind != TimeoutKind::Idle {
            return Err(Error::timeout(kind).into());
        }
        tell(transport, "* nothing was said for too long; good-bye");
        transport.close();
        Ok(())
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        tell(transport, "* the server is shutting down; good-bye");
        transport.close();
        Ok(())
    }

    /// However it ended, this is called exactly once: the one place to leave from.
    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        let reason = match error {
            None => "quit".to_owned(),
            Some(error) if error.is_write_cap() => "reads too slowly".to_owned(),
            Some(error) => error.to_string(),
        };
        self.hall.borrow_mut().leave(transport.id(), &reason);
        Ok(())
    }
}

/// Does what the lines say, as long as the member takes the answers. A thousand times `/help` in
/// one go fills no memory: the rest stays in the decoder, and no more is read for now.
fn obey_all(hall: &RefCell<Hall>, transport: &dyn Transport, mut lines: DecodedLines<'_, '_>) {
    while let Some(line) = lines.next() {
        match line {
            Ok(line) => obey(&mut hall.borrow_mut(), transport, &readable(line)),
            Err(LineError::TooLong { max_length }) => {
                tell(transport, &format!("! that line had more than {max_length} bytes"));
            }
            Err(error) => tell(transport, &format!("! {error}")),
        }
        if transport.is_closing() {
            return;
        }
        let (_, high) = transport.write_buffer_limits();
        if transport.write_buffer_size() > high {
            return transport.pause_reading();
        }
    }
}

fn obey(hall: &mut Hall, transport: &dyn Transport, line: &str) {
    let id = transport.id();
    match Command::parse(line) {
        Command::Say("") => {}
        Command::Say(text) => hall.say(id, text),
        Command::Nick(nickname) => hall.rename(id, nickname),
        Command::Join(room) => hall.join(id, room),
        Command::Rooms => {
            tell_list(transport, hall.rooms().map(|(room, members)| format!("{room}: {members}")));
        }
        Command::Who => tell_list(transport, hall.room_mates(id)),
        Command::Help => tell_list(transport, HELP),
        Command::Quit => {
            tell(transport, "* good-bye");
            transport.close();
        }
        Command::Unknown(reason) => tell(transport, &format!("! {reason}")),
    }
}

fn tell_list(transport: &dyn Transport, items: impl IntoIterator<Item = impl Display>) {
    let lines: Vec<_> = items.into_iter().map(|item| format!("* {item}")).collect();
    tell(transport, &lines.join("\n"));
}

/// The line as text that does no harm on the others' terminals.
fn readable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let shown =
        |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    text.trim_end().chars().map(shown).collect()
}
