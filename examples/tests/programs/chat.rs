//! The chat server and its client.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::process::Signal;

use super::{connect, read_to_end, temporary};
use crate::complaints;
use crate::program::{PATIENCE, Program};
use crate::sockets::uninterrupted;

#[test]
fn chat_carries_a_conversation() {
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = Visitor::enter(&address, "ann");
    let mut bob = Visitor::enter(&address, "bob");
    assert_eq!(ann.lines(2), ["* guest-2 joined lobby", "* guest-2 is now bob"]);
    ann.says("hello");
    assert_eq!(bob.line(), "<ann> hello");
    bob.says("/quit");
    assert_eq!(bob.rest(), ["* good-bye"]);
    assert_eq!(ann.line(), "* bob left lobby (quit)");

    chat.signal(Signal::TERM);
    assert_eq!(ann.rest(), ["* the server is shutting down; good-bye"]);
    let ending = chat.end();
    assert_eq!((ending.code, complaints(&ending.errors)), (Some(0), String::new()));
}

/// 16 MiB are said while one member reads nothing at all.
#[test]
#[cfg(target_os = "linux")]
fn chat_does_not_grow_nor_wait_for_a_member_who_never_reads() {
    const LINES: usize = 16 * 1024;
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0"]);
    let address = chat.address();
    let (mut ann, mut bob) = (Visitor::enter(&address, "ann"), Visitor::enter(&address, "bob"));
    let _sleeper = Visitor::enter(&address, "sleeper");
    ann.lines(4);
    bob.lines(2);

    let text = "x".repeat(1000);
    let before = chat.resident();
    let (mut most, mut departures) = (before, 0);
    for _ in 0..LINES / 64 {
        ann.says(&[&*text; 64].join("\n"));
        let mut heard = 0;
        while heard < 64 {
            match bob.line() {
                line if line == "* sleeper left lobby (reads too slowly)" => departures += 1,
                line => {
                    assert_eq!(line.len(), "<ann> ".len() + text.len());
                    heard += 1;
                }
            }
        }
        most = most.max(chat.resident());
    }
    assert_eq!(departures, 1);
    let growth = most - before;
    assert!(growth < 2 << 20, "grew by {growth} bytes");
    chat.signal(Signal::TERM);
    assert_eq!(chat.end().code, Some(0));
}

#[test]
fn chat_serves_a_unix_socket() {
    let path = temporary("chat");
    let chat = Program::example("chat", &["--unix", path.to_str().unwrap()]);
    assert_eq!(chat.address(), format!("unix:{}", path.display()));
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"/rooms\n/quit\n").unwrap();
    let heard = String::from_utf8(read_to_end(client)).unwrap();
    assert!(heard.ends_with("* lobby: 1\n* good-bye\n"), "{heard}");
}

#[test]
fn chat_has_a_client_for_the_terminal() {
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = Program::example("chat", &["--connect", &address]);
    assert_eq!(ann.line(), "* welcome, guest-1; /help lists the commands");
    assert_eq!(ann.line(), "* guest-1 joined lobby");
    ann.types("/nick ann\n");
    assert_eq!(ann.line(), "* guest-1 is now ann");

    let mut bob = Visitor::enter(&address, "bob");
    bob.says("hello");
    assert_eq!(ann.line(), "* guest-2 joined lobby");
    assert_eq!(ann.line(), "* guest-2 is now bob");
    assert_eq!(ann.line(), "<bob> hello");

    // A book, as fast as it can be read; then the end of the input is the end of the visit.
    let book: Vec<_> = (0..20_000).map(|number| format!("line {number} of the book")).collect();
    let text = book.join("\n");
    let typing = thread::spawn(move || {
        ann.types(&text);
        ann.types_no_more();
        ann.end()
    });
    for line in book {
        assert_eq!(bob.line(), format!("<ann> {line}"));
    }
    assert_eq!(bob.line(), "* ann left lobby (quit)");
    let ending = typing.join().unwrap();
    assert_eq!((ending.code, ending.errors), (Some(0), String::new()));

    // The client ends with the server.
    let cid = Program::example("chat", &["--connect", &address]);
    cid.line();
    chat.signal(Signal::TERM);
    assert_eq!(chat.end().code, Some(0));
    let ending = cid.end();
    assert_eq!(ending.code, Some(1), "{ending:?}");
    assert_eq!(ending.errors, "chat: the server ended the connection\n");
}

/// Lines are all it takes to be a member.
#[test]
fn chat_is_open_to_asyncio_nc_and_socat() {
    const ASYNCIO: &str = r#"
import asyncio, sys

async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    writer.write(b"/nick python\n")
    while line := await reader.readline():
        print(line.decode().rstrip(), flush=True)
        if b"hello python" in line:
            writer.write(b"hello yourself\n/quit\n")
    writer.close()
    await writer.wait_closed()

asyncio.run(main())
"#;
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0"]);
    let address = chat.address();
    let port = address.rsplit(':').next().unwrap();
    let mut ann = Visitor::enter(&address, "ann");
    let python = Program::foreign("python3", &["-c", ASYNCIO, port]);
    let nc = Program::foreign("nc", &["127.0.0.1", port]);
    let socat = Program::foreign("socat", &["-", &format!("TCP:{address}")]);
    for (name, peer) in [("python", python), ("nc", nc), ("socat", socat)] {
        let Some(mut peer) = peer else { continue };
        if name != "python" {
            peer.types(&format!("/nick {name}\n"));
        }
        while !ann.line().ends_with(&format!(" is now {name}")) {}
        ann.says(&format!("hello {name}"));
        while peer.line() != format!("<ann> hello {name}") {}
        if name != "python" {
            peer.types("hello yourself\n/quit\n");
        }
        while ann.line() != format!("<{name}> hello yourself") {}
        while ann.line() != format!("* {name} left lobby (quit)") {}
        // nc and socat may wait for the end of their input.
        peer.types_no_more();
        let ending = peer.end();
        assert_eq!(ending.output.last().unwrap(), "* good-bye");
        assert_eq!((ending.code, &*ending.errors), (Some(0), ""), "{name}");
    }
}

/// A member of the chat on a plain socket.
struct Visitor {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Visitor {
    /// Connects and takes a nickname, and has heard of it.
    fn enter(address: &str, nickname: &str) -> Self {
        let mut visitor = Self { stream: connect(address), received: Vec::new() };
        visitor.says(&format!("/nick {nickname}"));
        visitor.lines(3);
        visitor
    }

    fn says(&mut self, text: &str) {
        self.stream.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<_> = self.received.drain(..=end).collect();
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            let mut buffer = [0; 64 * 1024];
            let count = uninterrupted(|| self.stream.read(&mut buffer)).unwrap();
            assert_ne!(count, 0, "the chat has ended the connection");
            self.received.extend_from_slice(&buffer[..count]);
        }
    }

    fn lines(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.line()).collect()
    }

    /// Everything up to the end.
    fn rest(mut self) -> Vec<String> {
        self.stream.read_to_end(&mut self.received).unwrap();
        String::from_utf8(self.received).unwrap().lines().map(str::to_owned).collect()
    }
}
