use std::any::Any;
use std::os::fd::OwnedFd;

use wharf::{Eof, Error, Protocol, Result, Timeout, Transport};

use super::{Defaults, Delivery};
use crate::codec::Decoder;

/// A protocol that receives the frames of a decoder `D`. Install it as [`Framed::new`]`(x, decoder)` wherever a
/// [`Protocol`] is expected. To send frames, use the [`Encoder`](crate::codec::Encoder) beside the decoder.
///
/// ```
/// use wharf::testing::Recorder;
/// use wharf::{Result, Transport};
/// use wharf_protocols::codec::Encoder;
/// use wharf_protocols::framing::{
///     FrameProtocol, Framed, LengthPrefix, LengthPrefixDecoder, LengthPrefixEncoder,
/// };
///
/// struct Shout;
///
/// impl FrameProtocol<LengthPrefixDecoder> for Shout {
///     fn frame_received(&mut self, transport: &dyn Transport, payload: &[u8]) -> Result {
///         let mut encoder = LengthPrefixEncoder::new(LengthPrefix::U16);
///         encoder.write_to(transport, &payload.to_ascii_uppercase())?;
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let decoder = LengthPrefixDecoder::new(LengthPrefix::U16).max_length(1024);
/// let mut recorder = Recorder::new(|| Framed::new(Shout, decoder))?;
/// recorder.receive(b"\x00\x05hel")?;
/// recorder.receive(b"lo")?;
/// assert_eq!(recorder.sent()?, b"\x00\x05HELLO");
/// # Ok(())
/// # }
/// ```
///
/// # When no more frames are delivered
/// One read can bring many frames. Between two of them, the following take effect at once; what is left is delivered when
/// reading goes on, before anything else:
/// - `pause_reading`, until `resume_reading`;
/// - more answers than the peer takes: when the write buffer passes its high-water mark, `pause_writing` is called
///   before the next frame, which by default holds reading;
/// - `set_protocol`, with nothing as leftover: the next protocol receives what follows this frame;
/// - `start_tls`, with nothing as leftover: what follows this frame is the leftover, and refused unless the upgrade says
///   otherwise;
/// - `close`, `abort` and an `Err`: nothing more is delivered.
#[doc(alias("MessageToMessageDecoder", "ByteToMessageDecoder"))]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `FrameProtocol<{D}>`",
    label = "`Framed` wants a protocol for the frames of its decoder",
    note = "the protocol and `Framed::new(protocol, decoder)` name the same decoder: `impl FrameProtocol<{D}> for {Self}`"
)]
pub trait FrameProtocol<D: Decoder>: Any {
    /// See [`Protocol::connection_made`].
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        Defaults.connection_made(transport)
    }

    /// A frame has arrived. It is lent: what is to be kept must be copied.
    fn frame_received(&mut self, transport: &dyn Transport, frame: D::Frame<'_>) -> Result;

    /// The peer sent what the decoder refuses; within a frame, too, if it ended its side there, and `eof_received` follows.
    ///
    /// `Ok` goes on, if the decoder can. The default fails with `error` as an [`Error::protocol_violation`], which aborts
    /// the connection and does not go to the exception handler.
    fn frame_refused(&mut self, transport: &dyn Transport, error: D::Error) -> Result {
        let _ = transport;
        Err(Error::protocol_violation(error).into())
    }

    /// The peer ended its side, `end` bytes into the stream, and the decoder gives a last frame that has no end of its own;
    /// `eof_received` follows.
    ///
    /// The default fails with an [`Error::protocol_violation`]: a connection that broke off must not turn a frame into
    /// another. Where the end of the stream is the end of a frame, pass it on to [`frame_received`](Self::frame_received).
    fn unfinished_frame_received(
        &mut self,
        transport: &dyn Transport,
        frame: D::Frame<'_>,
        end: u64,
    ) -> Result {
        let _ = (transport, frame);
        let text = format!("byte {end}: the stream ends within a frame");
        Err(Error::protocol_violation(text).into())
    }

    /// See [`Protocol::descriptors_received`].
    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        Defaults.descriptors_received(transport, descriptors)
    }

    /// See [`Protocol::eof_received`]. The stream has ended between two frames, or what was left was accepted.
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

/// Installs a [`FrameProtocol`] where a [`Protocol`] is expected.
///
/// Memory is that of the decoder: held only while a frame is partial.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf::{Result, Transport};
/// use wharf_protocols::framing::{FrameProtocol, Framed, NetstringDecoder};
///
/// #[derive(Default)]
/// struct Counter(u32);
///
/// impl FrameProtocol<NetstringDecoder> for Counter {
///     fn frame_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
///         self.0 += 1;
///         Ok(())
///     }
/// }
///
/// fn main() -> Result {
///     MemoryNetwork::new().event_loop().run(async |event_loop| {
///         let factory = || Framed::new(Counter::default(), NetstringDecoder::new());
///         event_loop.create_server(factory, "10.0.0.1:7").await?;
///         let client = event_loop.create_connection(factory, "10.0.0.1:7").await?;
///         // The protocol inside is a field.
///         assert_eq!(client.with(|framed, _| framed.protocol.0)?, 0);
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Framed<P, D> {
    /// The protocol that receives the frames.
    pub protocol: P,
    delivery: Delivery<D>,
}

impl<P, D> Framed<P, D> {
    /// Frames as `decoder` finds them.
    pub const fn new(protocol: P, decoder: D) -> Self {
        Self { protocol, delivery: Delivery::new(decoder) }
    }

    /// The decoder, to change how later frames are taken, from outside.
    pub const fn decoder_mut(&mut self) -> &mut D {
        self.delivery.decoder_mut()
    }
}

impl<P, D: Decoder> Framed<P, D> {
    /// Takes out the beginning of a frame that has not been delivered, for a protocol that is installed from outside:
    /// after `Connection::with`, as the leftover of `set_protocol`.
    ///
    /// Inside [`FrameProtocol::frame_received`] there is none.
    pub fn take_remainder(&mut self) -> Vec<u8> {
        self.delivery.decoder_mut().take_remainder()
    }
}

impl<P: FrameProtocol<D>, D: Decoder + 'static> Protocol for Framed<P, D> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.protocol.connection_made(transport)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let Self { protocol, delivery } = self;
        delivery.data_received(transport, data, |frame| match frame {
            Ok(frame) => protocol.frame_received(transport, frame),
            Err(error) => protocol.frame_refused(transport, error),
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
        let end = delivery.taken();
        delivery.eof_received(|frame| match frame {
            Ok(frame) => protocol.unfinished_frame_received(transport, frame, end),
            Err(error) => protocol.frame_refused(transport, error),
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
