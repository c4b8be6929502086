//! The echo server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::{connect, read, read_to_end, temporary};
use crate::complaints;
use crate::needs::netcat_that_ends;
use crate::program::{PATIENCE, Program};

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
    assert_eq!((ending.code, complaints(&ending.errors)), (Some(0), String::new()));
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
    let ending = echo.end();
    assert_eq!(ending.code, Some(1));
    assert!(ending.errors.contains("echo: waiting for 1 connections to end"), "{}", ending.errors);
    assert!(ending.errors.ends_with("1 connections had to be cut off\n"), "{}", ending.errors);
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
    let nc = match netcat_that_ends() {
        true => Program::foreign("nc", &["-N", "127.0.0.1", port]),
        false => None,
    };
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

/// A client that has written until nothing was taken any more.
fn client_that_never_reads(address: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let error = client.write_all(&vec![0; 64 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    client
}
