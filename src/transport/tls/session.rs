//! One side of TLS without any I/O: bytes in, bytes out.
//!
//! rustls's unbuffered interface, made to what a transport needs. Input lies in a buffer of the
//! caller's (the loop's, as a rule): it is decrypted there, and the plaintext of all its records is
//! joined at the buffer's front, so that nothing of a connection is kept but a partial record.
//!
//! The buffered interface would copy input into a buffer of the connection, 4 KiB at a time, which
//! grows with zeros for each record and keeps 4 KiB when idle. This one copies, too: rustls gives the
//! plaintext of each record, and each record that it makes, in a `Vec`. The plaintext is borrowed from
//! rustls's connection. No protocol could write while it is lent, so it is copied to the front.

use std::ops::Range;
use std::sync::Arc;
use std::{error, fmt};

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, ReadEarlyData,
    UnbufferedConnectionCommon, UnbufferedStatus,
};
use rustls::{CommonState, Error, OtherError};

use super::early_data;
use super::scratch::Scratch;
use crate::fence::{self, Panic};
use crate::tls::{ClientSetup, ServerSetup};

/// The most plaintext in one record (RFC 8446, 5.1).
pub(crate) const RECORD: usize = 16 * 1024;

/// The room before the input in the buffer: the first record's plaintext has to go somewhere while
/// the record is still there.
pub(crate) const HEADROOM: usize = RECORD;

/// What is kept of an incomplete message at most: a handshake message of 64 KiB (rustls refuses
/// longer ones as soon as it sees their length) with the overhead of records of a sensible size.
pub(crate) const MOST_PARTIAL: usize = 80 * 1024;

/// One side of one TLS connection.
///
/// rustls calls what users have configured it with (resolvers, verifiers, session stores, ticketers,
/// key logs), and has assertions of its own: a panic of any of them is an error of this connection.
pub(crate) enum Session {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What came of input.
pub(crate) struct Received {
    /// How much plaintext lies at the front of the buffer.
    pub(crate) plaintext: usize,
    /// Whether some of it came before the handshake was done.
    pub(crate) is_early: bool,
    /// Where in the buffer the input lies that has to be presented again, with more after it.
    pub(crate) rest: Range<usize>,
    pub(crate) end: End,
}

/// Whether the peer goes on sending.
pub(crate) enum End {
    No,
    /// Its `close_notify` came.
    Closed,
    /// The connection is broken; the alert that says so is among the output.
    Failed(Error),
}

impl Session {
    pub(crate) fn client(setup: ClientSetup) -> Result<Self, Error> {
        fenced(|| UnbufferedClientConnection::new(setup.config, setup.name)).map(Self::Client)
    }

    pub(crate) fn server(setup: ServerSetup) -> Result<Self, Error> {
        fenced(|| UnbufferedServerConnection::new(setup.config)).map(Self::Server)
    }

    /// What was negotiated.
    pub(crate) fn state(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }

    pub(crate) fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }

    /// Begins: what a client sends first is appended to `output`, with as much of `early` as may be;
    /// how much that is, `None` where none may be.
    pub(crate) fn begin(
        &mut self,
        early: &[u8],
        output: &mut Scratch,
    ) -> Result<Option<usize>, Error> {
        let Self::Client(connection) = self else { return Ok(None) };
        fenced(|| begin(connection, early, output))
    }

    /// Takes the records in `buffer[input]`, of which at least [`HEADROOM`] bytes lie before; what
    /// has to be sent in return is appended to `output`.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        input: Range<usize>,
        output: &mut Scratch,
    ) -> Received {
        debug_assert!(input.start >= HEADROOM || input.is_empty());
        let end = input.end;
        let received = fence::run(|| match self {
            Self::Client(connection) => receive(connection, buffer, input, output),
            Self::Server(connection) => receive(connection, buffer, input, output),
        });
        received.unwrap_or_else(|panic| {
            if self.is_before_keys() {
                output.append_bytes(&INTERNAL_ERROR);
            }
            let end_of_it = End::Failed(Panicked::error(panic));
            Received { plaintext: 0, is_early: false, rest: end..end, end: end_of_it }
        })
    }

    /// Whether it is a server that has not agreed on anything, so that the peer reads what is not encrypted.
    /// Later only rustls could say something, and after a panic it cannot be asked to.
    #[cold]
    fn is_before_keys(&self) -> bool {
        match self {
            Self::Client(_) => false,
            Self::Server(connection) => connection.negotiated_cipher_suite().is_none(),
        }
    }

    /// Appends the records of `data` to `output`. `partial` is the input that has to be presented
    /// again.
    pub(crate) fn encrypt(
        &mut self,
        partial: &mut [u8],
        data: &[u8],
        output: &mut Scratch,
    ) -> Result<(), Error> {
        fenced(|| match self {
            Self::Client(connection) => write(connection, partial, Write::Data(data), output),
            Self::Server(connection) => write(connection, partial, Write::Data(data), output),
        })
    }

    /// Appends our `close_notify` to `output`.
    pub(crate) fn close(&mut self, partial: &mut [u8], output: &mut Scratch) -> Result<(), Error> {
        fenced(|| match self {
            Self::Client(connection) => write(connection, partial, Write::Close, output),
            Self::Server(connection) => write(connection, partial, Write::Close, output),
        })
    }

    /// Appends a request for new keys (TLS 1.3) to `output`.
    #[cfg(all(test, feature = "tls"))]
    pub(crate) fn update_keys(
        &mut self,
        partial: &mut [u8],
        output: &mut Scratch,
    ) -> Result<(), Error> {
        match self {
            Self::Client(connection) => write(connection, partial, Write::KeyUpdate, output),
            Self::Server(connection) => write(connection, partial, Write::KeyUpdate, output),
        }
    }
}

/// A record with the fatal alert `internal_error` (RFC 8446, 6.2).
const INTERNAL_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 80];

/// Calls rustls, and what it calls.
fn fenced<R>(action: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    fence::run(action).unwrap_or_else(|panic| Err(Panicked::error(panic)))
}

/// A panic of rustls, or of what users have given it, as its error.
#[derive(Debug)]
pub(super) struct Panicked(String);

impl Panicked {
    #[cold]
    fn error(panic: Panic) -> Error {
        Error::Other(OtherError(Arc::new(Self(panic.into_error().to_string()))))
    }

    pub(super) fn is_in(error: &Error) -> bool {
        matches!(error, Error::Other(other) if other.0.is::<Self>())
    }
}

/// Whether a connection ends with a panic of rustls, or of what users have given it.
pub(crate) fn is_panic_of_rustls(error: &crate::error::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(Panicked::is_in)
}

impl fmt::Display for Panicked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "rustls, or something it was configured with, panicked: {}", self.0)
    }
}

impl error::Error for Panicked {}

/// What the two sides of rustls have in common but no name for.
trait Side {
    type Data;

    fn state(&self) -> &CommonState;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Calls `take` with each record of early data.
    fn early_data(early: ReadEarlyData<'_, '_, Self::Data>, take: impl FnMut(&[u8]));
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn state(&self) -> &CommonState {
        self
    }

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        UnbufferedConnectionCommon::<ClientConnectionData>::process_tls_records(self, input)
    }

    fn early_data(_: ReadEarlyData<'_, '_, Self::Data>, _: impl FnMut(&[u8])) {}
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn state(&self) -> &CommonState {
        self
    }

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        UnbufferedConnectionCommon::<ServerConnectionData>::process_tls_records(self, input)
    }

    fn early_data(mut early: ReadEarlyData<'_, '_, Self::Data>, mut take: impl FnMut(&[u8])) {
        while let Some(Ok(record)) = early.next_record() {
            take(record.payload);
        }
    }
}

fn begin(
    connection: &mut UnbufferedClientConnection,
    early: &[u8],
    output: &mut Scratch,
) -> Result<Option<usize>, Error> {
    let mut sent = None;
    loop {
        match Side::process(connection, &mut []).state? {
            ConnectionState::EncodeTlsData(mut data) => {
                output.append(|room| encoded(data.encode(room)))?;
            }
            ConnectionState::TransmitTlsData(mut transmit) => {
                if !early.is_empty()
                    && let Some(mut may) = transmit.may_encrypt_early_data()
                {
                    let encrypt = |data: &[u8], room: &mut [u8]| may.encrypt(data, room);
                    sent = Some(early_data::encrypt(early, output, encrypt)?);
                }
                transmit.done();
            }
            _ => return Ok(sent),
        }
    }
}

fn receive<S: Side>(
    side: &mut S,
    buffer: &mut [u8],
    input: Range<usize>,
    output: &mut Scratch,
) -> Received {
    let mut plaintext = 0;
    let mut is_early = false;
    let mut position = input.start;
    let end = loop {
        let (front, rest) = buffer[..input.end].split_at_mut(position);
        // Never more than the records it came in, which lie behind `position` but for the one that
        // the headroom is for.
        let mut take = |data: &[u8]| {
            front[plaintext..plaintext + data.len()].copy_from_slice(data);
            plaintext += data.len();
        };
        let UnbufferedStatus { discard, state } = side.process(rest);
        let mut stop = None;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    take(record.payload);
                }
            }
            Ok(ConnectionState::ReadEarlyData(early)) => {
                is_early = true;
                S::early_data(early, take);
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if let Err(error) = output.append(|room| encoded(data.encode(room))) {
                    stop = Some(End::Failed(error));
                }
            }
            Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
            Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                stop = Some(End::Closed);
            }
            Ok(_) => stop = Some(End::No),
            Err(error) => stop = Some(End::Failed(error)),
        }
        position += discard;
        if let Some(end) = stop {
            break end;
        }
    };
    let rest = match end {
        End::No => position..input.end,
        // "Any data received after a closure alert has been received MUST be ignored."
        End::Closed => input.end..input.end,
        End::Failed(_) => {
            collect_alert(side, &mut buffer[position..input.end], output);
            input.end..input.end
        }
    };
    Received { plaintext, is_early, rest, end }
}

/// What rustls has to say to the peer about an error.
fn collect_alert<S: Side>(side: &mut S, rest: &mut [u8], output: &mut Scratch) {
    // Only while there is something: rustls would look at the input again.
    while side.state().wants_write()
        && let Ok(ConnectionState::EncodeTlsData(mut data)) = side.process(rest).state
    {
        if output.append(|room| encoded(data.encode(room))).is_err() {
            return;
        }
    }
}

#[derive(Clone, Copy)]
enum Write<'a> {
    Data(&'a [u8]),
    Close,
    #[cfg(all(test, feature = "tls"))]
    KeyUpdate,
}

fn write<S: Side>(
    side: &mut S,
    partial: &mut [u8],
    what: Write<'_>,
    output: &mut Scratch,
) -> Result<(), Error> {
    loop {
        match side.process(partial).state? {
            ConnectionState::WriteTraffic(mut traffic) => {
                let written = match what {
                    Write::Data(data) => {
                        output.append(|room| encrypted(traffic.encrypt(data, room)))
                    }
                    Write::Close => {
                        output.append(|room| encrypted(traffic.queue_close_notify(room)))
                    }
                    #[cfg(all(test, feature = "tls"))]
                    Write::KeyUpdate => {
                        traffic.refresh_traffic_keys()?;
                        return flush(side, partial, output);
                    }
                };
                return written;
            }
            ConnectionState::EncodeTlsData(mut data) => {
                output.append(|room| encoded(data.encode(room)))?;
            }
            ConnectionState::TransmitTlsData(transmit) => transmit.done(),
            // Said when it came; this side may go on writing.
            ConnectionState::PeerClosed => {}
            // Nothing can be written: our `close_notify` is out, or the handshake is not done.
            _ => return Ok(()),
        }
    }
}

#[cfg(all(test, feature = "tls"))]
fn flush<S: Side>(side: &mut S, partial: &mut [u8], output: &mut Scratch) -> Result<(), Error> {
    loop {
        match side.process(partial).state? {
            ConnectionState::EncodeTlsData(mut data) => {
                output.append(|room| encoded(data.encode(room)))?;
            }
            ConnectionState::TransmitTlsData(transmit) => transmit.done(),
            _ => return Ok(()),
        }
    }
}

/// How much was written, or how much room it takes.
pub(super) type Written = Result<Result<usize, usize>, Error>;

fn encoded(result: Result<usize, EncodeError>) -> Written {
    match result {
        Ok(written) => Ok(Ok(written)),
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
            Ok(Err(required_size))
        }
        Err(error @ EncodeError::AlreadyEncoded) => Err(Error::General(error.to_string())),
    }
}

fn encrypted(result: Result<usize, EncryptError>) -> Written {
    match result {
        Ok(written) => Ok(Ok(written)),
        Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
            Ok(Err(required_size))
        }
        Err(error @ EncryptError::EncryptExhausted) => Err(Error::General(error.to_string())),
    }
}
