//! The protocol of one member's connection.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;

use wharf::{Error, Result, Timeout, Transport, TransportId};
use wharf_examples::text::shown;
use wharf_protocols::line::{LineDecoder, LineError, LineProtocol, Lines};

use super::command::{Command, HELP};
use super::hall::{Ear, Hall, tell};

/// The longest line a member may send, in bytes.
pub(crate) const MAX_LINE: usize = 1024;

/// A member, and the hall that all of them share.
///
/// Bytes come in pieces of any size; [`Lines`] makes lines of them. It also waits with the next
/// line while the answers to the former ones are not taken: ten thousand times `/help` in one go
/// fills no memory.
pub(crate) struct Member {
    hall: Rc<RefCell<Hall>>,
}

impl Member {
    pub(crate) fn new(hall: Rc<RefCell<Hall>>) -> Lines<Self> {
        Lines::with_decoder(Self { hall }, LineDecoder::new().max_length(MAX_LINE))
    }
}

impl LineProtocol for Member {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.hall.borrow_mut().enter(transport.id(), Box::new(transport.handle()));
        Ok(())
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        // As text that does no harm on the others' terminals.
        let line = shown(line.trim_ascii_end());
        if obey(&mut self.hall.borrow_mut(), transport.id(), &transport.handle(), &line) {
            transport.close();
        }
        Ok(())
    }

    fn line_refused(&mut self, transport: &dyn Transport, error: LineError) -> Result {
        tell(&transport.handle(), &format!("! {}", error.rule));
        Ok(())
    }

    /// The last line counts, though the member ended the connection instead of the line.
    fn unfinished_line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        self.line_received(transport, line)
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        if timeout != Timeout::Idle {
            return Err(Error::timeout(timeout).into());
        }
        tell(&transport.handle(), "* nothing was said for too long; good-bye");
        transport.close();
        Ok(())
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        tell(&transport.handle(), "* the server is shutting down; good-bye");
        transport.close();
        Ok(())
    }

    /// However it ended, this is called exactly once: the one place to leave from.
    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        let reason = match error {
            None => "quit".to_owned(),
            Some(error) if error.is_write_cap() => "reads too slowly".to_owned(),
            Some(error) => format!("{error:#}"),
        };
        self.hall.borrow_mut().leave(transport.id(), &reason);
        Ok(())
    }
}

/// Does what a member's line says. `true`: the member leaves.
pub(crate) fn obey(hall: &mut Hall, id: TransportId, ear: &dyn Ear, line: &str) -> bool {
    match Command::parse(line) {
        Command::Say("") => {}
        Command::Say(text) => hall.say(id, text),
        Command::Nick(nickname) => hall.rename(id, nickname),
        Command::Join(room) => hall.join(id, room),
        Command::Rooms => {
            tell_list(ear, hall.rooms().map(|(room, members)| format!("{room}: {members}")));
        }
        Command::Who => tell_list(ear, hall.room_mates(id)),
        Command::Help => tell_list(ear, HELP),
        Command::Quit => {
            tell(ear, "* good-bye");
            return true;
        }
        Command::Unknown(reason) => tell(ear, &format!("! {reason}")),
    }
    false
}

fn tell_list(ear: &dyn Ear, items: impl IntoIterator<Item = impl Display>) {
    let lines: Vec<_> = items.into_iter().map(|item| format!("* {item}")).collect();
    tell(ear, &lines.join("\n"));
}
