//! hyper's server and client, among curl, nghttp and h2load.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::needs;
use crate::complaints;
use crate::program::Program;

/// The server, its URL, and its fingerprint if it has TLS.
fn serve(is_tls: bool) -> (Program, String, Option<String>) {
    let arguments = ["--listen", "127.0.0.1:0", "--tls"];
    let server = Program::example("hyper_server", &arguments[..if is_tls { 3 } else { 2 }]);
    let (scheme, address) = (if is_tls { "https" } else { "http" }, server.address());
    let fingerprint = is_tls.then(|| {
        let line = server.line();
        line.strip_prefix("SHA-256 fingerprint of the certificate: ").expect(&line).to_owned()
    });
    (server, format!("{scheme}://{address}"), fingerprint)
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wharf-hyper-{name}-{}", std::process::id()))
}

fn ends_well(server: Program) {
    server.signal(Signal::TERM);
    let ending = server.end();
    assert_eq!((ending.code, &*complaints(&ending.errors)), (Some(0), ""));
}

/// What a program says when all goes well.
fn output(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output().expect(program);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {:?} {errors}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_hyper_server_serves_curl_by_both_versions() {
    if !needs::program("curl") {
        return;
    }
    for (is_tls, options) in [
        (false, ["--http1.1", "-s"]),
        (false, ["--http2-prior-knowledge", "-s"]),
        (true, ["--http1.1", "-sk"]),
        (true, ["--http2", "-sk"]),
    ] {
        let (server, url, _) = serve(is_tls);
        let curl = |more: &[&str]| output("curl", &[&options, &["-m", "30"][..], more].concat());
        let version = if options[0] == "--http1.1" { "HTTP/1.1" } else { "HTTP/2.0" };
        let hello = format!("{url}/");
        assert_eq!(curl(&[&hello]), format!("hello by {version}\n"));
        if options[0] != "--http2-prior-knowledge" {
            // Two on one connection; curl 7.88 has lost the second with prior knowledge.
            assert_eq!(curl(&[&hello, &hello]), format!("hello by {version}\n").repeat(2));
        }
        let count = ["-o", "/dev/null", "-w", "%{size_download} %{http_code}"];
        let bytes = format!("{url}/bytes/30000000");
        assert_eq!(curl(&[&count[..], &[&bytes]].concat()), "30000000 200");
        let missing = format!("{url}/missing");
        assert_eq!(curl(&[&count[..], &[&missing]].concat()), "22 404");

        let (sent, received) = (temporary("sent"), temporary("received"));
        let data: Vec<u8> = (0..5_000_000_u32).map(|number| (number / 9) as u8).collect();
        fs::write(&sent, &data).unwrap();
        let body = format!("@{}", sent.display());
        let echo = format!("{url}/echo");
        curl(&["--data-binary", &body, "-o", received.to_str().unwrap(), &echo]);
        assert!(fs::read(&received).unwrap() == data);
        fs::remove_file(sent).unwrap();
        fs::remove_file(received).unwrap();
        ends_well(server);
    }
}

#[test]
fn the_hyper_server_serves_h2load_and_nghttp() {
    if !needs::program("h2load") || !needs::program("nghttp") {
        return;
    }
    for is_tls in [false, true] {
        let (server, url, _) = serve(is_tls);
        let hello = format!("{url}/");
        for version in
            [&["-n", "2000", "-c", "20", "-m", "10"][..], &["--h1", "-n", "2000", "-c", "20"]]
        {
            let report = output("h2load", &[version, &[&*hello]].concat());
            assert!(report.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{report}");
        }
        assert_eq!(output("nghttp", &["--no-verify-peer", &hello]), "hello by HTTP/2.0\n");
        ends_well(server);
    }
}

#[test]
fn the_hyper_client_fetches_by_both_versions_and_by_tls() {
    let (server, url, _) = serve(false);
    for (options, version) in [(&[][..], "HTTP/1.1"), (&["--http2"], "HTTP/2.0")] {
        let fetch =
            |more: &[&str]| Program::example("hyper_client", &[options, more].concat()).end();
        let ending = fetch(&[&format!("{url}/")]);
        assert_eq!(ending.code, Some(0), "{}", ending.errors);
        assert_eq!(ending.output, [format!("hello by {version}")]);
        assert_eq!(ending.errors, format!("{version} 200 OK\n"));
        let ending = fetch(&["--post", "some text", &format!("{url}/echo")]);
        assert_eq!((ending.code, ending.output), (Some(0), vec!["some text".to_owned()]));
        assert_eq!(fetch(&[&format!("{url}/missing")]).code, Some(1));
    }
    ends_well(server);

    let (server, url, fingerprint) = serve(true);
    let url = format!("{url}/");
    let fingerprint = fingerprint.expect("a fingerprint");
    let ending = Program::example("hyper_client", &["--fingerprint", &fingerprint, &url]).end();
    assert_eq!(ending.code, Some(0), "{}", ending.errors);
    assert_eq!(ending.output, ["hello by HTTP/2.0"], "by ALPN");
    // Nobody has vouched for the certificate.
    let ending = Program::example("hyper_client", &[&url]).end();
    assert_eq!(ending.code, Some(1), "{}", ending.errors);
    server.signal(Signal::TERM);
    let ending = server.end();
    assert_eq!(ending.code, Some(0));
    assert!(ending.errors.contains("unknown_ca"), "{}", ending.errors);
}

/// A request that is under way when the signal comes is answered.
#[test]
fn the_hyper_server_answers_what_is_under_way_when_it_stops() {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use crate::program::PATIENCE;

    let (server, url, _) = serve(false);
    let address = url.strip_prefix("http://").unwrap();
    let mut idle = TcpStream::connect(address).unwrap();
    let mut busy = TcpStream::connect(address).unwrap();
    for socket in [&idle, &busy] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    idle.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let mut head = [0; 12];
    idle.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    busy.write_all(b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf ").unwrap();
    busy.read_exact(&mut head).unwrap();
    server.signal(Signal::TERM);
    // It has ended once the idle one has.
    idle.read_to_end(&mut Vec::new()).unwrap();
    busy.write_all(b"whole").unwrap();
    let mut rest = String::new();
    busy.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("half ") && rest.contains("whole"), "{rest}");
    let ending = server.end();
    assert_eq!((ending.code, &*complaints(&ending.errors)), (Some(0), ""));
}
