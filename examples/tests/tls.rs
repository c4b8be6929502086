//! The examples under TLS, as their users run them.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use super::authority::{Authority, text};
use crate::complaints;
use crate::program::{PATIENCE, Program};

/// What a server prints after its address.
fn fingerprint(server: &Program) -> String {
    let line = server.line();
    line.strip_prefix("SHA-256 fingerprint of the certificate: ").expect(&line).to_owned()
}

fn ends_well(server: Program) {
    assert_eq!(complaints(&end(server)), "");
}

/// What it has said on standard error.
fn end(server: Program) -> String {
    server.signal(Signal::TERM);
    let ending = server.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    ending.errors
}

#[test]
fn echo_under_tls_serves_openssl_and_gnutls() {
    let echo = Program::example("echo", &["--listen", "127.0.0.1:0", "--tls"]);
    let address = echo.address();
    fingerprint(&echo);
    let port = address.rsplit_once(':').unwrap().1;
    let peers: [(&str, &[&str]); 3] = [
        ("openssl", &["s_client", "-quiet", "-tls1_2", "-connect", &address]),
        ("openssl", &["s_client", "-quiet", "-tls1_3", "-connect", &address]),
        ("gnutls-cli", &["--insecure", "--logfile=/dev/null", "-p", port, "127.0.0.1"]),
    ];
    for (program, arguments) in peers {
        let Some(mut peer) = Program::foreign(program, arguments) else { continue };
        peer.types("hello\n");
        assert_eq!(peer.line(), "hello", "{program}");
        peer.types_no_more();
    }
    ends_well(echo);
}

#[test]
fn echo_shows_the_certificate_that_it_is_given() {
    let authority = Authority::new();
    let files = authority.issue(&["echo.example"]);
    let arguments =
        ["--listen", "127.0.0.1:0", "--cert", text(&files.chain), "--key", text(&files.key)];
    let echo = Program::example("echo", &arguments);
    let address = echo.address();
    let ca = authority.file();
    let arguments = [
        "s_client",
        "-quiet",
        "-verify_return_error",
        "-verify_hostname",
        "echo.example",
        "-CAfile",
        text(&ca),
        "-connect",
        &address,
    ];
    if let Some(mut peer) = Program::foreign("openssl", &arguments) {
        peer.types("hello\n");
        assert_eq!(peer.line(), "hello");
        peer.types_no_more();
    }
    ends_well(echo);
}

#[test]
fn a_certificate_without_a_key_is_a_wrong_command_line() {
    let ending = Program::example("echo", &["--listen", "127.0.0.1:0", "--cert", "some.pem"]).end();
    assert_eq!(ending.code, Some(2));
    assert!(ending.errors.contains("--cert and --key belong together"), "{}", ending.errors);
    let arguments = ["--listen", "127.0.0.1:0", "--cert", "missing.pem", "--key", "missing.pem"];
    let ending = Program::example("echo", &arguments).end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("`missing.pem` cannot be read"), "{}", ending.errors);
}

#[test]
fn the_chat_under_tls_knows_its_server_by_the_fingerprint() {
    let chat = Program::example("chat", &["--listen", "127.0.0.1:0", "--tls"]);
    let address = chat.address();
    let right = fingerprint(&chat);
    let client = |fingerprint: &str| {
        Program::example("chat", &["--connect", &address, "--fingerprint", fingerprint])
    };
    let mut member = client(&right);
    member.types("/nick anna\n");
    while !member.line().contains("anna") {}
    member.types_no_more();
    assert_eq!(member.end().code, Some(0));

    let wrong = right.chars().rev().collect::<String>();
    let ending = client(&wrong).end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("is not the pinned one"), "{}", ending.errors);
    assert!(ending.errors.contains(&right), "{}", ending.errors);
    let errors = end(chat);
    let told = "the peer sent the alert certificate_unknown: it does not accept our certificate";
    assert!(errors.contains("an incoming connection failed") && errors.contains(told), "{errors}");
}

#[test]
fn starttls_upgrades_our_client_and_openssls() {
    let server = Program::example("starttls", &["--listen", "127.0.0.1:0"]);
    let address = server.address();
    let right = fingerprint(&server);
    let client = |fingerprint: &str| {
        Program::example("starttls", &["--connect", &address, "--fingerprint", fingerprint]).end()
    };
    let ending = client(&right);
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    assert!(ending.output[0].starts_with("250 safe with TLS 1.3"), "{:?}", ending.output);
    assert_eq!(ending.output[1..], ["221 good-bye"]);

    let ending = client(&right.chars().rev().collect::<String>());
    assert_eq!((ending.code, &ending.output[..]), (Some(1), &[][..]));
    assert!(ending.errors.contains("is not the pinned one"), "{}", ending.errors);

    let arguments = ["s_client", "-quiet", "-starttls", "smtp", "-connect", &address];
    if let Some(mut peer) = Program::foreign("openssl", &arguments) {
        peer.types("SECRET\r\nQUIT\r\n");
        while !peer.line().starts_with("250 safe with TLS 1.3") {}
        assert_eq!(peer.line(), "221 good-bye");
    }
    ends_well(server);
}

/// Upgrades as mail programs do, over Python's own client.
const MAILER: &str = r#"
import smtplib, ssl, sys

host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
with smtplib.SMTP(host, port, timeout=10) as mailer:
    mailer.ehlo("visitor")
    print(mailer.has_extn("starttls"), *mailer.docmd("SECRET"), flush=True)
    print(mailer.starttls(context=context)[0], flush=True)
    print(*mailer.docmd("SECRET"), flush=True)
"#;

#[test]
fn starttls_upgrades_pythons_client_and_gnutls() {
    let authority = Authority::new();
    let (files, ca) = (authority.issue(&["127.0.0.1", "localhost"]), authority.file());
    let arguments =
        ["--listen", "127.0.0.1:0", "--cert", text(&files.chain), "--key", text(&files.key)];
    let server = Program::example("starttls", &arguments);
    let address = server.address();
    let (host, port) = address.rsplit_once(':').unwrap();
    if let Some(mailer) = Program::foreign("python3", &["-c", MAILER, host, port, text(&ca)]) {
        let ending = mailer.end();
        assert_eq!(ending.output[..2], ["True 530 b'STARTTLS comes first'", "220"], "{ending:?}");
        assert!(ending.output[2].starts_with("250 b'safe with TLS 1.3"), "{ending:?}");
    }
    let ours = ["--starttls-proto=smtp", "--x509cafile", text(&ca), "--logfile=/dev/null"];
    let named = ["--verify-hostname=localhost", "--sni-hostname=localhost", "-p", port, host];
    if let Some(mut peer) = Program::foreign("gnutls-cli", &[&ours[..], &named].concat()) {
        peer.types("SECRET\r\nQUIT\r\n");
        while !peer.line().starts_with("250 safe with TLS 1.3") {}
        while peer.line() != "221 good-bye" {}
        peer.types_no_more();
    }
    ends_well(server);
}

/// A mail server's words, and Python's ssl from STARTTLS on.
const MAIL_SERVER: &str = r#"
import socket, ssl, sys

chain, key = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(chain, key)
listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(10)
print("listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
stream, _ = listener.accept()
stream.settimeout(10)
stream.sendall(b"220 ready\r\n")
waiting = b""
while True:
    while b"\r\n" not in waiting:
        waiting += stream.recv(1000)
    line, waiting = waiting.split(b"\r\n", 1)
    if line.startswith(b"EHLO"):
        stream.sendall(b"250-hello\r\n250 STARTTLS\r\n")
    elif line == b"STARTTLS":
        assert not waiting
        stream.sendall(b"220 go ahead\r\n")
        stream = context.wrap_socket(stream, server_side=True)
    elif line == b"SECRET":
        stream.sendall(b"250 safe with %s\r\n" % stream.version().encode())
    elif line == b"QUIT":
        stream.sendall(b"221 good-bye\r\n")
        stream.unwrap()
        break
"#;

#[test]
fn our_client_upgrades_with_pythons_server() {
    let authority = Authority::new();
    let (files, ca) = (authority.issue(&["127.0.0.1"]), authority.file());
    let arguments = ["-c", MAIL_SERVER, text(&files.chain), text(&files.key)];
    let Some(server) = Program::foreign("python3", &arguments) else { return };
    let address = server.address();
    let arguments = ["--connect", &address, "--ca", text(&ca)];
    let client = Program::example("starttls", &arguments).end();
    assert_eq!(client.code, Some(0), "{}", client.errors);
    assert_eq!(client.output, ["250 safe with TLSv1.3", "221 good-bye"]);
    let ending = server.end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
}

#[test]
fn the_client_gives_up_a_server_whose_answer_never_ends() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let fingerprint = "00".repeat(32);
    let arguments = ["--connect", &address, "--fingerprint", &fingerprint, "--patience", "0.3"];
    let client = Program::example("starttls", &arguments);
    let (mut stream, _) = server.accept().unwrap();
    // Until the client is gone.
    while stream.write_all(b"2").is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let ending = client.end();
    assert_eq!((ending.code, &*ending.errors), (Some(1), "starttls: no answer came in time\n"));
}

/// CVE-2011-0411: somebody on the way adds commands to the one that is still readable.
#[test]
fn starttls_obeys_nothing_that_was_said_in_the_same_breath() {
    let server = Program::example("starttls", &["--listen", "127.0.0.1:0"]);
    let address = server.address();
    let mut attacker = TcpStream::connect(&*address).unwrap();
    attacker.set_read_timeout(Some(PATIENCE)).unwrap();
    attacker.write_all(b"SECRET\r\nSTARTTLS\r\nSECRET\r\nQUIT\r\n").unwrap();
    let mut answers = Vec::new();
    // It may end with a reset: there was more to read.
    let _ = attacker.read_to_end(&mut answers);
    let answers = String::from_utf8(answers).unwrap();
    let allowed = "220 ready\r\n530 STARTTLS comes first\r\n220 go ahead\r\n";
    assert!(allowed.starts_with(&answers), "{answers:?}");
    ends_well(server);
}

/// Somebody on the way takes the offer out.
#[test]
fn the_client_does_not_go_on_without_tls() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let fingerprint = "00".repeat(32);
    let client =
        Program::example("starttls", &["--connect", &address, "--fingerprint", &fingerprint]);
    let (mut stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"220 ready\r\n").unwrap();
    let mut asked = [0; 14];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"EHLO visitor\r\n");
    stream.write_all(b"250 hello\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    let ending = client.end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("does not offer STARTTLS"), "{}", ending.errors);
}
