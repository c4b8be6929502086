//! The example `stdio_chat`: a chat in pipelines, with files and on a terminal.

use std::process::Command;

use rustix::process::Signal;

use crate::needs;
use crate::program::{Program, built};
use crate::serving::Directory;

/// A server, and its address.
fn chat() -> (Program, String) {
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0"]);
    let address = chat.address();
    (chat, address)
}

/// Runs a shell's script in which `$CHAT` is the client with its address.
fn shell(script: &str, address: &str, directory: &Directory) -> Program {
    let client = format!("{} --connect {address}", built("stdio_chat").display());
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("CHAT", client).current_dir(directory.join("."));
    Program::start(&mut command).expect("every system has a shell")
}

#[test]
fn what_is_piped_in_is_said_and_what_is_said_is_piped_out() {
    let ((_chat, address), directory) = (chat(), Directory::new());
    let mut listener = Program::example("stdio_chat", &["--connect", &address]);
    while !listener.line().ends_with("joined lobby") {}
    let script = "printf '/nick reader\nhello\nthis is the end' | $CHAT | cat";
    let ending = shell(script, &address, &directory).end();
    assert_eq!((ending.errors.as_str(), ending.output.len()), ("", 3));
    for expected in [
        "* guest-2 joined lobby",
        "* guest-2 is now reader",
        "<reader> hello",
        "<reader> this is the end",
        "* reader left lobby (quit)",
    ] {
        assert_eq!(listener.line(), expected);
    }
    listener.types_no_more();
    assert_eq!(listener.end().code, Some(0));
}

#[test]
fn files_are_read_out_and_logs_are_kept() {
    let ((_chat, address), directory) = (chat(), Directory::new());
    let script =
        "seq -f 'line %g' 20000 > book; echo /quit >> book; $CHAT < book > log; echo $?; cat log";
    let ending = shell(script, &address, &directory).end();
    assert_eq!(ending.errors, "");
    assert_eq!(
        ending.output,
        [
            "0",
            "* welcome, guest-1; /help lists the commands",
            "* guest-1 joined lobby",
            "* good-bye"
        ]
    );
    let ending = shell("$CHAT < /dev/null | wc -l; $CHAT <&- | wc -l", &address, &directory).end();
    assert_eq!((ending.errors.as_str(), &ending.output[..]), ("", &["2".into(), "2".into()][..]));
}

#[test]
fn it_leaves_when_nobody_reads_what_is_said() {
    let ((_chat, address), directory) = (chat(), Directory::new());
    let script = "mkfifo quiet; sleep 30 > quiet & quiet=$!
        $CHAT < quiet | head -1; kill $quiet; echo over";
    let ending = shell(script, &address, &directory).end();
    assert_eq!(ending.output, ["* welcome, guest-1; /help lists the commands", "over"]);
    assert_eq!(ending.errors, "");
}

#[cfg(target_os = "linux")]
#[test]
fn it_says_what_is_wrong_with_its_output() {
    let ((_chat, address), directory) = (chat(), Directory::new());
    let ending = shell("$CHAT < /dev/null > /dev/full; echo $?", &address, &directory).end();
    assert_eq!(ending.output, ["1"]);
    assert!(ending.errors.starts_with("stdio_chat: standard output: "), "{}", ending.errors);
}

#[test]
fn it_ends_with_the_server_though_nobody_types() {
    let (chat, address) = chat();
    let client = Program::example("stdio_chat", &["--connect", &address]);
    while !client.line().ends_with("joined lobby") {}
    chat.signal(Signal::TERM);
    assert_eq!(chat.end().code, Some(0));
    let ending = client.end();
    assert_eq!(ending.code, Some(1));
    assert_eq!(ending.errors, "stdio_chat: the server ended the connection\n");
    assert_eq!(ending.output, ["* the server is shutting down; good-bye"]);
}

#[test]
fn it_is_at_home_on_a_terminal() {
    const TERMINAL: &str = r#"
import os, pty, subprocess, sys
master, terminal = pty.openpty()
client = subprocess.Popen(sys.argv[1:], stdin=terminal, stdout=terminal, stderr=terminal)
os.close(terminal)
text = b""
def until(wanted):
    global text
    while wanted not in text:
        text += os.read(master, 1000)
until(b"joined lobby")
os.write(master, b"/nick ann\n")
until(b"* guest-1 is now ann\r\n")
os.write(master, b"/quit\n")
until(b"* good-bye\r\n")
print(client.wait(timeout=15))
"#;
    if !needs::program("python3") {
        return;
    }
    let (_chat, address) = chat();
    let client = built("stdio_chat");
    let mut command = Command::new("python3");
    command.arg("-c").arg(TERMINAL).arg(client).args(["--connect", &address]);
    let ending = Program::start(&mut command).unwrap().end();
    assert_eq!((ending.errors.as_str(), &ending.output[..]), ("", &["0".to_owned()][..]));
}
