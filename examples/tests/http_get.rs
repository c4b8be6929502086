//! `http_get` with foreign servers, and with answers that are wrong, too long or too slow.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use crate::authority::{Authority, text};
use crate::needs;
use crate::program::{Ending, PATIENCE, Program};
use crate::serving::Directory;

fn get(arguments: &[&str]) -> Ending {
    Program::example("http_get", arguments).end()
}

/// Fetches a page from a server that gives `answer` and ends the connection; what the server was asked, too.
fn answered(answer: &'static [u8], options: &[&str]) -> (Ending, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a?b#c", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let request = request(&mut stream);
        // A client that has read enough may be gone.
        let _ = stream.write_all(answer);
        request
    });
    let ending = get(&[&[&*url], options].concat());
    (ending, server.join().unwrap())
}

fn request(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.extend_from_slice(&byte);
    }
    String::from_utf8(request).unwrap()
}

#[track_caller]
fn assert_refused(answer: &'static [u8], options: &[&str], why: &str) {
    let (ending, _) = answered(answer, options);
    assert_eq!((ending.code, &*ending.output), (Some(1), &[][..]), "{ending:?}");
    assert!(ending.errors.contains(why) && ending.errors.lines().count() == 1, "{ending:?}");
}

#[test]
fn http_get_asks_as_http_wants_it() {
    let (ending, asked) = answered(b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", &[]);
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    assert_eq!(ending.output, ["HTTP/1.1 204 No Content", "A: b", ""]);
    assert!(asked.starts_with("GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked}");
    assert!(asked.contains("\r\nConnection: close\r\n"), "{asked}");
}

#[test]
fn http_get_knows_where_a_page_ends() {
    for answer in [
        &b"HTTP/1.0 200 OK\r\n\r\npage"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage and what is not asked for",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nCONTENT-length: 4\r\n\r\npage",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\npag\r\n01\r\ne\r\n0\r\nT: u\r\n\r\n",
    ] {
        let (ending, _) = answered(answer, &[]);
        assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
        assert_eq!(ending.output.last().unwrap(), "page");
    }
}

#[test]
fn http_get_refuses_what_is_wrong_or_too_long() {
    assert_refused(b"SSH-2.0-x\r\n\r\n", &[], "is not HTTP/1");
    assert_refused(b"HTTP/1.1 200 OK\r\n", &[], "the input ended before a separator");
    assert_refused(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npage", &[], "after 4 of 5 bytes");
    assert_refused(b"HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\npage", &[], "no number");
    let two = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 3\r\n\r\npage";
    assert_refused(two, &[], "two lengths");
    let limit = &["--limit", "3"][..];
    assert_refused(b"HTTP/1.1 200 OK\r\n\r\npage", limit, "longer than 3 bytes");
    assert_refused(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage",
        limit,
        "longer than 3 bytes",
    );
    let chunked =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\npa\r\n2\r\nge\r\n0\r\n\r\n";
    assert_refused(chunked, limit, "longer than 3 bytes");
    let no_size = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\npa\r\n0\r\n\r\n";
    assert_refused(no_size, &[], "a chunk has no size");
    let unknown = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\npage";
    assert_refused(unknown, &[], "unknown transfer coding: gzip");
}

#[test]
fn http_get_tells_of_a_status_that_is_an_error_by_its_exit_code() {
    let (ending, _) = answered(b"HTTP/1.1 404 Not \x1bFound\r\n\r\nnothing here\n", &[]);
    assert_eq!((ending.code, &*ending.errors), (Some(1), ""));
    assert_eq!(ending.output, ["HTTP/1.1 404 Not \u{fffd}Found", "", "nothing here"]);
}

#[test]
fn http_get_does_not_wait_for_ever() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let ending = get(&["--timeout", "0.05", &url]);
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &[][..]));
    assert_eq!(ending.errors, "http_get: no page within 50ms\n");
}

#[test]
fn http_get_fetches_from_pythons_http_server() {
    let directory = Directory::new();
    std::fs::write(directory.join("page"), "one\ntwo\n").unwrap();
    let place = directory.join("").display().to_string();
    let arguments = ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", &place];
    let Some(server) = Program::foreign("python3", &arguments) else { return };
    let line = server.line();
    let port = line.split(' ').skip_while(|word| *word != "port").nth(1).expect(&line);
    let ending = get(&[&format!("http://127.0.0.1:{port}/page")]);
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    assert_eq!(ending.output[ending.output.len() - 3..], ["", "one", "two"]);
    assert_eq!(get(&[&format!("http://127.0.0.1:{port}/missing")]).code, Some(1));
}

#[test]
fn http_get_fetches_over_tls_from_openssl_and_trusts_whom_it_should() {
    if !needs::program("openssl") {
        return;
    }
    let (authority, directory) = (Authority::new(), Directory::new());
    std::fs::write(directory.join("page.txt"), "one\ntwo\n").unwrap();
    let files = authority.issue(&["localhost"]);
    let mut command = Command::new("openssl");
    command.args(["s_server", "-WWW", "-accept", "127.0.0.1:0", "-cert_chain", text(&files.chain)]);
    command.args(["-cert", text(&files.chain), "-key", text(&files.key)]);
    let server = Program::start(command.current_dir(directory.join(""))).unwrap();
    let port = loop {
        if let Some(address) = server.line().strip_prefix("ACCEPT ") {
            break address.rsplit_once(':').expect(address).1.to_owned();
        }
    };
    let (ca, url) = (authority.file(), format!("https://localhost:{port}/page.txt"));
    let ending = get(&["--ca", text(&ca), &url]);
    assert_eq!((ending.code, &*ending.errors), (Some(0), ""));
    assert_eq!(ending.output[ending.output.len() - 3..], ["", "one", "two"]);
    let stranger = Authority::new();
    let ending = get(&["--ca", text(&stranger.file()), &url]);
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &[][..]), "{ending:?}");
}
