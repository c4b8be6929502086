use std::io::IoSlice;

use bytes::Bytes;
use wharf::{Transport, WriteStatus};

use super::head::Head;
use super::{
    DEFAULT_MAX_LENGTH, Extent, FramingError, FramingRule, LARGEST, PartialFrame, PayloadError,
};
use crate::codec::{Decoder, Encoder, Ready};

/// What the length before a frame looks like.
///
/// ```
/// use wharf_protocols::framing::LengthPrefix;
///
/// // Of two bytes, the most significant first, as in DNS over TCP.
/// let dns = LengthPrefix::U16;
/// // Of four bytes, the least significant first, which count themselves, too.
/// let other = LengthPrefix::U32.little_endian().counting_itself();
/// // As protobuf has it: seven bits in a byte, the least significant first.
/// let protobuf = LengthPrefix::VARINT;
/// # let _ = (dns, other, protobuf);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthPrefix {
    form: Form,
    counts_itself: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Big(usize),
    Little(usize),
    Varint,
}

impl LengthPrefix {
    /// One byte.
    pub const U8: Self = Self::big(1);
    /// Two bytes, the most significant first (network byte order).
    pub const U16: Self = Self::big(2);
    /// Three bytes, the most significant first.
    pub const U24: Self = Self::big(3);
    /// Four bytes, the most significant first.
    pub const U32: Self = Self::big(4);
    /// Eight bytes, the most significant first.
    pub const U64: Self = Self::big(8);
    /// LEB128: up to ten bytes of seven bits each, the least significant first, all but the last with the high bit set;
    /// as protobuf has it. Each length has one form: the shortest.
    pub const VARINT: Self = Self { form: Form::Varint, counts_itself: false };

    /// The least significant byte first. A varint stays as it is.
    #[must_use]
    pub const fn little_endian(mut self) -> Self {
        if let Form::Big(width) = self.form {
            self.form = Form::Little(width);
        }
        self
    }

    /// The length is that of the frame with the prefix, not of the payload alone.
    #[must_use]
    pub const fn counting_itself(mut self) -> Self {
        self.counts_itself = true;
        self
    }

    const fn big(width: usize) -> Self {
        Self { form: Form::Big(width), counts_itself: false }
    }

    /// The longest payload whose length can be said.
    fn most(self) -> u64 {
        let (width, most) = match self.form {
            Form::Big(width) | Form::Little(width) => (width, u64::MAX >> (64 - 8 * width)),
            Form::Varint => (MOST_VARINT, u64::MAX),
        };
        if self.counts_itself { most - width as u64 } else { most }
    }

    /// The prefix of a payload that is not longer than the longest.
    fn encode(self, payload: u64) -> Head {
        let counted =
            |width: usize| if self.counts_itself { payload + width as u64 } else { payload };
        match self.form {
            Form::Big(width) => Head::new(&counted(width).to_be_bytes()[8 - width..]),
            Form::Little(width) => Head::new(&counted(width).to_le_bytes()[..width]),
            Form::Varint => {
                // A prefix that counts itself may be a byte longer for its own sake.
                let width = varint_width(payload);
                let width = varint_width(counted(width));
                varint(counted(width))
            }
        }
    }

    /// The prefix's length and the payload's, or how many bytes tell more.
    fn decode(
        self,
        start: &[u8],
        offset: u64,
    ) -> Result<Result<(usize, u64), usize>, FramingError> {
        let (width, length) = match self.form {
            Form::Big(width) | Form::Little(width) => {
                let Some(bytes) = start.get(..width) else { return Ok(Err(width)) };
                let add = |length: u64, byte: &u8| length << 8 | u64::from(*byte);
                let length = match self.form {
                    Form::Little(_) => bytes.iter().rev().fold(0, add),
                    _ => bytes.iter().fold(0, add),
                };
                (width, length)
            }
            Form::Varint => match parse_varint(start, offset)? {
                Some(found) => found,
                None => return Ok(Err(start.len() + 1)),
            },
        };
        if !self.counts_itself {
            return Ok(Ok((width, length)));
        }
        match length.checked_sub(width as u64) {
            Some(payload) => Ok(Ok((width, payload))),
            None => Err(FramingError::new(offset, FramingRule::LessThanHead { length })),
        }
    }

    pub(super) fn measure(
        self,
        start: &[u8],
        offset: u64,
        max_length: usize,
    ) -> Result<Extent<usize>, FramingError> {
        match self.decode(start, offset)? {
            Ok((head, length)) if length <= max_length.min(LARGEST) as u64 => {
                Ok(Extent::Exactly { length: head + length as usize, head })
            }
            Ok((_, length)) => {
                Err(FramingError::new(offset, FramingRule::TooLong { length, max_length }))
            }
            Err(needed) => Ok(Extent::AtLeast(needed)),
        }
    }
}

/// Takes frames out of a byte stream that begin with their length.
///
/// A length above the maximum is refused as soon as it is known. Memory grows with what has arrived, not with what a
/// length claims.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::framing::{LengthPrefix, LengthPrefixDecoder};
///
/// # fn main() -> Result<(), wharf_protocols::framing::FramingError> {
/// let mut decoder = LengthPrefixDecoder::new(LengthPrefix::U16).max_length(1024);
/// let mut input = &b"\x00\x05hello\x00\x05wo"[..];
/// assert_eq!(decoder.decode(&mut input)?, Some(&b"hello"[..]));
/// assert_eq!(decoder.decode(&mut input)?, None);
/// let mut input = &b"rld\xff\xff"[..];
/// assert_eq!(decoder.decode(&mut input)?, Some(&b"world"[..]));
/// let error = decoder.decode(&mut input).unwrap_err();
/// assert_eq!(error.to_string(), "byte 14: a frame of 65535 bytes, where at most 1024 are allowed");
/// # Ok(())
/// # }
/// ```
#[doc(alias("LengthDelimitedCodec", "Int16StringReceiver", "Int32StringReceiver"))]
#[doc(alias("LengthFieldBasedFrameDecoder"))]
#[derive(Clone, Debug)]
pub struct LengthPrefixDecoder {
    prefix: LengthPrefix,
    max_length: usize,
    /// With each frame comes the length of its head.
    frames: PartialFrame<usize, FramingError>,
}

impl LengthPrefixDecoder {
    /// Frames with that prefix and payloads of at most [`DEFAULT_MAX_LENGTH`] bytes.
    pub const fn new(prefix: LengthPrefix) -> Self {
        Self { prefix, max_length: DEFAULT_MAX_LENGTH, frames: PartialFrame::new() }
    }

    /// The longest payload to take, in bytes.
    #[must_use]
    pub const fn max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    /// The memory held, in bytes: 0 while no frame is partial.
    pub fn buffer_capacity(&self) -> usize {
        self.frames.buffer_capacity()
    }
}

impl Decoder for LengthPrefixDecoder {
    type Frame<'a> = &'a [u8];
    type Error = FramingError;

    /// The next payload. After an error nothing more comes.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, FramingError> {
        let (prefix, max_length) = (self.prefix, self.max_length);
        let measure = |start: &[u8], offset| prefix.measure(start, offset, max_length);
        let frame = self.frames.take(input, measure)?;
        Ok(frame.map(|(head, frame)| &frame[head..]))
    }

    fn finish(&mut self) -> Result<Option<&[u8]>, FramingError> {
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

impl Ready for LengthPrefixDecoder {
    fn is_ready(&mut self, input: &mut &[u8]) -> Result<bool, FramingError> {
        let (prefix, max_length) = (self.prefix, self.max_length);
        self.frames.is_ready(input, |start, offset| prefix.measure(start, offset, max_length))
    }
}

/// Puts payloads into a byte stream, each behind its length.
///
/// ```
/// use wharf_protocols::codec::Encoder;
/// use wharf_protocols::framing::{LengthPrefix, LengthPrefixEncoder};
///
/// let mut encoder = LengthPrefixEncoder::new(LengthPrefix::VARINT);
/// let mut output = Vec::new();
/// encoder.encode(b"hello", &mut output).unwrap();
/// encoder.encode(&[0; 300], &mut output).unwrap();
/// assert!(output.starts_with(b"\x05hello\xac\x02\0\0"));
/// ```
#[derive(Clone, Debug)]
pub struct LengthPrefixEncoder {
    prefix: LengthPrefix,
    max_length: usize,
}

impl LengthPrefixEncoder {
    /// Frames with that prefix and payloads of at most [`DEFAULT_MAX_LENGTH`] bytes, or as many as the prefix can say.
    pub const fn new(prefix: LengthPrefix) -> Self {
        Self { prefix, max_length: DEFAULT_MAX_LENGTH }
    }

    /// The longest payload to take, in bytes. What the prefix can say is a limit besides.
    #[must_use]
    pub const fn max_length(mut self, max_length: usize) -> Self {
        self.max_length = max_length;
        self
    }

    /// Sends a payload without copying it where it cannot be sent at once: see [`Transport::write_bytes`]. The cheap way
    /// to send one payload to many connections.
    ///
    /// # Errors
    /// As for [`encode`](Encoder::encode); nothing is sent then.
    pub fn write_bytes_to(
        &self,
        transport: &(impl Transport + ?Sized),
        payload: Bytes,
    ) -> Result<WriteStatus, PayloadError> {
        let head = self.head(&payload)?;
        transport.write(&head);
        // Without a payload this changes nothing, and says what became of the head.
        Ok(transport.write_bytes(payload))
    }

    fn head(&self, payload: &[u8]) -> Result<Head, PayloadError> {
        let length = payload.len();
        let max_length = usize::try_from(self.prefix.most()).unwrap_or(usize::MAX);
        let max_length = max_length.min(self.max_length);
        if length > max_length {
            return Err(PayloadError::TooLong { length, max_length });
        }
        Ok(self.prefix.encode(length as u64))
    }
}

impl Encoder<[u8]> for LengthPrefixEncoder {
    type Error = PayloadError;

    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), PayloadError> {
        let head = self.head(payload)?;
        output.reserve(head.len() + payload.len());
        output.extend_from_slice(&head);
        output.extend_from_slice(payload);
        Ok(())
    }

    /// The prefix and the payload.
    fn encode_slices<R>(
        &mut self,
        payload: &[u8],
        write: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> Result<R, PayloadError> {
        let head = self.head(payload)?;
        Ok(write(&[IoSlice::new(&head), IoSlice::new(payload)]))
    }
}

/// 64 bits in groups of seven.
const MOST_VARINT: usize = 10;

/// How many bytes `value` takes: one even for 0.
fn varint_width(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn varint(mut value: u64) -> Head {
    let mut bytes = [0; MOST_VARINT];
    let width = varint_width(value);
    for byte in &mut bytes[..width] {
        *byte = value as u8 | 0x80;
        value >>= 7;
    }
    bytes[width - 1] &= 0x7f;
    Head::new(&bytes[..width])
}

/// A varint's length and value; `None` where more bytes are needed.
fn parse_varint(start: &[u8], offset: u64) -> Result<Option<(usize, u64)>, FramingError> {
    let mut value = 0;
    for (place, &byte) in start.iter().take(MOST_VARINT).enumerate() {
        let error = |rule| Err(FramingError::new(offset + place as u64, rule));
        let is_last = byte & 0x80 == 0;
        // Of 64 bits one is left for the last byte.
        if place == MOST_VARINT - 1 && byte > 1 {
            return error(FramingRule::VarintOverflow);
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if is_last && byte == 0 && place > 0 {
            return error(FramingRule::VarintNotShortest);
        }
        if is_last {
            return Ok(Some((place + 1, value)));
        }
    }
    Ok(None)
}
