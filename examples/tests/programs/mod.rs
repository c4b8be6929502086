//! The examples, as their users run them.

mod chat;
mod command_line;
mod echo;

use std::io::Read;
use std::net::TcpStream;
use std::path::PathBuf;

use crate::program::PATIENCE;

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
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
