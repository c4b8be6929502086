//! What rustls keeps of a connection, and its socket: nobody who uses rustls can hold less.
//!
//! For the memory table only. Clients are served one after the other: each shakes hands, has its first
//! message echoed, and is kept.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};

use super::super::{READ_BUFFER_SIZE, announce, prepare, termination};
use crate::Result;

pub(super) fn run(listen: SocketAddr) -> Result {
    prepare()?;
    end_when_told()?;
    let config = super::rustls_config()?;
    let listener = TcpListener::bind(listen)?;
    announce(listener.local_addr()?)?;
    let mut buffers = Buffers::new();
    let mut kept = Vec::new();
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        let session = Box::new(UnbufferedServerConnection::new(Arc::clone(&config))?);
        let mut connection = Connection { stream, session };
        match connection.serve(&mut buffers) {
            Ok(()) => kept.push(connection),
            Err(error) => eprintln!("a client is dropped: {error}"),
        }
    }
    Ok(())
}

fn end_when_told() -> Result {
    let mut termination = termination()?;
    termination.set_nonblocking(false)?;
    thread::spawn(move || {
        if termination.read(&mut [0]).is_ok() {
            std::process::exit(0);
        }
    });
    Ok(())
}

/// What all connections use in turn.
struct Buffers {
    input: Box<[u8]>,
    /// How much of it is there.
    received: usize,
    output: Box<[u8]>,
    plaintext: Vec<u8>,
}

impl Buffers {
    fn new() -> Self {
        let buffer = || vec![0; READ_BUFFER_SIZE].into_boxed_slice();
        Self { input: buffer(), received: 0, output: buffer(), plaintext: Vec::new() }
    }
}

struct Connection {
    stream: TcpStream,
    session: Box<UnbufferedServerConnection>,
}

impl Connection {
    /// Shakes hands, and echoes what comes first.
    fn serve(&mut self, buffers: &mut Buffers) -> Result {
        let Buffers { input, received, output, plaintext } = buffers;
        *received = 0;
        plaintext.clear();
        let mut to_send = 0;
        loop {
            let records = &mut input[..*received];
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(records);
            let wants_more = match state? {
                ConnectionState::EncodeTlsData(mut data) => {
                    to_send += data.encode(&mut output[to_send..])?;
                    false
                }
                ConnectionState::TransmitTlsData(transmit) => {
                    self.stream.write_all(&output[..to_send])?;
                    to_send = 0;
                    transmit.done();
                    false
                }
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        plaintext.extend_from_slice(record?.payload);
                    }
                    false
                }
                ConnectionState::WriteTraffic(mut traffic) if !plaintext.is_empty() => {
                    let count = traffic.encrypt(plaintext, &mut output[to_send..])?;
                    return Ok(self.stream.write_all(&output[..to_send + count])?);
                }
                ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => true,
                _ => return Err("the client closed before it said anything".into()),
            };
            input.copy_within(discard..*received, 0);
            *received -= discard;
            if wants_more {
                match self.stream.read(&mut input[*received..])? {
                    0 => return Err("the client is gone".into()),
                    count => *received += count,
                }
            }
        }
    }
}
