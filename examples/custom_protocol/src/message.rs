//! The codec: no sockets, no clocks, no wharf loop.
//!
//! ```text
//!    0      1       2..4     4..4+length
//! +------+------+----------+-------------+
//! | 0xC7 | kind |  length  |    body     |   numbers: the most significant byte first
//! +------+------+----------+-------------+
//! ```
//!
//! | kind | body | from |
//! |---|---|---|
//! | `A` | amount (4), name | client |
//! | `G` | name | client |
//! | `T` | total (8) | server |
//! | `R` | why, as text | server |

use std::error::Error;
use std::fmt;

use wharf_protocols::codec::{Decoder, Encoder, Ready};
use wharf_protocols::framing::{Extent, PartialFrame, Unfinished};

/// The longest body, in bytes.
pub const MAX_BODY: usize = 256;

/// What is sent. It borrows from what was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Add to a counter.
    Add {
        /// How much.
        amount: u32,
        /// Which: 1 to 64 letters, digits, dots and hyphens of ASCII.
        name: &'a str,
    },
    /// Say what a counter has.
    Get {
        /// Which.
        name: &'a str,
    },
    /// What a counter has.
    Total(u64),
    /// Why there is no total.
    Refused(&'a str),
}

impl<'a> Message<'a> {
    /// Takes a body apart.
    fn parse(kind: u8, body: &'a [u8]) -> Result<Self, &'static str> {
        match kind {
            b'A' => {
                let (amount, name) = body.split_first_chunk().ok_or("an amount has four bytes")?;
                Ok(Self::Add { amount: u32::from_be_bytes(*amount), name: parse_name(name)? })
            }
            b'G' => Ok(Self::Get { name: parse_name(body)? }),
            b'T' => {
                let total = body.try_into().map_err(|_| "a total has eight bytes")?;
                Ok(Self::Total(u64::from_be_bytes(total)))
            }
            b'R' => str::from_utf8(body).map(Self::Refused).map_err(|_| "a text must be UTF-8"),
            _ => Err("there is no such kind of message"),
        }
    }
}

fn parse_name(name: &[u8]) -> Result<&str, &'static str> {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if name.is_empty() || name.len() > 64 || !name.iter().all(is_allowed) {
        return Err("a name is 1 to 64 letters, digits, dots and hyphens");
    }
    str::from_utf8(name).map_err(|_| "a name is ASCII")
}

/// Takes messages out of a byte stream.
#[derive(Clone, Debug, Default)]
pub struct MessageDecoder {
    frames: PartialFrame<(), MessageError>,
}

impl Decoder for MessageDecoder {
    type Frame<'a> = Message<'a>;
    type Error = MessageError;

    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Message<'a>>, MessageError> {
        let offset = self.frames.offset();
        let Some(((), frame)) = self.frames.take(input, measure)? else { return Ok(None) };
        // It cannot fail here: `measure` has looked at it.
        parse_frame(frame, offset).map(Some)
    }

    fn finish(&mut self) -> Result<Option<Message<'_>>, MessageError> {
        self.frames.finish(|Unfinished { start, received, .. }| MessageError {
            offset: start + received as u64,
            rule: "the stream ends within a message",
        })?;
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

/// For `FramedReader::next`.
impl Ready for MessageDecoder {
    fn is_ready(&mut self, input: &mut &[u8]) -> Result<bool, MessageError> {
        self.frames.is_ready(input, measure)
    }
}

const MAGIC: u8 = 0xC7;
const HEAD: usize = 4;

/// How far the message reaches whose first bytes are `start`. It refuses what is wrong as soon as that is there: the
/// magic byte before the length, and a length before a body of that length is kept.
fn measure(start: &[u8], offset: u64) -> Result<Extent<()>, MessageError> {
    let error = |place: u64, rule| Err(MessageError { offset: offset + place, rule });
    if start[0] != MAGIC {
        return error(0, "a message begins with the byte c7");
    }
    let Some(&[_, _, high, low]) = start.first_chunk::<HEAD>() else {
        return Ok(Extent::AtLeast(HEAD));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BODY {
        return error(2, "a body is longer than 256 bytes");
    }
    // The body is looked at here, too: an error of this function is one that the decoder repeats.
    let Some(frame) = start.get(..HEAD + length) else { return Ok(Extent::AtLeast(HEAD + length)) };
    parse_frame(frame, offset)?;
    Ok(Extent::Exactly { length: frame.len(), head: () })
}

fn parse_frame(frame: &[u8], offset: u64) -> Result<Message<'_>, MessageError> {
    Message::parse(frame[1], &frame[HEAD..]).map_err(|rule| MessageError { offset, rule })
}

/// Which rule a stream breaks, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageError {
    /// The place in the stream: of the message whose body is wrong, or the byte that is.
    pub offset: u64,
    /// The rule.
    pub rule: &'static str,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.rule)
    }
}

impl Error for MessageError {}

/// Puts messages into a byte stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageEncoder;

impl Encoder<Message<'_>> for MessageEncoder {
    type Error = Unsendable;

    fn encode(&mut self, message: &Message<'_>, output: &mut Vec<u8>) -> Result<(), Unsendable> {
        let start = output.len();
        let kind = match message {
            Message::Add { .. } => b'A',
            Message::Get { .. } => b'G',
            Message::Total(_) => b'T',
            Message::Refused(_) => b'R',
        };
        output.extend([MAGIC, kind, 0, 0]);
        match message {
            Message::Add { amount, name } => {
                output.extend(amount.to_be_bytes());
                output.extend_from_slice(name.as_bytes());
            }
            Message::Get { name } => output.extend_from_slice(name.as_bytes()),
            Message::Total(total) => output.extend(total.to_be_bytes()),
            Message::Refused(text) => output.extend_from_slice(text.as_bytes()),
        }
        let length = output.len() - start - HEAD;
        output[start + 2..start + 4].copy_from_slice(&(length as u16).to_be_bytes());
        // What the decoder would refuse, or take for something else, is not sent.
        let is_sound = length <= MAX_BODY && measure(&output[start..], 0).is_ok();
        if !is_sound {
            output.truncate(start);
            return Err(Unsendable);
        }
        Ok(())
    }
}

/// A message that no decoder takes: its name or its text is too long, or has bytes that are not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsendable;

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name or a text is too long or has bytes that are not allowed")
    }
}

impl Error for Unsendable {}
