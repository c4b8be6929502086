use wharf::{Error, Result, Transport};

use crate::backpressure::is_above_high_water;
use crate::codec::Decoder;

/// Feeds a decoder from a transport, and stops where no more may be delivered: what [`Framed`](super::Framed) and
/// [`Lines`](crate::line::Lines) are made of, for protocols that have more to do than they do.
///
/// Between two frames it looks at the transport, and stops
/// - when it reads no more: paused, held, closing, or told to change its protocol or to start TLS;
/// - when more waits to be sent than the high-water mark allows, so that `pause_writing` is called first.
///
/// What is left is [unread](Transport::unread): it is delivered when reading goes on, or to the next protocol.
///
/// ```
/// use wharf::testing::Recorder;
/// use wharf::{Error, Protocol, Result, Transport};
/// use wharf_protocols::codec::Encoder;
/// use wharf_protocols::framing::{Delivery, NetstringDecoder, NetstringEncoder};
///
/// #[derive(Default)]
/// struct Reverse {
///     delivery: Delivery<NetstringDecoder>,
///     encoder: NetstringEncoder,
/// }
///
/// impl Protocol for Reverse {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
///         self.delivery.data_received(transport, data, |payload| {
///             let payload = payload.map_err(Error::protocol_violation)?;
///             let reversed: Vec<u8> = payload.iter().rev().copied().collect();
///             self.encoder.write_to(transport, &reversed)?;
///             Ok(())
///         })
///     }
///
///     fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
///         self.delivery.pause_writing();
///         transport.hold_reading();
///         Ok(())
///     }
///
///     fn resume_writing(&mut self, _: &dyn Transport) -> Result {
///         self.delivery.resume_writing();
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(Reverse::default)?;
/// recorder.receive(b"5:frahw,")?;
/// assert_eq!(recorder.sent()?, b"5:wharf,");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Delivery<D> {
    decoder: D,
    writing_is_paused: bool,
    /// How much of the stream the decoder has taken.
    taken: u64,
}

impl<D> Delivery<D> {
    /// At the start of a stream.
    pub const fn new(decoder: D) -> Self {
        Self { decoder, writing_is_paused: false, taken: 0 }
    }

    /// The decoder.
    pub const fn decoder(&self) -> &D {
        &self.decoder
    }

    /// The decoder, to change how the frames after this are taken.
    pub const fn decoder_mut(&mut self) -> &mut D {
        &mut self.decoder
    }

    /// How many bytes of the stream the decoder has taken.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// To be called in `pause_writing`: delivery does not stop for what is above the high-water mark from now on, but
    /// only if reading is held.
    pub const fn pause_writing(&mut self) {
        self.writing_is_paused = true;
    }

    /// To be called in `resume_writing`.
    pub const fn resume_writing(&mut self) {
        self.writing_is_paused = false;
    }

    /// Whether another frame may be delivered.
    fn is_to_go_on(&self, transport: &dyn Transport) -> bool {
        transport.is_reading() && (self.writing_is_paused || !is_above_high_water(transport))
    }
}

impl<D: Decoder + 'static> Delivery<D> {
    /// Gives the frames that end in `data` to `receive`, and what the decoder refuses. To be called in `data_received`,
    /// with all of its data.
    ///
    /// # Errors
    /// Those of `receive`, which ends the delivery. When `receive` returns `Ok` for something refused, and the decoder
    /// cannot go on behind it, an [`Error::protocol_violation`] of it.
    pub fn data_received(
        &mut self,
        transport: &dyn Transport,
        data: &[u8],
        mut receive: impl for<'a> FnMut(Result<D::Frame<'a>, D::Error>) -> Result,
    ) -> Result {
        let mut input = data;
        let mut is_stuck = false;
        loop {
            let before = input.len();
            match self.decoder.decode(&mut input) {
                Ok(Some(frame)) => receive(Ok(frame))?,
                Ok(None) => break,
                Err(error) if is_stuck => return Err(Error::protocol_violation(error).into()),
                Err(error) => {
                    receive(Err(error))?;
                    is_stuck = input.len() == before;
                }
            }
            if !self.is_to_go_on(transport) {
                transport.unread(input.len());
                self.decoder.release();
                break;
            }
        }
        self.taken += (data.len() - input.len()) as u64;
        Ok(())
    }

    /// Ends the stream: gives the last frame, or what is refused, to `receive`. To be called in `eof_received`.
    ///
    /// # Errors
    /// Those of `receive`.
    pub fn eof_received(
        &mut self,
        receive: impl for<'a> FnOnce(Result<D::Frame<'a>, D::Error>) -> Result,
    ) -> Result {
        match self.decoder.finish() {
            Ok(Some(frame)) => receive(Ok(frame)),
            Ok(None) => Ok(()),
            Err(error) => receive(Err(error)),
        }
    }
}
