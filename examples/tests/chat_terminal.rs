//! The chat's client at a terminal, with its line editor.

use std::process::Command;

use crate::needs;
use crate::program::{Ending, Program, built};

/// Runs the client on a terminal, as the script says: `until(bytes)` waits for output, `types(bytes)`
/// types, `visitor` is another member's socket. At the end the terminal has to be as it was.
const TERMINAL: &str = r#"
import os, pty, select, signal, socket, subprocess, sys, termios, time

client, address, server, script = sys.argv[1:]
master, terminal = pty.openpty()
before = termios.tcgetattr(terminal)

def own_terminal():
    os.setsid()
    import fcntl
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)

program = subprocess.Popen([client, "--connect", address], stdin=terminal, stdout=terminal,
                           stderr=terminal, preexec_fn=own_terminal,
                           env={**os.environ, "TERM": "xterm"})
text = b""

def until(wanted):
    global text
    limit = time.monotonic() + 20
    while wanted not in text:
        assert time.monotonic() < limit, (wanted, text)
        if select.select([master], [], [], 0.1)[0]:
            text += os.read(master, 10000)
    text = text[text.index(wanted) + len(wanted):]

def types(data):
    os.write(master, data)

host, port = address.rsplit(":", 1)
until(b"joined lobby")
until(b"> ")
visitor = socket.create_connection((host, int(port)))
visitor.sendall(b"/nick bob\n")
until(b"guest-2 is now bob")
heard = visitor.makefile()

def hears(wanted):
    while wanted not in heard.readline():
        pass

exec(script)
code = program.wait(timeout=20)
after = termios.tcgetattr(terminal)
if after != before:
    while select.select([master], [], [], 0.1)[0]:
        text += os.read(master, 10000)
    sys.exit(f"the settings differ: {before}, {after}; exit code {code}; {text}")
print(code)
"#;

/// The exit code that Python prints.
fn at_a_terminal(script: &str) -> Option<Ending> {
    if !needs::program("python3") {
        return None;
    }
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0"]);
    let address = chat.address();
    let mut command = Command::new("python3");
    command.arg("-c").arg(TERMINAL).arg(built("chat")).args([
        &*address,
        &chat.id().to_string(),
        script,
    ]);
    Some(Program::start(&mut command).unwrap().end())
}

#[track_caller]
fn assert_code(script: &str, code: &str) {
    let Some(ending) = at_a_terminal(script) else { return };
    assert_eq!((&*ending.errors, &ending.output[..]), ("", &[code.to_owned()][..]));
}

#[test]
fn what_is_typed_survives_what_is_heard() {
    let script = r#"
types(b"hel")
until(b"hel")
visitor.sendall(b"good morning\n")
until(b"<bob> good morning")
# The prompt and the beginning of the line are drawn again below.
until(b"> hel")
types(b"lo\r")
hears("<guest-1> hello")
types(b"/quit\r")
"#;
    assert_code(script, "0");
}

#[test]
fn lines_have_a_history_and_commands_are_completed() {
    let script = r#"
types(b"first\r")
hears("<guest-1> first")
types(b"second\r")
hears("<guest-1> second")
types(b"\x1b[A\x1b[A\r")
hears("<guest-1> first")
types(b"/ni\tann\r")
# The end of the input is one only where the editor reads: there is its prompt.
until(b"is now ann")
until(b"> ")
types(b"\x04")
"#;
    assert_code(script, "0");
}

#[test]
fn the_first_interrupt_drops_the_line_and_the_second_leaves() {
    let script = r#"
types(b"not to be said")
until(b"not to be said")
types(b"\x03")
until(b"^C again")
until(b"> ")
types(b"\x03")
hears("guest-1 left lobby")
"#;
    assert_code(script, "0");
}

#[test]
fn the_end_of_the_server_is_told_below_the_prompt() {
    let script = r#"
types(b"unfinished")
until(b"unfinished")
visitor.sendall(b"hello\n")
until(b"<bob> hello")
os.kill(int(server), signal.SIGKILL)
until(b"chat: the server ended the connection")
"#;
    assert_code(script, "1");
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    for (signal, code) in [("SIGTERM", "143"), ("SIGINT", "130"), ("SIGHUP", "129")] {
        assert_code(&format!("program.send_signal(signal.{signal})"), code);
    }
}

#[test]
fn lines_that_are_typed_ahead_or_pasted_are_all_said() {
    let script = r#"
types(b"one\rtwo\rthree\r")
for line in ("one", "two", "three"):
    hears(f"<guest-1> {line}")
types(b"\x1b[200~four\nfive\n/quit for today\x1b[201~\r")
hears("<guest-1> five")
hears("guest-1 left lobby")
"#;
    assert_code(script, "0");
}

#[test]
fn another_encoding_is_no_reason_to_leave() {
    let script = r#"
types(b"caf\xe9 noir\r")
until(b"only UTF-8")
until(b"> ")
types(b"/quit\r")
"#;
    assert_code(script, "0");
}
