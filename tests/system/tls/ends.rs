//! How connections with Python's ssl end: one side, both, or without a word.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStdout;
use std::rc::Rc;

use wharf::{Eof, Error, EventLoop, Protocol, Result, TlsClient, TlsServer, TlsVersion, Transport};

use super::authority::{Authority, text};
use crate::peers::start;
use crate::process::Guard;
use crate::serving::{address, run, until};

/// Either side of TLS, over memory, as Python's sockets cannot end just one direction.
const PEER: &str = r#"
import socket, ssl, sys

deed, version, port, ca, chain, key = sys.argv[1:]
if port == "0":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain, key)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    print(listener.getsockname()[1], flush=True)
    plain, _ = listener.accept()
else:
    context = ssl.create_default_context(cafile=ca)
    plain = socket.create_connection(("127.0.0.1", int(port)))
plain.settimeout(10)
context.maximum_version = ssl.TLSVersion[version]
# Some versions of Python set it, and take a cut for an end.
context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
name = None if port == "0" else "a.example"
stream = context.wrap_bio(incoming, outgoing, server_side=port == "0", server_hostname=name)

def flush():
    plain.sendall(outgoing.read())

def until_done(call, *arguments):
    while True:
        try:
            result = call(*arguments)
            flush()
            return result
        except ssl.SSLWantReadError:
            flush()
            data = plain.recv(65536)
            incoming.write(data) if data else incoming.write_eof()

def read_all():
    said = b""
    try:
        while data := until_done(stream.read, 1000):
            said += data
    except ssl.SSLZeroReturnError:
        pass
    except (ssl.SSLError, ConnectionResetError):
        said += b", cut off"
    return said.decode()

def end_our_side():
    try:
        stream.unwrap()
    except ssl.SSLWantReadError:
        pass
    flush()

until_done(stream.do_handshake)
until_done(stream.write, b"question")
if deed == "half-closes":
    end_our_side()
    print(read_all(), flush=True)
elif deed == "is half-closed":
    print(read_all(), flush=True)
    until_done(stream.write, b", late")
    end_our_side()
elif deed == "cuts off":
    print(until_done(stream.read, 6).decode(), flush=True)
elif deed == "is cut off":
    print(read_all(), flush=True)
plain.close()
"#;

/// What the peer does, what we do, and what comes of it.
struct Case {
    deed: &'static str,
    version: TlsVersion,
    we: We,
    /// What the peer prints.
    printed: &'static str,
    received: &'static str,
    eofs: usize,
    end: End,
}

/// What we do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum We {
    /// Answer the question when the peer's side has ended.
    AnswerAtTheEnd,
    /// Answer, and end our side.
    EndOurSide,
    /// Answer.
    Answer,
    /// Answer, and abort once the answer is gone.
    Abort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Clean,
    Truncated,
    Other,
}

use TlsVersion::{Tls12, Tls13};

const CASES: [Case; 6] = [
    Case {
        deed: "half-closes",
        version: Tls13,
        we: We::AnswerAtTheEnd,
        printed: "answer\n",
        received: "question",
        eofs: 1,
        end: End::Clean,
    },
    Case {
        deed: "is half-closed",
        version: Tls13,
        we: We::EndOurSide,
        printed: "answer\n",
        received: "question, late",
        eofs: 1,
        end: End::Clean,
    },
    cut(Tls12, "cuts off", We::Answer, "answer\n", End::Truncated),
    cut(Tls13, "cuts off", We::Answer, "answer\n", End::Truncated),
    cut(Tls12, "is cut off", We::Abort, "answer, cut off\n", End::Clean),
    cut(Tls13, "is cut off", We::Abort, "answer, cut off\n", End::Clean),
];

const fn cut(
    version: TlsVersion,
    deed: &'static str,
    we: We,
    printed: &'static str,
    end: End,
) -> Case {
    Case { deed, version, we, printed, received: "question", eofs: 0, end }
}

/// What our side has seen.
#[derive(Default)]
struct Notes {
    received: RefCell<Vec<u8>>,
    eofs: RefCell<usize>,
    end: RefCell<Option<End>>,
}

struct Side {
    we: We,
    notes: Rc<Notes>,
}

impl Protocol for Side {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let mut received = self.notes.received.borrow_mut();
        received.extend_from_slice(data);
        if *received != b"question" || self.we == We::AnswerAtTheEnd {
            return Ok(());
        }
        transport.write(b"answer");
        match self.we {
            We::EndOurSide => transport.write_eof(),
            // A little later: an abort may take what is on its way along with it.
            We::Abort => {
                let handle = transport.handle();
                let later = std::time::Duration::from_millis(100);
                transport.event_loop().call_later(later, move || handle.abort());
            }
            We::AnswerAtTheEnd | We::Answer => {}
        }
        Ok(())
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        *self.notes.eofs.borrow_mut() += 1;
        if self.we == We::AnswerAtTheEnd {
            transport.write(b"answer");
        }
        Ok(Eof::Close)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let end = match error {
            None => End::Clean,
            Some(error) if error.is_truncated() => End::Truncated,
            Some(_) => End::Other,
        };
        *self.notes.end.borrow_mut() = Some(end);
        Ok(())
    }
}

/// Python's process, and what it prints.
struct Python {
    process: RefCell<Guard>,
    output: BufReader<ChildStdout>,
}

impl Python {
    fn start(case: &Case, port: u16, authority: &Authority) -> Option<Self> {
        let (files, ca) = (authority.issue(&["a.example"]), authority.file());
        let version = if case.version == Tls12 { "TLSv1_2" } else { "TLSv1_3" };
        let port = port.to_string();
        let arguments = [
            "-c",
            PEER,
            case.deed,
            version,
            &port,
            text(&ca),
            text(&files.chain),
            text(&files.key),
        ];
        let mut process = start("python3", arguments)?;
        let output = BufReader::new(process.0.stdout.take().expect("a pipe"));
        Some(Self { process: RefCell::new(process), output })
    }

    /// Waits for both ends, and compares with what was to come of it.
    async fn check(mut self, event_loop: &EventLoop, case: &Case, notes: &Notes, role: &str) {
        let what = format!("{role} {}, {}", case.deed, case.version);
        let is_over = || self.process.borrow_mut().is_over() && notes.end.borrow().is_some();
        until(event_loop, &what, is_over).await;
        let mut printed = String::new();
        self.output.read_to_string(&mut printed).expect("text");
        assert_eq!(printed, case.printed, "{what}");
        assert_eq!(String::from_utf8_lossy(&notes.received.borrow()), case.received, "{what}");
        assert_eq!(*notes.eofs.borrow(), case.eofs, "{what}");
        assert_eq!(*notes.end.borrow(), Some(case.end), "{what}");
    }
}

#[test]
fn python_as_client_ends_and_is_ended_in_every_way() {
    run(async |event_loop| {
        let authority = Authority::new();
        let identity = authority.issue(&["a.example"]).identity();
        let tls = TlsServer::builder().identity(identity).build()?;
        for case in &CASES {
            let notes = Rc::new(Notes::default());
            let (we, of_side) = (case.we, Rc::clone(&notes));
            let server = event_loop
                .create_server(move || Side { we, notes: Rc::clone(&of_side) }, "127.0.0.1:0")
                .tls(&tls)
                .await?;
            let port = address(&server).port();
            let Some(python) = Python::start(case, port, &authority) else { return Ok(()) };
            python.check(&event_loop, case, &notes, "a client").await;
        }
        Ok(())
    });
}

#[test]
fn python_as_server_ends_and_is_ended_in_every_way() {
    run(async |event_loop| {
        for case in &CASES {
            let authority = Authority::new();
            let Some(mut python) = Python::start(case, 0, &authority) else { return Ok(()) };
            let mut port = String::new();
            python.output.read_line(&mut port)?;
            let tls = TlsClient::builder().ca_file(authority.file()).build()?;
            let notes = Rc::new(Notes::default());
            let side = Side { we: case.we, notes: Rc::clone(&notes) };
            let to = ("127.0.0.1", port.trim().parse::<u16>()?);
            let tls = tls.server_name("a.example");
            let _connection = event_loop.create_connection(|| side, to).tls(tls).await?;
            python.check(&event_loop, case, &notes, "a server").await;
        }
        Ok(())
    });
}
