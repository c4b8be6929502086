//! The protocol that records what is called.

use std::fmt;
use std::os::fd::OwnedFd;

use super::record::{Call, Record};
use crate::address::Address;
use crate::error::{Error, Result};
use crate::fence;
use crate::protocol::{DatagramProtocol, Eof, Protocol};
use crate::timeout::Timeout;
use crate::transport::{Datagram, DatagramTransport, Datagrams, Transport};

/// A protocol that records its callbacks in a [`Record`], which makes it: [`Record::protocol`],
/// [`Record::around`].
///
/// For streams and for datagrams. Around a protocol of yours, `P`, each callback is first recorded, then
/// passed on; what `P` returns is returned. Of a batch of datagrams those are recorded that `P` took.
///
/// ```
/// use wharf::testing::{Record, Recorder};
/// use wharf::{Protocol, Result, Transport};
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let record = Record::new();
/// let mut recorder = Recorder::new(|| record.around(Echo))?;
/// recorder.receive(b"hello")?;
/// assert_eq!(record.received(), b"hello");
/// assert_eq!(recorder.sent()?, b"hello", "the echo was called, too");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RecordingProtocol<P = Defaults> {
    record: Record,
    protocol: P,
}

/// What a [`RecordingProtocol`] is around that only records: the defaults of [`Protocol`] and
/// [`DatagramProtocol`]. See [`Record`] for an example.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Defaults;

impl RecordingProtocol {
    pub(super) fn new(record: Record) -> Self {
        Self::around(record, Defaults)
    }
}

impl<P> RecordingProtocol<P> {
    pub(super) fn around(record: Record, protocol: P) -> Self {
        Self { record, protocol }
    }

    /// What was recorded so far.
    pub fn record(&self) -> &Record {
        &self.record
    }
}

impl<P: Protocol> Protocol for RecordingProtocol<P> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.record.note(Call::ConnectionMade);
        self.protocol.connection_made(transport)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.record.note(Call::DataReceived(data.to_vec()));
        self.protocol.data_received(transport, data)
    }

    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        self.record.note(Call::DescriptorsReceived(descriptors.len()));
        self.protocol.descriptors_received(transport, descriptors)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.record.note(Call::EofReceived);
        self.protocol.eof_received(transport)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.record.note(Call::PauseWriting);
        self.protocol.pause_writing(transport)
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.record.note(Call::ResumeWriting);
        self.protocol.resume_writing(transport)
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        self.record.note(Call::TimedOut(timeout));
        self.protocol.timed_out(transport, timeout)
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.record.note(Call::ShuttingDown);
        self.protocol.shutting_down(transport)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        self.record.note(Call::TlsEstablished);
        self.protocol.tls_established(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        self.record.note_lost(error);
        self.protocol.connection_lost(transport, error)
    }
}

impl<P: DatagramProtocol> DatagramProtocol for RecordingProtocol<P> {
    fn connection_made(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.record.note(Call::ConnectionMade);
        self.protocol.connection_made(transport)
    }

    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        self.record.note(Call::DatagramReceived(data.to_vec(), from.clone()));
        self.protocol.datagram_received(transport, data, from)
    }

    /// What the protocol has taken is recorded afterwards: nobody knows before how much that will be.
    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> Result {
        let mut untaken = batch.untaken();
        let outcome = fence::run(|| self.protocol.datagrams_received(transport, batch));
        for _ in batch.remaining()..untaken.remaining() {
            if let Some(Datagram { data, from, .. }) = untaken.pop() {
                self.record.note(Call::DatagramReceived(data.to_vec(), from.clone()));
            }
        }
        outcome.unwrap_or_else(|panic| panic.resume())
    }

    fn error_received(&mut self, transport: &dyn DatagramTransport, error: &Error) -> Result {
        self.record.note(Call::ErrorReceived(error.to_string()));
        self.protocol.error_received(transport, error)
    }

    fn pause_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.record.note(Call::PauseWriting);
        self.protocol.pause_writing(transport)
    }

    fn resume_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.record.note(Call::ResumeWriting);
        self.protocol.resume_writing(transport)
    }

    fn connection_lost(
        &mut self,
        transport: &dyn DatagramTransport,
        error: Option<&Error>,
    ) -> Result {
        self.record.note_lost(error);
        self.protocol.connection_lost(transport, error)
    }
}

impl Protocol for Defaults {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl DatagramProtocol for Defaults {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

impl<P: fmt::Debug> fmt::Debug for RecordingProtocol<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordingProtocol")
            .field("record", &self.record)
            .field("protocol", &self.protocol)
            .finish()
    }
}
