use std::any::Any;
use std::os::fd::OwnedFd;

use wharf::{Eof, Error, Protocol, Result, Timeout, Transport};

use super::{LineDecoder, LineError, Refused};
use crate::framing::{Defaults, Delivery};

/// A protocol that receives lines. Install it as [`Lines::new`]`(x)` wherever a
/// [`Protocol`] is expected. To send lines, use [`WriteLine`](super::WriteLine), or a
/// [`LineEncoder`](super::LineEncoder) with the options of the decoder.
///
/// ```
/// use wharf::testing::Recorder;
/// use wharf::{Result, Transport};
/// use wharf_protocols::line::{LineProtocol, Lines, WriteLine};
///
/// struct Shout;
///
/// impl LineProtocol for Shout {
///     fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
///         transport.write_line(line.to_ascii_uppercase())?;
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(|| Lines::new(Shout))?;
/// recorder.receive(b"hello\nwor")?;
/// recorder.receive(b"ld\r\n")?;
/// assert_eq!(recorder.sent()?, b"HELLO\nWORLD\n");
/// # Ok(())
/// # }
/// ```
///
/// # When no more lines are delivered
/// One read can bring many lines. Between two of them, the following take effect at once, as with each
/// [`Framed`](crate::framing::Framed); what is left is delivered when reading goes on, before anything else:
/// - `pause_reading`, until `resume_reading`;
/// - more answers than the peer takes: when the write buffer passes its high-water mark,
///   `pause_writing` is called before the next line, which by default holds reading;
/// - `set_protocol`, with nothing as leftover: the next protocol receives what follows this line;
/// - `start_tls`, with nothing as leftover: what follows this line is the leftover, and refused
///   unless the upgrade says otherwise;
/// - `close`, `abort` and an `Err`: nothing more is delivered.
#[doc(alias("LineReceiver", "LineOnlyReceiver", "StreamReader"))]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `LineProtocol`",
    label = "`Lines` wants a `LineProtocol`",
    note = "a `Protocol`, which receives bytes, is installed as it is"
)]
pub trait LineProtocol: Any {
    /// See [`Protocol::connection_made`].
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        Defaults.connection_made(transport)
    }

    /// A line has arrived, without its delimiter. It is lent: what is to be kept must be copied.
    #[doc(alias("lineReceived", "readline", "read_line"))]
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result;

    /// The peer sent a line above the maximum length, or one with a bare line end (see
    /// [`Delimiter`](super::Delimiter)). The line is discarded.
    ///
    /// `Ok` goes on with the next line. The default fails with `error` as an [`Error::protocol_violation`], which
    /// aborts the connection and does not go to the exception handler.
    fn line_refused(&mut self, transport: &dyn Transport, error: LineError) -> Result {
        let _ = transport;
        Err(Error::protocol_violation(error).into())
    }

    /// The peer ended its side in the middle of a line; `eof_received` follows.
    ///
    /// The default drops it: a connection that broke off must not turn a line into another, such
    /// as `DELETE /tmp/x` into `DELETE /tmp`. Where that is no danger, pass it on to
    /// [`line_received`](Self::line_received).
    fn unfinished_line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        let _ = (transport, line);
        Ok(())
    }

    /// See [`Protocol::descriptors_received`].
    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        Defaults.descriptors_received(transport, descriptors)
    }

    /// See [`Protocol::eof_received`].
    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        Defaults.eof_received(transport)
    }

    /// See [`Protocol::pause_writing`].
    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        Defaults.pause_writing(transport)
    }

    /// See [`Protocol::resume_writing`].
    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        Defaults.resume_writing(transport)
    }

    /// See [`Protocol::timed_out`].
    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        Defaults.timed_out(transport, timeout)
    }

    /// See [`Protocol::shutting_down`].
    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        Defaults.shutting_down(transport)
    }

    /// See [`Protocol::tls_established`].
    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        Defaults.tls_established(transport)
    }

    /// See [`Protocol::connection_lost`].
    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        Defaults.connection_lost(transport, error)
    }
}

/// Installs a [`LineProtocol`] where a [`Protocol`] is expected.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf::{Result, Transport};
/// use wharf_protocols::line::{LineDecoder, LineProtocol, Lines, WriteLine};
///
/// #[derive(Default)]
/// struct Counter(u32);
///
/// impl LineProtocol for Counter {
///     fn line_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
///         self.0 += 1;
///         transport.write_line(self.0.to_string())?;
///         Ok(())
///     }
/// }
///
/// fn main() -> Result {
///     MemoryNetwork::new().event_loop().run(async |event_loop| {
///         let factory = || Lines::with_decoder(Counter::default(), LineDecoder::new().max_length(1024));
///         event_loop.create_server(factory, "10.0.0.1:7").await?;
///         let client = event_loop.create_connection(|| Lines::new(Counter::default()), "10.0.0.1:7").await?;
///         // The protocol inside is a field.
///         assert_eq!(client.with(|lines, _| lines.protocol.0)?, 0);
///         Ok(())
///     })
/// }
/// ```
#[doc(alias("LineReceiver", "LinesCodec"))]
#[derive(Clone, Debug, Default)]
pub struct Lines<P> {
    /// The protocol that receives the lines.
    pub protocol: P,
    delivery: Delivery<LineDecoder>,
}

impl<P: LineProtocol> Lines<P> {
    /// Lines as [`LineDecoder::new`] finds them: `\n` or `\r\n` at the end, at most 64 KiB.
    pub fn new(protocol: P) -> Self {
        Self::with_decoder(protocol, LineDecoder::new())
    }

    /// Lines as `decoder` finds them. What becomes of a line that it refuses is for
    /// [`LineProtocol::line_refused`] to say, whatever the decoder was told.
    pub fn with_decoder(protocol: P, decoder: LineDecoder) -> Self {
        Self { protocol, delivery: Delivery::new(decoder.refused(Refused::Discard)) }
    }

    /// Takes out the beginning of a line that has not been delivered, for a protocol that is
    /// installed from outside: after `Connection::with`, as the leftover of `set_protocol`.
    ///
    /// Inside [`LineProtocol::line_received`] there is none.
    pub fn take_remainder(&mut self) -> Vec<u8> {
        self.delivery.decoder_mut().take_remainder()
    }
}

impl<P: LineProtocol> Protocol for Lines<P> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.protocol.connection_made(transport)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let Self { protocol, delivery } = self;
        delivery.data_received(transport, data, |line| match line {
            Ok(line) => protocol.line_received(transport, line),
            Err(error) => protocol.line_refused(transport, error),
        })
    }

    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        self.protocol.descriptors_received(transport, descriptors)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        let Self { protocol, delivery } = self;
        delivery.eof_received(|line| match line {
            Ok(line) => protocol.unfinished_line_received(transport, line),
            Err(error) => protocol.line_refused(transport, error),
        })?;
        self.protocol.eof_received(transport)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.delivery.pause_writing();
        self.protocol.pause_writing(transport)
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.delivery.resume_writing();
        self.protocol.resume_writing(transport)
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        self.protocol.timed_out(transport, timeout)
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.protocol.shutting_down(transport)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        self.protocol.tls_established(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        self.protocol.connection_lost(transport, error)
    }
}
