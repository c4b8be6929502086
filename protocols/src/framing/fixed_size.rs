use std::convert::Infallible;
use std::io::IoSlice;

use super::{Extent, FramingError, PartialFrame};
use crate::codec::{Decoder, Encoder, Ready};

/// Takes frames of `N` bytes out of a byte stream, lent as arrays.
///
/// For sizes that are known only while the program runs there is a [`Collector`](super::Collector).
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::framing::FixedSizeDecoder;
///
/// # fn main() -> Result<(), wharf_protocols::framing::FramingError> {
/// let mut decoder = FixedSizeDecoder::<4>::new();
/// let mut input = &[0, 0, 0, 7, 0][..];
/// assert_eq!(decoder.decode(&mut input)?.map(|&frame| u32::from_be_bytes(frame)), Some(7));
/// assert_eq!(decoder.decode(&mut input)?, None);
/// assert_eq!(decoder.buffered(), [0]);
/// # Ok(())
/// # }
/// ```
#[doc(alias("FixedLengthFrameDecoder"))]
#[derive(Clone, Debug, Default)]
pub struct FixedSizeDecoder<const N: usize> {
    frames: PartialFrame<(), FramingError>,
}

impl<const N: usize> FixedSizeDecoder<N> {
    /// At the start of a stream. Frames of no bytes are refused by the compiler.
    pub const fn new() -> Self {
        const { assert!(N > 0, "a frame has at least one byte") };
        Self { frames: PartialFrame::new() }
    }

    /// The memory held, in bytes: 0 while no frame is partial.
    pub fn buffer_capacity(&self) -> usize {
        self.frames.buffer_capacity()
    }
}

impl<const N: usize> Decoder for FixedSizeDecoder<N> {
    type Frame<'a> = &'a [u8; N];
    type Error = FramingError;

    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8; N]>, FramingError> {
        let frame = self.frames.take(input, |_, _| Ok(Extent::Exactly { length: N, head: () }))?;
        Ok(frame.and_then(|((), frame)| frame.first_chunk()))
    }

    fn finish(&mut self) -> Result<Option<&[u8; N]>, FramingError> {
        self.frames.finish(FramingError::unfinished)?;
        Ok(None)
    }

    fn release(&mut self) {
        self.frames.release();
    }

    fn buffered(&self) -> &[u8] {
        self.frames.buffered()
    }

    fn take_remainder(&mut self) -> Vec<u8> {
        self.frames.take_remainder()
    }
}

impl<const N: usize> Ready for FixedSizeDecoder<N> {
    fn is_ready(&mut self, input: &mut &[u8]) -> Result<bool, FramingError> {
        self.frames.is_ready(input, |_, _| Ok(Extent::Exactly { length: N, head: () }))
    }
}

/// Puts frames of `N` bytes into a byte stream, as they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct FixedSizeEncoder<const N: usize>;

impl<const N: usize> Encoder<[u8; N]> for FixedSizeEncoder<N> {
    type Error = Infallible;

    fn encode(&mut self, frame: &[u8; N], output: &mut Vec<u8>) -> Result<(), Self::Error> {
        output.extend_from_slice(frame);
        Ok(())
    }

    fn encode_slices<R>(
        &mut self,
        frame: &[u8; N],
        write: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> Result<R, Self::Error> {
        Ok(write(&[IoSlice::new(frame)]))
    }
}
