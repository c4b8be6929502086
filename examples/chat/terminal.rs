//! The client at a terminal: a line editor keeps the prompt and what is being typed below what is
//! heard.
//!
//! ```text
//! thread "keyboard": readline ──── Remote ────▶ loop ──▶ server
//! thread "screen":   print    ◀─── channel ─────  │  ◀── server
//! ```
//!
//! The editor's calls wait, so they have threads of their own, and the loop never waits for them. Each
//! way has its back-pressure: no line is read while the server takes none, and nothing is received
//! while the terminal shows nothing.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::stdio::dup2_stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, ExternalPrinter, Helper};
use wharf::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use wharf::{
    Error, EventLoop, Promise, Protocol, Remote, Result, TlsClient, Transport, TransportId,
};

use wharf_examples::text::is_shown;

use super::command::NAMES;
use super::visit::Visit;

const PROMPT: &str = "> ";

/// The most that is received and not shown yet, in bytes.
const MOST_UNSHOWN: usize = 64 * 1024;

/// Changes nothing on the terminal: a line up, and down again.
const NO_TEXT: &str = "\x1b[A\n";

/// How long the terminal has to show the rest at the end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Connects, and stays until the connection ends or the user leaves.
pub(crate) fn run(address: &str, tls: Option<TlsClient>) -> Result<ExitCode> {
    let mut editor = Editor::with_history(Config::default(), MemHistory::new())?;
    editor.set_helper(Some(Commands));
    let printer = editor.create_external_printer()?;
    EventLoop::new()?.run(async |event_loop| {
        let shared = Arc::new(Shared::default());
        let (show, shown) = channel();
        let (ending, ended) = event_loop.create_future();
        let server = Server {
            shared: Arc::clone(&shared),
            show,
            partial: Vec::new(),
            visit: Visit::default(),
            ending: Some(ending),
        };
        let mut connection = event_loop.create_connection(|| server, address);
        if let Some(tls) = tls {
            connection = connection.tls(tls);
        }
        let connection = connection.await?;
        let killed_by = end_at_signals(&event_loop, connection.handle())?;

        // From here on the terminal is the editor's; what it was like comes back at the end.
        let restored = Restored::new()?;
        let (id, remote) = (connection.handle().id(), event_loop.remote());
        let screen = {
            let (shared, remote) = (Arc::clone(&shared), remote.clone());
            thread::spawn(move || show_all(printer, &shown, &shared, &remote, id))
        };
        let keyboard = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || read_lines(editor, &shared, &remote, id))
        };

        let outcome = ended.await?;
        // Nobody else writes to the terminal once both have ended.
        let limit = event_loop.time() + LAST_WORDS;
        let is_busy = || !(screen.is_finished() && keyboard.is_finished());
        while is_busy() && event_loop.time() < limit {
            event_loop.sleep(Duration::from_millis(10)).await;
        }
        drop(restored);
        if let Some(signal) = killed_by.get() {
            return Ok(ExitCode::from(128 + signal));
        }
        outcome?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What the threads and the loop have in common.
#[derive(Default)]
struct Shared {
    /// The user wants to leave: the end of the connection is no surprise.
    is_leaving: AtomicBool,
    /// Bytes on their way to the terminal.
    unshown: AtomicUsize,
    /// Whether the server takes no more for now.
    is_behind: Mutex<bool>,
    caught_up: Condvar,
}

impl Shared {
    fn set_behind(&self, is_behind: bool) {
        *self.is_behind.lock().unwrap_or_else(PoisonError::into_inner) = is_behind;
        self.caught_up.notify_all();
    }

    fn wait_for_server(&self) {
        let is_behind = self.is_behind.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = self.caught_up.wait_while(is_behind, |is_behind| *is_behind);
        drop(guard.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ends the connection at a signal, so that the terminal is restored; which signal it was.
fn end_at_signals(event_loop: &EventLoop, server: &impl Transport) -> Result<Rc<Cell<Option<u8>>>> {
    let killed_by = Rc::new(Cell::new(None));
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        let (server, killed_by) = (server.handle(), Rc::clone(&killed_by));
        event_loop.add_signal_handler(signal, move || {
            killed_by.set(u8::try_from(signal).ok());
            server.abort();
        })?;
    }
    Ok(killed_by)
}

/// The protocol of the connection to the server.
struct Server {
    shared: Arc<Shared>,
    show: Sender<String>,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    visit: Visit,
    ending: Option<Promise<Result<(), String>>>,
}

impl Protocol for Server {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        if !self.visit.hears(data) {
            return Ok(());
        }
        self.partial.extend_from_slice(data);
        // Only whole lines can stand above the prompt.
        let end = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let end = if self.partial.len() > MOST_UNSHOWN { self.partial.len() } else { end };
        let lines: Vec<_> = self.partial.drain(..end).collect();
        if self.show(&lines) > MOST_UNSHOWN {
            transport.pause_reading();
        }
        Ok(())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.shared.set_behind(true);
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.shared.set_behind(false);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let rest = std::mem::take(&mut self.partial);
        self.show(&rest);
        self.shared.set_behind(false);
        if self.shared.is_leaving.load(Ordering::Acquire) {
            self.visit.leave();
        }
        if let Some(ending) = self.ending.take() {
            // Refused when nobody waits for it any more, which is fine.
            let _ = ending.set_result(self.visit.outcome(error));
        }
        Ok(())
    }
}

impl Server {
    /// Hands lines to the thread that shows them; how many bytes are on their way now.
    fn show(&self, lines: &[u8]) -> usize {
        if lines.is_empty() {
            return self.shared.unshown.load(Ordering::Acquire);
        }
        // Whoever is at the other end does not control this terminal.
        let is_plain = |letter: char| letter == '\n' || is_shown(letter);
        let text = String::from_utf8_lossy(lines)
            .replace("\r\n", "\n")
            .replace(|letter| !is_plain(letter), "\u{fffd}");
        let before = self.shared.unshown.fetch_add(text.len(), Ordering::AcqRel);
        let now = before + text.len();
        // Nobody receives it when the terminal is gone, which the other thread notices, too.
        let _ = self.show.send(text);
        now
    }
}

/// The thread "screen": shows what is heard above the prompt, and ends the editor after the last of it.
fn show_all(
    mut printer: impl ExternalPrinter,
    texts: &Receiver<String>,
    shared: &Shared,
    remote: &Remote,
    server: TransportId,
) {
    for text in texts {
        let length = text.len();
        // The thread of the keyboard notices when the terminal is gone.
        let _ = printer.print(text);
        if shared.unshown.fetch_sub(length, Ordering::AcqRel) == length {
            with(remote, server, Transport::resume_reading);
        }
    }
    end_editor(&mut printer);
}

/// Has the editor show what it was given, and end.
///
/// It takes one text at a time, and draws it before it takes the next: when it has taken the first of
/// two more, all is drawn.
fn end_editor(printer: &mut impl ExternalPrinter) {
    for _ in 0..2 {
        let _ = printer.print(NO_TEXT.to_owned());
    }
    // The end of the input ends the editor, which a further text wakes to see it.
    end_input();
    let _ = printer.print(NO_TEXT.to_owned());
}

/// Puts an empty file in the place of the standard input.
fn end_input() {
    if let Ok(nothing) = File::open("/dev/null") {
        let _ = dup2_stdin(nothing);
    }
}

/// The thread "keyboard": says line by line what is typed.
fn read_lines(
    mut editor: Editor<Commands, MemHistory>,
    shared: &Shared,
    remote: &Remote,
    server: TransportId,
) {
    let leave = || shared.is_leaving.store(true, Ordering::Release);
    let mut was_interrupted = false;
    loop {
        shared.wait_for_server();
        match editor.readline(PROMPT) {
            Ok(line) => {
                was_interrupted = false;
                // What is pasted can be several lines.
                if line.lines().any(|line| Visit::is_farewell(line.as_bytes())) {
                    leave();
                }
                // It fails for a line that is the same as the last, or empty.
                let _ = editor.add_history_entry(&line);
                with(remote, server, move |server| {
                    server.write(format!("{line}\n").as_bytes());
                });
            }
            // What was typed is dropped, as in a shell.
            Err(ReadlineError::Interrupted) if !was_interrupted => {
                was_interrupted = true;
                let _ = writeln!(io::stdout(), "(^C again, ^D or /quit to leave)");
            }
            Err(ReadlineError::Interrupted) => {
                leave();
                return with(remote, server, Transport::close);
            }
            // It was typed in another encoding: that is no reason to leave.
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                let _ =
                    writeln!(io::stdout(), "(only UTF-8 is understood here; the line is dropped)");
            }
            // ^D, or the terminal is gone: nothing more is said from here.
            Err(_) => {
                leave();
                return with(remote, server, Transport::write_eof);
            }
        }
    }
}

/// Does something to a transport of the loop, from another thread.
fn with(
    remote: &Remote,
    id: TransportId,
    act: impl FnOnce(&wharf::TransportHandle) + Send + 'static,
) {
    // The loop is closed when the program is about to end.
    let _ = remote.call_soon_threadsafe(move |event_loop| {
        if let Some(transport) = event_loop.transport(id) {
            act(&transport);
        }
    });
}

/// Completes the commands.
struct Commands;

impl Completer for Commands {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let fitting = NAMES.iter().filter(|name| name.starts_with(typed) && !typed.is_empty());
        Ok((0, fitting.map(|name| format!("{name} ")).collect()))
    }
}

impl Hinter for Commands {
    type Hint = String;
}

impl Highlighter for Commands {}
impl Validator for Commands {}
impl Helper for Commands {}

/// Restores the terminal when it is dropped: on a terminal that shows nothing the thread of the keyboard
/// may still be in the middle of a line.
struct Restored {
    terminal: OwnedFd,
    settings: Termios,
}

impl Restored {
    fn new() -> Result<Self> {
        // Its own: standard input is another one at the end.
        let terminal = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self { settings: tcgetattr(&terminal)?, terminal })
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        // An editor that is late finds no terminal to change.
        end_input();
        // The terminal may be gone, and with it what there is to restore.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.settings);
        // Takes the prompt away, and ends the editor's bracketed paste.
        let _ = io::stdout().write_all(b"\r\x1b[K\x1b[?2004l");
        let _ = io::stdout().flush();
    }
}
