//! The examples, as their users run them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::program::{PATIENCE, Program};

#[test]
fn echo_serves_until_sigterm() {
    let echo = Program::example("echo", &["--listen", "127.0.0.1:0"]);
    let address = echo.address();
    assert!(!address.ends_with(":0"), "{address}");
    let (mut first, mut second) = (connect(&address), connect(&address));
    first.write_all(b"first").unwrap();
    second.write_all(b"second").unwrap();
    assert_eq!(read(&mut second, 6), b"second");
    assert_eq!(read(&mut first, 5), b"first");

    echo.signal(Signal::TERM);
    assert_eq!(read_to_end(first), b"");
    assert_eq!(read_to_end(second), b"");
    let ending = echo.end();
    assert_eq!((ending.code, ending.errors), (Some(0), String::new()));
    assert_eq!(TcpStream::connect(&*address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn echo_gives_everything_back_to_a_client_that_writes_before_it_reads() {
    let echo = Program::example("echo", &["--listen", "127.0.0.1:0"]);
    let mut client = connect(&echo.address());
    let data: Vec<u8> = (0..16_u32 << 20).map(|position| (position % 251) as u8).collect();
    let mut writer = client.try_clone().unwrap();
    let written = data.clone();
    let writer = thread::spawn(move || {
        writer.write_all(&written).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut returned = Vec::new();
    client.read_to_end(&mut returned).unwrap();
    writer.join().unwrap();
    assert!(returned == data);
    echo.signal(Signal::INT);
    assert_eq!(echo.end().code, Some(0));
}

#[test]
fn echo_ends_though_a_client_never_reads() {
    let echo = Program::example("echo", &["--listen", "127.0.0.1:0"]);
    let _client = client_that_never_reads(&echo.address());
    echo.signal(Signal::TERM);
    assert_eq!(echo.end().code, Some(0));
}

#[test]
fn echo_ends_at_once_at_the_second_signal() {
    let echo = Program::example("echo", &["--listen", "127.0.0.1:0"]);
    let address = echo.address();
    // It keeps the first signal's shutdown waiting.
    let _client = client_that_never_reads(&address);
    echo.signal(Signal::TERM);
    // The listener is closed by the handler, so that a refusal says that it ran.
    while TcpStream::connect(&*address).is_ok() {}
    echo.signal(Signal::TERM);
    assert_eq!(echo.end().code, None);
}

#[test]
fn echo_serves_a_unix_socket() {
    let path = temporary("echo");
    let echo = Program::example("echo", &["--unix", path.to_str().unwrap()]);
    assert_eq!(echo.address(), format!("unix:{}", path.display()));
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(client), b"hello");
    echo.signal(Signal::INT);
    assert_eq!(echo.end().code, Some(0));
    assert!(!path.exists());
}

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
    assert_eq!((ending.code, ending.errors), (Some(0), String::new()));
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
    assert_eq!(ending.code, Some(0), "{ending:?}");
}

/// The example, not the protocol alone, beside foreign peers, on TCP and on a Unix socket.
#[test]
fn echo_is_open_to_asyncio_nc_and_socat() {
    const ASYNCIO: &str = r#"
import asyncio, sys

async def main():
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    data = b"asyncio " * 500_000
    writer.write(data)
    writer.write_eof()
    assert await reader.read() == data
    writer.close()
    await writer.wait_closed()
    print("all of it", flush=True)

asyncio.run(main())
"#;
    let echo = Program::example("echo", &["--listen", "127.0.0.1:0"]);
    let address = echo.address();
    let port = address.rsplit(':').next().unwrap();
    if let Some(mut python) = Program::foreign("python3", &["-c", ASYNCIO, port]) {
        assert_eq!(python.line(), "all of it");
        python.types_no_more();
        let ending = python.end();
        assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    }
    let path = temporary("peers");
    let path = path.to_str().unwrap();
    let unix = Program::example("echo", &["--unix", path]);
    unix.address();
    let nc = Program::foreign("nc", &["-N", "127.0.0.1", port]);
    let socat = Program::foreign("socat", &["-", &format!("TCP:{address}")]);
    let unix_socat = Program::foreign("socat", &["-", &format!("UNIX-CONNECT:{path}")]);
    for mut peer in [nc, socat, unix_socat].into_iter().flatten() {
        peer.types("there and back\n");
        assert_eq!(peer.line(), "there and back");
        peer.types_no_more();
        let ending = peer.end();
        assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    }
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

#[test]
fn tour_runs_every_transport() {
    let ending = Program::example("tour", &["--messages", "500"]).end();
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""), "{ending:?}");
    let rows = &ending.output[3..];
    assert_eq!(rows.len(), 20);
    for (row, transport) in rows.iter().zip(
        [
            "TCP, loopback",
            "TLS 1.3 over TCP",
            "Unix socket",
            "TLS 1.3 over a Unix socket",
            "UDP, loopback",
            "pair of sockets",
            "pipes",
            "subprocess, through cat",
            "memory pair",
            "memory network, virtual time",
        ]
        .iter()
        .flat_map(|transport| [transport; 2]),
    ) {
        assert!(row.starts_with(transport), "{row}");
        let columns: Vec<_> = row.split_whitespace().collect();
        let [messages, rate, megabytes] = columns[columns.len() - 3..] else { panic!("{row}") };
        assert_eq!(messages, "500", "{row}");
        assert!(rate.parse::<f64>().unwrap() > 0.0, "{row}");
        assert!(megabytes.parse::<f64>().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn help_is_not_an_error() {
    for name in [
        "echo",
        "chat",
        "multicast_discovery",
        "stdio_chat",
        "supervise",
        "tee",
        "tour",
        "udp_echo",
    ] {
        for option in ["--help", "-h"] {
            let ending = Program::example(name, &[option]).end();
            assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
            assert!(ending.output.iter().any(|line| line.starts_with("usage: ")), "{ending:?}");
        }
    }
}

#[test]
fn misuse_gets_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let file = temporary("a-file");
    std::fs::write(&file, "").unwrap();
    let file_path = file.to_str().unwrap();

    for name in ["echo", "chat"] {
        let text = format!("could not listen on {taken}: Address already in use");
        expect_failure(name, &["--listen", &taken], 1, &text);
        expect_failure(name, &["--listen", "nonsense"], 1, "missing port in `nonsense`");
        expect_failure(name, &["--listen", "127.0.0.1:70000"], 1, "invalid port `70000`");
        expect_failure(name, &["--listen", ""], 1, "");
        expect_failure(name, &["--unix", "/no/such/folder/s"], 1, "No such file or directory");
        expect_failure(name, &["--unix", file_path], 1, "Address already in use");
        expect_failure(name, &["--unix", &"x".repeat(200)], 1, "xxx");
        expect_failure(name, &["--listen"], 2, "missing argument for option '--listen'");
        expect_failure(name, &["--nonsense"], 2, "invalid option '--nonsense'");
        expect_failure(name, &["nonsense"], 2, "unexpected argument \"nonsense\"");
        expect_failure(name, &[], 2, "--listen");
    }
    expect_failure("chat", &["--connect", &nobody], 1, "Connection refused");
    expect_failure("chat", &["--connect", "nonsense"], 1, "missing port in `nonsense`");
    expect_failure("chat", &["--connect", ":1"], 1, "");
    expect_failure("stdio_chat", &["--connect", &nobody], 1, "Connection refused");
    expect_failure("stdio_chat", &[], 2, "--connect is needed");
    expect_failure("tee", &["/no/such/folder/file"], 1, "No such file or directory");
    expect_failure("tee", &["--nonsense"], 2, "invalid option '--nonsense'");
    expect_failure("chat", &["--listen", ":0", "--connect", ":1"], 2, "one of --listen");
    expect_failure("chat", &["--listen", ":0", "--idle-timeout", "soon"], 2, "soon");
    expect_failure("tour", &["--messages", "many"], 2, "many");
    expect_failure("tour", &["nonsense"], 2, "unexpected argument \"nonsense\"");
    assert!(file.exists());
    std::fs::remove_file(file).unwrap();
}

fn expect_failure(name: &str, arguments: &[&str], code: i32, text: &str) {
    let ending = Program::example(name, arguments).end();
    assert_eq!(ending.code, Some(code), "{name} {arguments:?}: {ending:?}");
    assert_eq!(ending.output, [""; 0]);
    let errors = &ending.errors;
    assert!(errors.starts_with(&format!("{name}: ")), "{errors}");
    assert!(errors.ends_with('\n') && errors.lines().count() == 1, "{errors}");
    assert!(errors.contains(text), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A client that has written until nothing was taken any more.
fn client_that_never_reads(address: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let error = client.write_all(&vec![0; 64 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    client
}

fn read(stream: &mut impl Read, length: usize) -> Vec<u8> {
    let mut data = vec![0; length];
    stream.read_exact(&mut data).unwrap();
    data
}

fn read_to_end(mut stream: impl Read) -> Vec<u8> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).unwrap();
    data
}

/// A path for this test alone, where nothing is.
fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wharf-system-{name}-{}", std::process::id()))
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
            let count = self.stream.read(&mut buffer).unwrap();
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
