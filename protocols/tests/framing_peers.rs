//! Framing with an implementation of somebody else: `multiprocessing.connection` of Python's standard library, whose
//! messages are behind a length of four bytes.
#![forbid(unsafe_code)]

use std::process::{Command, Stdio};

use wharf::{EventLoop, Result, Transport};
use wharf_protocols::codec::Encoder;
use wharf_protocols::framing::{
    FrameProtocol, Framed, FramedReader, FramedWriter, LengthPrefix, LengthPrefixDecoder,
    LengthPrefixEncoder,
};

const MAX_LENGTH: usize = 1 << 20;

/// Lengths around those at which either side changes how it sends.
const LENGTHS: &str =
    "[0, 1, 2, 3, 4, 5, 255, 256, 16383, 16384, 16385, 65535, 65536, 65537, 1 << 20]";

struct Echo;

impl FrameProtocol<LengthPrefixDecoder> for Echo {
    fn frame_received(&mut self, transport: &dyn Transport, payload: &[u8]) -> Result {
        encoder().write_to(transport, payload)?;
        Ok(())
    }
}

fn encoder() -> LengthPrefixEncoder {
    LengthPrefixEncoder::new(LengthPrefix::U32).max_length(MAX_LENGTH)
}

fn decoder() -> LengthPrefixDecoder {
    LengthPrefixDecoder::new(LengthPrefix::U32).max_length(MAX_LENGTH)
}

/// Python with a program, or `None` where there is none. CI must have it.
fn python(program: &str) -> Option<Command> {
    let mut python = Command::new("python3");
    if python.arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "there is no python3");
        eprintln!("not tested: there is no python3");
        return None;
    }
    let mut python = Command::new("python3");
    python.arg("-c").arg(program).stdin(Stdio::null());
    Some(python)
}

#[test]
fn python_is_echoed() -> Result {
    let program = format!(
        r#"
import os, sys
from multiprocessing.connection import Client
with Client(("127.0.0.1", int(sys.argv[1]))) as client:
    for length in {LENGTHS}:
        payload = os.urandom(length)
        client.send_bytes(payload)
        assert client.recv_bytes() == payload, length
    # Many at once.
    for number in range(1000):
        client.send_bytes(b"%d" % number)
    for number in range(1000):
        assert client.recv_bytes() == b"%d" % number
"#
    );
    let Some(mut python) = python(&program) else { return Ok(()) };
    EventLoop::new()?.run(async |event_loop| {
        let factory = || Framed::new(Echo, decoder());
        let server = event_loop.create_server(factory, "127.0.0.1:0").await?;
        let port = server.local_address()?.port().expect("it is TCP");
        let python = python.arg(port.to_string());
        let mut python = python.spawn()?;
        let status = event_loop.run_in_executor(move || python.wait()).await??;
        assert!(status.success(), "{status}");
        Ok(())
    })
}

#[test]
fn python_echoes() -> Result {
    let program = r#"
import sys
from multiprocessing.connection import Listener
with Listener(("127.0.0.1", 0)) as listener:
    print(listener.address[1], flush=True)
    with listener.accept() as client:
        try:
            while True:
                client.send_bytes(client.recv_bytes())
        except EOFError:
            pass
"#;
    let Some(mut python) = python(program) else { return Ok(()) };
    let mut python = python.stdout(Stdio::piped()).spawn()?;
    let output = python.stdout.take().expect("it is a pipe");
    EventLoop::new()?.run(async |event_loop| {
        let mut output = event_loop.open_read_pipe(output).await?;
        let port = output.read_line().await?.expect("a port").to_owned();
        let (reader, writer) = event_loop.open_connection(format!("127.0.0.1:{port}")).await?;
        let mut frames = FramedReader::new(reader, decoder());
        let mut writer = FramedWriter::new(writer, encoder());
        for length in [0, 1, 2, 3, 4, 5, 255, 256, 16_383, 16_384, 16_385, 65_537, MAX_LENGTH] {
            let payload: Vec<u8> = (0..length).map(|place| (place * 7) as u8).collect();
            writer.send(&payload[..]).await?;
            assert!(frames.next().await? == Some(&payload[..]), "{length}");
        }
        writer.writer().write_eof();
        assert_eq!(frames.next().await?, None);
        let status = event_loop.run_in_executor(move || python.wait()).await??;
        assert!(status.success(), "{status}");
        Ok(())
    })
}
