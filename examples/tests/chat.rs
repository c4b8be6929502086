//! The chat of `examples/chat/`, its server and many terminals, on one loop in virtual time.

#[path = "../chat/command.rs"]
mod command;
#[path = "../chat/hall.rs"]
mod hall;
#[path = "../chat/member.rs"]
mod member;
#[path = "../chat/server.rs"]
mod server;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{MemoryNetwork, advance, settle};
use wharf::{Connection, Error, EventLoop, Protocol, Result, Server, Transport};

use self::command::MAX_NAME;
use self::member::MAX_LINE;
use self::server::WRITE_CAP;
use wharf_examples::serving::Listen;

/// What the network holds in each direction of a connection.
const CAPACITY: usize = 4096;

const ADDRESS: &str = "192.0.2.1:7000";

#[test]
fn members_of_a_room_hear_one_another() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    assert_eq!(ann.heard(), ["* guest-2 joined lobby", "* guest-2 is now bob"]);

    ann.types("hello\nhow are you?\r\n");
    bob.types("fine\n");
    assert_eq!(bob.heard(), ["<ann> hello", "<ann> how are you?"]);
    assert_eq!(ann.heard(), ["<bob> fine"]);
}

#[test]
fn rooms_are_apart() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    ann.heard();

    ann.types("/join harbour\n");
    assert_eq!(ann.heard(), ["* ann joined harbour"]);
    assert_eq!(bob.heard(), ["* ann left lobby (went to harbour)"]);
    ann.types("anybody here?\n");
    bob.types("hello?\n/rooms\n/who\n");
    assert_eq!(bob.heard(), ["* harbour: 1", "* lobby: 1", "* bob"]);

    bob.types("/join harbour\n/who\n/rooms\n");
    assert_eq!(bob.heard(), ["* bob joined harbour", "* ann", "* bob", "* harbour: 2"]);
    assert_eq!(ann.heard(), ["* bob joined harbour"]);
}

#[test]
fn a_nickname_belongs_to_one_member_at_a_time() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    ann.heard();

    bob.types("/nick Ann\n/nick BOB\n");
    assert_eq!(bob.heard(), ["! somebody is called Ann already", "* bob is now BOB"]);

    ann.types("/quit\n");
    bob.heard();
    bob.types("/nick ann\n");
    assert_eq!(bob.heard(), ["* BOB is now ann"]);

    // A number that is taken is not given to the next guest.
    bob.types("/nick guest-3\n");
    let next = stage.connect();
    assert_eq!(next.heard()[0], "* welcome, guest-4; /help lists the commands");
}

#[test]
fn what_cannot_be_done_is_said_to_one_member_only() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    ann.heard();

    let long_name = "x".repeat(MAX_NAME + 1);
    ann.types(&format!("/dance\n/nick\n/nick a b\n/join {long_name}\n\n"));
    let heard = ann.heard();
    assert_eq!(heard[0], "! there is no command /dance; /help lists them");
    assert_eq!(heard.len(), 4);
    assert!(heard[1..].iter().all(|line| line.contains("needs a name")), "{heard:?}");
    assert_eq!(bob.heard(), [""; 0]);
}

#[test]
fn lines_may_come_in_pieces_and_the_last_one_without_its_end() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    for piece in ["he", "l", "lo\ngood", "-b", "ye"] {
        ann.types(piece);
    }
    assert_eq!(bob.heard(), ["<ann> hello"]);
    ann.0.handle().write_eof();
    stage.settle();
    assert_eq!(bob.heard(), ["<ann> good-bye", "* ann left lobby (quit)"]);
    assert_eq!(ann.ending(), Some("closed".to_owned()));
}

#[test]
fn a_line_that_is_too_long_is_left_out() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    ann.heard();
    ann.types(&format!("{}\n", "x".repeat(MAX_LINE)));
    assert_eq!(bob.heard()[0].len(), "<ann> ".len() + MAX_LINE);
    ann.types(&format!("{}\nnext\n", "x".repeat(100 * MAX_LINE)));
    assert_eq!(bob.heard(), ["<ann> next"]);
    assert_eq!(ann.heard(), [format!("! a line is longer than {MAX_LINE} bytes")]);
}

#[test]
fn nobody_can_write_to_the_terminals_of_others() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    ann.heard();
    ann.types_bytes(b"\x1b[2Jroot: \xff\x00\n");
    assert_eq!(bob.heard(), ["<ann> \u{fffd}[2Jroot: \u{fffd}\u{fffd}"]);
    ann.types_bytes(b"over\rwritten\n");
    assert_eq!(bob.heard(), [""; 0]);
    assert_eq!(ann.heard(), ["! a line contains a bare line end"]);
}

#[test]
fn a_member_who_never_reads_is_sent_away_and_nobody_else_notices() {
    let stage = Stage::new();
    let (ann, bob, sleeper) = (stage.enter("ann"), stage.enter("bob"), stage.enter("sleeper"));
    bob.heard();
    sleeper.0.handle().pause_reading();

    let text = "x".repeat(1000);
    let line_length = "<ann> \n".len() + text.len();
    let mut lines = 0;
    let mut told = Vec::new();
    while stage.server.connections() == 3 {
        ann.types(&format!("{text}\n"));
        lines += 1;
        told = bob.heard();
        // Every line at once, while another is behind: nobody waits.
        assert_eq!(told.remove(0).len() + 1, line_length);
        assert!(lines * line_length < 2 * WRITE_CAP, "nothing bounds what waits");
    }
    assert!(lines * line_length > WRITE_CAP);
    assert_eq!(told, ["* sleeper left lobby (reads too slowly)"]);
    ann.types("still here\n");
    assert_eq!(bob.heard(), ["<ann> still here"]);
}

#[test]
fn a_member_who_takes_nothing_is_sent_away_after_a_while() {
    let stage = Stage::new();
    let (ann, sleeper) = (stage.enter("ann"), stage.enter("sleeper"));
    sleeper.0.handle().pause_reading();
    let text = "x".repeat(1000);
    for _ in 0..20 {
        ann.types(&format!("{text}\n"));
    }
    ann.heard();
    advance(&stage.event_loop, Duration::from_secs(59)).unwrap();
    assert_eq!(ann.heard(), [""; 0]);
    advance(&stage.event_loop, Duration::from_secs(2)).unwrap();
    assert_eq!(ann.heard(), ["* sleeper left lobby (the peer took no data for too long)"]);
}

#[test]
fn a_flood_of_commands_waits_until_its_answers_are_taken() {
    const TIMES: usize = 10_000;
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    ann.heard();
    ann.0.handle().pause_reading();
    ann.types(&"/who\n".repeat(TIMES));
    assert!(ann.0.handle().write_buffer_size() > 0, "the server reads on and on");

    bob.types("/who\n");
    assert_eq!(bob.heard(), ["* ann", "* bob"]);

    ann.0.handle().resume_reading();
    stage.settle();
    assert_eq!(ann.heard(), ["* ann", "* bob"].repeat(TIMES));
    ann.types("done\n");
    assert_eq!(bob.heard(), ["<ann> done"]);
}

#[test]
fn a_broken_connection_leaves_the_room() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    ann.types("typed before the cable was cut\n");
    ann.0.handle().abort();
    stage.settle();
    let heard = bob.heard();
    assert_eq!(heard[0], "<ann> typed before the cable was cut");
    assert!(heard[1].starts_with("* ann left lobby ("), "{heard:?}");
    bob.types("/rooms\n/who\n");
    assert_eq!(bob.heard(), ["* lobby: 1", "* bob"]);
}

#[test]
fn idle_members_are_sent_away_if_that_is_wanted() {
    let stage = Stage::with_idle_timeout(Some(Duration::from_secs(600)));
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    advance(&stage.event_loop, Duration::from_secs(599)).unwrap();
    ann.types("/who\n");
    ann.heard();
    advance(&stage.event_loop, Duration::from_secs(2)).unwrap();
    assert_eq!(bob.heard(), ["* nothing was said for too long; good-bye"]);
    assert_eq!(bob.ending(), Some("closed".to_owned()));
    assert_eq!(ann.heard(), ["* bob left lobby (quit)"]);

    let stage = Stage::new();
    let patient = stage.enter("patient");
    advance(&stage.event_loop, Duration::from_secs(1_000_000)).unwrap();
    assert_eq!(patient.ending(), None);
}

#[test]
fn a_shutdown_is_announced_and_loses_nothing() {
    let stage = Stage::new();
    let (ann, bob) = (stage.enter("ann"), stage.enter("bob"));
    bob.0.handle().pause_reading();
    let said: Vec<_> = (0..100).map(|number| format!("{number} {}", "x".repeat(500))).collect();
    ann.types(&(said.join("\n") + "\n"));

    let shutdown = stage.server.shutdown(Duration::from_secs(5));
    stage.settle();
    assert_eq!(ann.ending(), Some("closed".to_owned()));
    assert_eq!(bob.ending(), None);
    bob.0.handle().resume_reading();
    assert_eq!(stage.event_loop.run_until_complete(shutdown).unwrap().unwrap(), 0);

    let mut expected: Vec<_> = said.iter().map(|text| format!("<ann> {text}")).collect();
    expected.push("* the server is shutting down; good-bye".to_owned());
    assert_eq!(bob.heard(), expected);
    assert_eq!(bob.ending(), Some("closed".to_owned()));
}

#[test]
fn nothing_is_left_when_everybody_is_gone() {
    let stage = Stage::new();
    let sources = stage.event_loop.statistics().sources;
    let members: Vec<_> = ["ann", "bob", "cid"].map(|name| stage.enter(name)).into();
    members[0].types("hello\n/quit\n");
    members[1].0.handle().abort();
    members[2].0.handle().close();
    stage.settle();
    let statistics = stage.event_loop.statistics();
    assert_eq!((statistics.connections_open, statistics.timers), (0, 0));
    assert_eq!(statistics.sources, sources);
    assert_eq!(stage.connect().heard()[1], "* guest-4 joined lobby");
}

#[test]
fn the_same_evening_goes_the_same_way_twice() {
    fn evening() -> Vec<String> {
        let stage = Stage::new();
        let members = ["ann", "bob", "cid", "dan"].map(|name| stage.enter(name));
        for round in 0..20 {
            let member = &members[round % members.len()];
            member.types(&format!("line {round}\n/join room-{}\n/who\n/rooms\n", round % 3));
        }
        advance(&stage.event_loop, Duration::from_secs(1)).unwrap();
        members.iter().flat_map(Terminal::heard).collect()
    }
    let first = evening();
    assert!(first.len() > 100);
    assert_eq!(first, evening());
}

/// A chat server in memory.
struct Stage {
    event_loop: EventLoop,
    server: Server,
}

impl Stage {
    fn new() -> Self {
        Self::with_idle_timeout(None)
    }

    fn with_idle_timeout(idle: Option<Duration>) -> Self {
        let event_loop = MemoryNetwork::new().capacity(CAPACITY).event_loop();
        let listen = Listen::Address(ADDRESS.to_owned());
        let server = server::chat_server(&event_loop, listen, idle).start();
        let server = event_loop.run_until_complete(server).unwrap().unwrap();
        Self { event_loop, server }
    }

    fn connect(&self) -> Terminal {
        let screen = Rc::new(RefCell::new(Screen::default()));
        let typist = Typist(Rc::clone(&screen));
        let connection = self.event_loop.create_connection(move || typist, ADDRESS).start();
        let connection = self.event_loop.run_until_complete(connection).unwrap().unwrap();
        self.settle();
        Terminal(connection, screen)
    }

    /// Connects, takes a nickname, and forgets what was heard so far.
    fn enter(&self, nickname: &str) -> Terminal {
        let terminal = self.connect();
        terminal.types(&format!("/nick {nickname}\n"));
        assert_eq!(terminal.heard().len(), 3, "welcome, joined, is now");
        terminal
    }

    fn settle(&self) {
        settle(&self.event_loop).unwrap();
    }
}

/// Somebody at a terminal.
struct Terminal(Connection<Typist>, Rc<RefCell<Screen>>);

impl Terminal {
    fn types(&self, text: &str) {
        self.types_bytes(text.as_bytes());
    }

    fn types_bytes(&self, text: &[u8]) {
        self.0.handle().write(text);
        settle(&self.0.handle().event_loop()).unwrap();
    }

    /// The lines that were shown since the last call; all of them are whole.
    fn heard(&self) -> Vec<String> {
        let text = std::mem::take(&mut self.1.borrow_mut().text);
        let text = String::from_utf8(text).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text:?}");
        text.lines().map(str::to_owned).collect()
    }

    /// How the connection ended, once it has.
    fn ending(&self) -> Option<String> {
        self.1.borrow().ending.clone()
    }
}

#[derive(Default)]
struct Screen {
    text: Vec<u8>,
    ending: Option<String>,
}

struct Typist(Rc<RefCell<Screen>>);

impl Protocol for Typist {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().text.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let ending = error.map_or("closed".to_owned(), Error::to_string);
        assert_eq!(self.0.borrow_mut().ending.replace(ending), None);
        Ok(())
    }
}
