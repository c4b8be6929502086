use std::io::IoSlice;

use bytes::Bytes;
use wharf::{Transport, WriteStatus};

use super::head::Head;
use super::{
    DEFAULT_MAX_LENGTH, Extent, FramingError, FramingRule, LARGEST, PartialFrame, PayloadError,
};
use crate::codec::{Decoder, Encoder, Ready};

/// Takes netstrings out of a byte stream: `5:hello,` is `hello`
/// ([the definition](https://cr.yp.to/proto/netstrings.txt)).
///
/// Each payload has one form: a length with a sign, a space or a leading zero is refused, as is anything but a comma
/// behind the payload. A length above the maximum is refused when its colon has come, or a 21st digit.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::framing::NetstringDecoder;
///
/// # fn main() -> Result<(), wharf_protocols::framing::FramingError> {
/// let mut decoder = NetstringDecoder::new().max_length(100);
/// let mut input = &b"5:hello,0:,3:x"[..];
/// assert_eq!(decoder.decode(&mut input)?, Some(&b"hello"[..]));
/// assert_eq!(decoder.decode(&mut input)?, Some(&b""[..]));
/// assert_eq!(decoder.decode(&mut input)?, None);
/// let mut input = &b"yz,"[..];
/// assert_eq!(decoder.decode(&mut input)?, Some(&b"xyz"[..]));
/// # Ok(())
/// # }
/// ```
#[doc(alias("NetstringReceiver"))]
#[derive(Clone, Debug)]
pub struct NetstringDecoder {
    max_length: usize,
    /// With each frame comes the length of its head.
    frames: PartialFrame<usize, FramingError>,
}

impl NetstringDecoder {
    /// Netstrings of at most [`DEFAULT_MAX_LENGTH`] bytes.
    pub const fn new() -> Self {
        Self { max_length: DEFAULT_MAX_LENGTH, frames: PartialFrame::new() }
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

impl Decoder for NetstringDecoder {
    type Frame<'a> = &'a [u8];
    type Error = FramingError;

    /// The next payload. After an error nothing more comes.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<&'a [u8]>, FramingError> {
        let max_length = self.max_length;
        let frame = self.frames.take(input, |start, offset| measure(start, offset, max_length))?;
        Ok(frame.map(|(head, frame)| &frame[head..frame.len() - 1]))
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

impl Ready for NetstringDecoder {
    fn is_ready(&mut self, input: &mut &[u8]) -> Result<bool, FramingError> {
        let max_length = self.max_length;
        self.frames.is_ready(input, |start, offset| measure(start, offset, max_length))
    }
}

impl Default for NetstringDecoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes netstrings, as a [`NetstringDecoder`] takes them.
///
/// A payload can hold any bytes: nothing in it is taken for the end.
///
/// ```
/// use wharf_protocols::codec::Encoder;
/// use wharf_protocols::framing::{NetstringEncoder, PayloadError};
///
/// let mut encoder = NetstringEncoder::new().max_length(5);
/// let mut output = Vec::new();
/// encoder.encode(b"hello", &mut output).unwrap();
/// assert_eq!(output, b"5:hello,");
/// let error = encoder.encode(b"too long", &mut output);
/// assert_eq!(error, Err(PayloadError::TooLong { length: 8, max_length: 5 }));
/// ```
#[derive(Clone, Debug)]
pub struct NetstringEncoder {
    max_length: usize,
}

impl NetstringEncoder {
    /// Payloads of at most [`DEFAULT_MAX_LENGTH`] bytes.
    pub const fn new() -> Self {
        Self { max_length: DEFAULT_MAX_LENGTH }
    }

    /// The longest payload to take, in bytes.
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
        transport.write_bytes(payload);
        Ok(transport.write(b","))
    }

    fn head(&self, payload: &[u8]) -> Result<Head, PayloadError> {
        let length = payload.len();
        if length > self.max_length {
            return Err(PayloadError::TooLong { length, max_length: self.max_length });
        }
        let mut digits = [0; MOST_DIGITS + 1];
        let mut start = MOST_DIGITS;
        digits[start] = b':';
        let mut rest = length;
        loop {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                return Ok(Head::new(&digits[start..]));
            }
        }
    }
}

impl Encoder<[u8]> for NetstringEncoder {
    type Error = PayloadError;

    fn encode(&mut self, payload: &[u8], output: &mut Vec<u8>) -> Result<(), PayloadError> {
        let head = self.head(payload)?;
        output.reserve(head.len() + payload.len() + 1);
        output.extend_from_slice(&head);
        output.extend_from_slice(payload);
        output.push(b',');
        Ok(())
    }

    /// The head, the payload and the comma.
    fn encode_slices<R>(
        &mut self,
        payload: &[u8],
        write: impl FnOnce(&[IoSlice<'_>]) -> R,
    ) -> Result<R, PayloadError> {
        let head = self.head(payload)?;
        Ok(write(&[IoSlice::new(&head), IoSlice::new(payload), IoSlice::new(b",")]))
    }
}

impl Default for NetstringEncoder {
    fn default() -> Self {
        Self::new()
    }
}

/// As many as the largest `u64` has.
const MOST_DIGITS: usize = 20;

/// How far a netstring reaches; its head is as long as the number returned with it.
pub(super) fn measure(
    start: &[u8],
    offset: u64,
    max_length: usize,
) -> Result<Extent<usize>, FramingError> {
    let error = |place: usize, rule| Err(FramingError::new(offset + place as u64, rule));
    let mut length = 0_u64;
    for (place, &byte) in start.iter().enumerate() {
        match byte {
            b'0'..=b'9' if place == 1 && start[0] == b'0' => {
                return error(0, FramingRule::LeadingZero);
            }
            b'0'..=b'9' if place < MOST_DIGITS => {
                length = length.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
            }
            // There is a colon, or there are too many digits.
            b':' | b'0'..=b'9' if place > 0 => {
                let head = place + 1;
                let allowed = byte == b':' && length <= max_length.min(LARGEST) as u64;
                if !allowed {
                    return error(0, FramingRule::TooLong { length, max_length });
                }
                // Up to and with the comma.
                let whole = head + length as usize + 1;
                return match start.get(whole - 1) {
                    Some(b',') => Ok(Extent::Exactly { length: whole, head }),
                    Some(&byte) => error(whole - 1, FramingRule::NoComma { byte }),
                    None => Ok(Extent::AtLeast(whole)),
                };
            }
            _ => return error(place, FramingRule::NotADigit { byte }),
        }
    }
    Ok(Extent::AtLeast(start.len() + 1))
}
