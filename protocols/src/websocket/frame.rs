//! The header of a frame (RFC 6455, 5.2).

use super::Violation;

/// Which end of a connection this is. Clients mask what they send, servers do not (RFC 6455, 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The end that connected.
    Client,
    /// The end that accepted.
    Server,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What a frame is (RFC 6455, 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// More of the message whose first frame came before.
    Continuation,
    /// A text message, or the first fragment of one.
    Text,
    /// A binary message, or the first fragment of one.
    Binary,
    /// The end of what this side sends.
    Close,
    /// A question whether the peer is there.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// Whether it is a close, a ping or a pong: those may come between the fragments of a message, and are short.
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }
}

/// What stands before the payload of a frame (RFC 6455, 5.2).
///
/// For those who work with frames and not with messages, such as a proxy that passes fragments on as they are.
///
/// ```
/// use wharf_protocols::websocket::{FrameHeader, Opcode, Role};
///
/// let header = FrameHeader {
///     is_final: true,
///     is_compressed: false,
///     opcode: Opcode::Text,
///     mask: Some([1, 2, 3, 4]),
///     length: 300,
/// };
/// let mut buffer = [0; FrameHeader::MAX_LENGTH];
/// let bytes = header.encode(&mut buffer);
/// assert_eq!(bytes, [0x81, 0xfe, 0x01, 0x2c, 1, 2, 3, 4]);
/// // A client sent it, and a server receives it.
/// assert_eq!(FrameHeader::decode(bytes, Role::Server), Ok(Some((header, 8))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether the message ends with this frame (FIN).
    pub is_final: bool,
    /// Whether the message is compressed (RSV1; RFC 7692, 6). Set in the first frame of a message only.
    pub is_compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// What the payload is masked with. Clients mask, servers do not.
    pub mask: Option<[u8; 4]>,
    /// The length of the payload, in bytes: less than 2^63.
    pub length: u64,
}

impl FrameHeader {
    /// The length of the longest header, in bytes.
    pub const MAX_LENGTH: usize = 14;

    /// The longest payload of a close, a ping or a pong, in bytes (RFC 6455, 5.5).
    pub const MAX_CONTROL_LENGTH: usize = 125;

    /// Takes the header apart that `bytes` begin with, as `role` receives it, and says how long it is; `None`: more
    /// bytes are needed.
    ///
    /// Each rule is checked at the first byte that can break it, whether or not the header is whole.
    ///
    /// # Errors
    /// The header breaks a rule of RFC 6455, 5.2 to 5.5: reserved bits and opcodes, control frames that are fragmented
    /// or long, a length that is not encoded in the fewest bytes, a mask that is missing or should not be there.
    pub fn decode(bytes: &[u8], role: Role) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
            return Err(Violation::ReservedOpcode(first & 0x0f));
        };
        let is_final = first & FIN != 0;
        let is_compressed = first & RSV1 != 0;
        let may_be_compressed = matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & (RSV2 | RSV3) != 0 || is_compressed && !may_be_compressed {
            return Err(Violation::ReservedBits);
        }
        if opcode.is_control() && !is_final {
            return Err(Violation::FragmentedControl);
        }

        let Some(&second) = bytes.get(1) else { return Ok(None) };
        match (role, second & MASK != 0) {
            (Role::Server, false) => return Err(Violation::MaskMissing),
            (Role::Client, true) => return Err(Violation::Masked),
            _ => (),
        }
        let short = second & !MASK;
        if opcode.is_control() && usize::from(short) > Self::MAX_CONTROL_LENGTH {
            return Err(Violation::LongControl);
        }

        let (length, end) = match short {
            126 => {
                let Some(field) = bytes[2..].first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*field)), 4)
            }
            127 => {
                if bytes.get(2).is_some_and(|first| first & 0x80 != 0) {
                    return Err(Violation::LengthNegative);
                }
                let Some(field) = bytes[2..].first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*field), 10)
            }
            _ => (u64::from(short), 2),
        };
        let is_minimal = match short {
            126 => length > 125,
            127 => length > 0xffff,
            _ => true,
        };
        if !is_minimal {
            return Err(Violation::LengthNotMinimal);
        }

        let (mask, end) = match role {
            Role::Client => (None, end),
            Role::Server => match bytes[end..].first_chunk() {
                Some(mask) => (Some(*mask), end + 4),
                None => return Ok(None),
            },
        };
        Ok(Some((Self { is_final, is_compressed, opcode, mask, length }, end)))
    }

    /// Puts the header into `buffer`, and gives the part of it that is filled.
    ///
    /// Nothing is checked: what breaks a rule, the peer refuses.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; Self::MAX_LENGTH]) -> &'b [u8] {
        let is_final = if self.is_final { FIN } else { 0 };
        let is_compressed = if self.is_compressed { RSV1 } else { 0 };
        let is_masked = if self.mask.is_some() { MASK } else { 0 };
        buffer[0] = is_final | is_compressed | self.opcode.bits();
        let mut end = if self.length <= 125 {
            buffer[1] = is_masked | self.length as u8;
            2
        } else if let Ok(length) = u16::try_from(self.length) {
            buffer[1] = is_masked | 126;
            buffer[2..4].copy_from_slice(&length.to_be_bytes());
            4
        } else {
            buffer[1] = is_masked | 127;
            buffer[2..10].copy_from_slice(&self.length.to_be_bytes());
            10
        };
        if let Some(mask) = self.mask {
            buffer[end..end + 4].copy_from_slice(&mask);
            end += 4;
        }
        &buffer[..end]
    }
}

const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
const RSV2: u8 = 0x20;
const RSV3: u8 = 0x10;
const MASK: u8 = 0x80;
