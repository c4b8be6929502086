//! `http_server` with foreign clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::complaints;
use crate::program::{PATIENCE, Program, built};
use crate::serving::Directory;

fn server(options: &[&str]) -> (Program, String) {
    let arguments = [&["--listen", "127.0.0.1:0"], options].concat();
    let server = Program::example("http_server", &arguments);
    let address = server.address();
    (server, address)
}

fn ends_well(server: Program) {
    server.signal(Signal::TERM);
    let ending = server.end();
    assert_eq!((ending.code, complaints(&ending.errors)), (Some(0), String::new()));
}

/// What curl says; `None` where there is none.
fn curl(arguments: &[&str]) -> Option<String> {
    let curl =
        Program::foreign("curl", &[&["-sS", "--http1.1", "--max-time", "20"], arguments].concat())?;
    let ending = curl.end();
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""), "{arguments:?}");
    Some(ending.output.join("\n"))
}

#[test]
fn http_server_answers_curl() {
    let directory = Directory::new();
    std::fs::write(directory.join("a.txt"), "0123456789").unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|number| b'a' + (number % 26) as u8).collect();
    std::fs::write(directory.join("large"), &large).unwrap();
    let place = directory.join("").display().to_string();
    let (server, address) = server(&["--files", &place]);
    let url = |path: &str| format!("http://{address}{path}");

    let Some(plain) = curl(&["-i", &url("/plaintext")]) else { return };
    assert!(plain.starts_with("HTTP/1.1 200 OK\nServer: wharf\nDate: "), "{plain}");
    assert!(plain.ends_with("\nContent-Length: 13\n\nHello, World!"), "{plain}");
    let two = curl(&["-w", "%{num_connects}", &url("/json"), &url("/json")]).unwrap();
    assert_eq!(two, r#"{"message":"Hello, World!"}1{"message":"Hello, World!"}0"#);
    let head = curl(&["-I", &url("/plaintext")]).unwrap();
    assert!(head.contains("\nContent-Length: 13\n"), "{head}");

    assert_eq!(curl(&["-d", "hello", &url("/echo")]).unwrap(), "hello");
    let chunked = ["-H", "Transfer-Encoding: chunked", "-d", "hello", &url("/echo")];
    assert_eq!(curl(&chunked).unwrap(), "hello");
    let old = ["--http1.0", "-d", "hello", &url("/echo")];
    assert_eq!(curl(&old).unwrap(), "hello");
    // More than a write buffer, there and back, waiting for 100 Continue.
    let upload = format!("@{place}large");
    let expect = ["-H", "Expect: 100-continue", "--data-binary", &upload, &url("/echo")];
    let refused = curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], &expect[..]].concat());
    // Above the default limit for content.
    assert_eq!(refused.unwrap(), "413");
    std::fs::write(directory.join("large"), &large[..2_000_000]).unwrap();
    assert_eq!(curl(&expect).unwrap().as_bytes(), &large[..2_000_000]);

    assert_eq!(curl(&[&url("/large")]).unwrap().as_bytes(), &large[..2_000_000]);
    assert_eq!(curl(&["-r", "2-4", &url("/a.txt")]).unwrap(), "234");
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    let status = |more: &[&str]| curl(&[&code[..], more].concat()).unwrap();
    assert_eq!(status(&["--path-as-is", &url("/../etc/passwd")]), "404");
    assert_eq!(status(&[&url("/%2e%2e/etc/passwd")]), "404");
    assert_eq!(status(&["-z", "Fri, 01 Jan 2100 00:00:00 GMT", &url("/a.txt")]), "304");
    assert_eq!(status(&["-X", "DELETE", &url("/a.txt")]), "405");
    ends_well(server);
}

#[test]
fn http_server_answers_curl_under_tls() {
    let (server, address) = server(&["--tls"]);
    assert!(server.line().starts_with("SHA-256 fingerprint"));
    if let Some(text) = curl(&["-k", &format!("https://{address}/plaintext")]) {
        assert_eq!(text, "Hello, World!");
    }
    ends_well(server);
}

#[test]
fn http_server_answers_pythons_http_client() {
    const CLIENT: &str = r#"
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=20)
for _ in range(3):
    connection.request("GET", "/plaintext")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"Hello, World!"), answer.status
    assert answer.getheader("Date").endswith(" GMT")
pieces = [b"x" * 1000] * 100
connection.request("POST", "/echo", iter(pieces), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
answer = connection.getresponse()
assert answer.read() == b"".join(pieces)
connection.request("HEAD", "/json")
answer = connection.getresponse()
assert (answer.read(), answer.getheader("Content-Length")) == (b"", "27")
connection.request("GET", "/events")
answer = connection.getresponse()
assert answer.readline() == b"event: second\n"
print("well")
"#;
    let (server, address) = server(&[]);
    if let Some(python) = Program::foreign("python3", &["-c", CLIENT, &address]) {
        let ending = python.end();
        assert_eq!((&*ending.output, &*ending.errors), (&["well".to_owned()][..], ""));
    }
    server.signal(Signal::TERM);
    // The events have no end of their own.
    assert_eq!(server.end().code, Some(0));
}

#[test]
fn http_server_answers_node() {
    const CLIENT: &str = r#"
const http = require("http");
const [host, port] = process.argv[1].split(":");
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
let left = 5;
for (let i = 0; i < 5; i++) {
  const request = http.request({ host, port, agent, path: "/echo", method: "POST" }, (answer) => {
    let text = "";
    answer.on("data", (data) => (text += data));
    answer.on("end", () => {
      if (text !== "hello" + i) throw new Error(text);
      if (--left === 0) { console.log("well"); agent.destroy(); }
    });
  });
  request.write("hello");
  request.end("" + i);
}
"#;
    let (server, address) = server(&[]);
    if let Some(node) = Program::foreign("node", &["-e", CLIENT, &address]) {
        let ending = node.end();
        assert_eq!((&*ending.output, &*ending.errors), (&["well".to_owned()][..], ""));
    }
    ends_well(server);
}

#[test]
fn http_server_answers_many_requests_that_come_together() {
    let (server, address) = server(&[]);
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = b"GET /plaintext HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(&[&request.repeat(999)[..], last].concat()).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("Hello, World!").count(), 1000);
    ends_well(server);
}

/// A client that begins to speak, and goes on.
#[test]
fn http_server_refuses_what_is_no_http_and_serves_others() {
    let (server, address) = server(&[]);
    for wrong in [
        &b"\x16\x03\x01\x02\x00\x01"[..],
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(wrong).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("(RFC 9112, "), "{answer}");
    }
    ends_well(server);
}

/// What is answered to a request for `path`, by a connection of its own.
fn asked(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    ask(&mut stream, path)
}

fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that gives up says so by a reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Without descriptors a file is not missing, and the server goes on when there are some again.
#[test]
fn http_server_outlives_descriptors_that_run_out() {
    let directory = Directory::new();
    std::fs::write(directory.join("a.txt"), "0123456789").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" --listen 127.0.0.1:0 --files \"$1\""]);
    command.arg(built("http_server")).arg(directory.join(""));
    let server = Program::start(&mut command).unwrap();
    let address = server.address();
    let mut first = TcpStream::connect(&address).unwrap();
    assert!(asked(&address, "/a.txt").ends_with("0123456789"));
    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    // Who comes when there are none left is turned away.
    let mut last = crowd.last().unwrap();
    last.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(!matches!(last.read(&mut [0]), Ok(1)));
    let answer = ask(&mut first, "/a.txt");
    assert!(answer.starts_with("HTTP/1.1 503 ") || answer.ends_with("0123456789"), "{answer}");
    drop(crowd);
    let deadline = Instant::now() + PATIENCE;
    while !asked(&address, "/a.txt").ends_with("0123456789") {
        assert!(Instant::now() < deadline, "it serves no files any more");
        sleep(Duration::from_millis(20));
    }
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, Some(0));
}

/// Clients that are gone in the middle of a file leave nothing behind.
#[test]
#[cfg(target_os = "linux")]
fn http_server_forgets_clients_that_vanish_from_a_file() {
    let directory = Directory::new();
    std::fs::write(directory.join("large"), vec![b'x'; 20_000_000]).unwrap();
    let place = directory.join("").display().to_string();
    let (server, address) = server(&["--files", &place]);
    assert!(asked(&address, "/plaintext").ends_with("Hello, World!"));
    let before = (server.descriptors(), server.resident());
    for round in 0..50 {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Several at once: they wait for one another.
        stream
            .write_all(&b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1 + round % 20))
            .unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
    }
    assert!(asked(&address, "/plaintext").ends_with("Hello, World!"));
    let deadline = Instant::now() + PATIENCE;
    while server.descriptors() > before.0 {
        assert!(Instant::now() < deadline, "{} descriptors", server.descriptors());
        sleep(Duration::from_millis(20));
    }
    let grown = server.resident().saturating_sub(before.1);
    assert!(grown < 20_000_000, "{grown} bytes more");
    ends_well(server);
}
