//! The proxy that chooses by the server's name.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use rustix::process::Signal;

use crate::authority::{Authority, text};
use crate::program::{PATIENCE, Program};

/// A server with a certificate for one name.
fn upstream(authority: &Authority, name: &str) -> (Program, String) {
    let files = authority.issue(&[name]);
    let arguments =
        ["--listen", "127.0.0.1:0", "--cert", text(&files.chain), "--key", text(&files.key)];
    let server = Program::example("echo", &arguments);
    let address = server.address();
    (server, address)
}

/// The lines that a proxy has said of clients.
fn end(proxy: Program) -> Vec<String> {
    proxy.signal(Signal::TERM);
    let ending = proxy.end();
    assert!(matches!(ending.code, Some(0 | 1)), "{ending:?}");
    ending.errors.lines().filter(|line| line.contains("is refused")).map(str::to_owned).collect()
}

#[test]
fn each_name_leads_to_its_own_server() {
    let authority = Authority::new();
    let (_one, to_one) = upstream(&authority, "one.example");
    let (_two, to_two) = upstream(&authority, "two.example");
    let routes = [format!("one.example={to_one}"), format!("TWO.example={to_two}")];
    let arguments = ["--listen", "127.0.0.1:0", "--route", &routes[0], "--route", &routes[1]];
    let proxy = Program::example("sni_proxy", &arguments);
    let address = proxy.address();
    let ca = authority.file();
    let visit = |name: &str| {
        let arguments = [
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-servername",
            name,
            "-verify_hostname",
            name,
            "-CAfile",
            text(&ca),
            "-connect",
            &address,
        ];
        Program::foreign("openssl", &arguments)
    };
    for name in ["one.example", "two.example"] {
        let Some(mut peer) = visit(name) else { return };
        peer.types("hello\n");
        assert_eq!(peer.line(), "hello", "{name}");
    }
    let Some(mut peer) = visit("three.example") else { return };
    peer.types_no_more();
    let ending = peer.end();
    assert_ne!(ending.code, Some(0));
    assert!(ending.errors.contains("unrecognized name"), "{}", ending.errors);
    let refused = end(proxy);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].ends_with("it asks for three.example"), "{refused:?}");
}

#[test]
fn what_is_no_tls_is_refused_in_one_line() {
    let arguments = ["--listen", "127.0.0.1:0", "--route", "one.example=127.0.0.1:1"];
    let proxy = Program::example("sni_proxy", &arguments);
    let address = proxy.address();
    let mut client = TcpStream::connect(&*address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    // An alert.
    assert!(answer.starts_with(&[21, 3]), "{answer:?}");
    assert_eq!(end(proxy).len(), 1);
}

#[test]
fn a_first_message_that_comes_a_byte_at_a_time_has_its_deadline() {
    let arguments =
        ["--listen", "127.0.0.1:0", "--route", "one.example=127.0.0.1:1", "--patience", "0.3"];
    let proxy = Program::example("sni_proxy", &arguments);
    let mut client = TcpStream::connect(&*proxy.address()).unwrap();
    // The beginning of a hello of 16,000 bytes, which would take minutes. It ends when the proxy does not
    // take any more.
    let hello = [&[22, 3, 1, 0x3e, 0x80, 1, 0, 0x3e, 0x7c, 3, 3][..], &[0; 16_000]].concat();
    let taken = hello.chunks(1).take_while(|byte| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        client.write_all(byte).is_ok()
    });
    assert!(taken.count() < hello.len());
    let refused = end(proxy);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].ends_with("its first message takes too long"), "{refused:?}");
}

/// One that has ended its side keeps nothing open for ever, if its upstream says nothing.
#[test]
fn a_connection_without_traffic_is_ended_also_when_one_side_is() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let route = format!("one.example={}", upstream.local_addr().unwrap());
    let arguments = ["--listen", "127.0.0.1:0", "--route", &route, "--idle", "0.2"];
    let proxy = Program::example("sni_proxy", &arguments);
    let mut client = TcpStream::connect(&*proxy.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let sent = hello("one.example", 0, 16_384);
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    // An end or a reset, and not the test's own patience.
    match client.read_to_end(&mut Vec::new()) {
        Ok(count) => assert_eq!(count, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    // What was asked for is no complaint.
    assert_eq!(end(proxy), [""; 0]);
}

/// A ClientHello that asks for `name`, in records of so many bytes.
fn hello(name: &str, padding: usize, record: usize) -> Vec<u8> {
    fn counted<const N: usize>(content: &[u8]) -> Vec<u8> {
        [&content.len().to_be_bytes()[size_of::<usize>() - N..], content].concat()
    }
    let extension =
        |kind: u16, content: &[u8]| [&kind.to_be_bytes(), &*counted::<2>(content)].concat();
    let names = counted::<2>(&[&[0], &*counted::<2>(name.as_bytes())].concat());
    let extensions = [
        extension(0, &names),
        // Signatures: one.
        extension(13, &counted::<2>(&[4, 3])),
        extension(21, &vec![0; padding]),
    ];
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &counted::<2>(&[0x13, 1]),
        &[1, 0],
        &counted::<2>(&extensions.concat()),
    ];
    let message = [&[1], &*counted::<3>(&body.concat())].concat();
    message.chunks(record).flat_map(|part| [&[22, 3, 1], &*counted::<2>(part)].concat()).collect()
}

#[test]
fn first_messages_come_in_any_shape_and_with_anything_behind_them() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let route = format!("one.example={}", upstream.local_addr().unwrap());
    let proxy = Program::example("sni_proxy", &["--listen", "127.0.0.1:0", "--route", &route]);
    let address = proxy.address();
    for sent in [
        hello("one.example", 0, 16_384),
        hello("ONE.example", 0, 1),
        hello("one.example", 30_000, 16_384),
        [hello("one.example", 0, 3), vec![23; 40_000]].concat(),
    ] {
        let mut client = TcpStream::connect(&*address).unwrap();
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let (mut server, _) = upstream.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut received = Vec::new();
        server.read_to_end(&mut received).unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    }
    assert_eq!(end(proxy), [""; 0]);
}

#[test]
fn a_default_takes_all_others() {
    let authority = Authority::new();
    let (_server, to) = upstream(&authority, "one.example");
    let arguments =
        ["--listen", "127.0.0.1:0", "--route", "two.example=127.0.0.1:1", "--default", &to];
    let proxy = Program::example("sni_proxy", &arguments);
    let address = proxy.address();
    let arguments = ["s_client", "-quiet", "-noservername", "-connect", &address];
    let Some(mut peer) = Program::foreign("openssl", &arguments) else { return };
    peer.types("hello\n");
    assert_eq!(peer.line(), "hello");
    drop(peer);
    assert_eq!(end(proxy), [""; 0]);
}
