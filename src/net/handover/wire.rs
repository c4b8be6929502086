//! The format of what predecessor and successor say to each other.
//!
//! A frame is one byte for its kind, two (big-endian) for the length of its content, and the
//! content. A frame that hands something over carries one descriptor with its first byte.

use std::fmt;
use std::str;

/// What a request begins with, so that nothing else is taken for one.
const MAGIC: &[u8] = b"wharf handover\0";

/// The longest content there is.
pub(super) const MOST_CONTENT: usize = 2048;

/// The longest name of a server, in bytes.
pub(super) const MOST_NAME: usize = 255;

/// The one version there is so far.
pub(super) const VERSION: u16 = 1;

const HEADER: usize = 3;

/// One message of the handover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The successor asks.
    Request {
        /// The first version that it speaks.
        lowest: u16,
        /// The last one.
        highest: u16,
    },
    /// The predecessor offers.
    Hello {
        /// The version that both speak.
        version: u16,
    },
    /// Carries a listener.
    Listener {
        /// The name of its server.
        server: String,
        /// Whether its path is to be removed at its end.
        removes_path: bool,
    },
    /// Carries the listener of the control socket.
    Control,
    /// There are no more listeners.
    End,
    /// The successor serves.
    Serving,
    /// Carries a connection that was accepted, but nothing more.
    Connection {
        /// The name of its server.
        server: String,
    },
    /// There are no more connections: the predecessor is done.
    Released,
    /// The predecessor goes on as if nobody had asked.
    Refused {
        /// Why, for people.
        reason: String,
    },
}

impl Frame {
    /// Appends the frame to `out`. A reason that is too long is cut.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut content = Vec::new();
        match self {
            Self::Request { lowest, highest } => {
                content.extend_from_slice(MAGIC);
                content.extend_from_slice(&lowest.to_be_bytes());
                content.extend_from_slice(&highest.to_be_bytes());
            }
            Self::Hello { version } => content.extend_from_slice(&version.to_be_bytes()),
            Self::Listener { server, removes_path } => {
                content.push(u8::from(*removes_path));
                content.extend_from_slice(server.as_bytes());
            }
            Self::Connection { server } => content.extend_from_slice(server.as_bytes()),
            Self::Refused { reason } => {
                let mut end = reason.len().min(MOST_CONTENT);
                while !reason.is_char_boundary(end) {
                    end -= 1;
                }
                content.extend_from_slice(&reason.as_bytes()[..end]);
            }
            Self::Control | Self::End | Self::Serving | Self::Released => {}
        }
        content.truncate(MOST_CONTENT);
        out.push(self.kind());
        out.extend_from_slice(&(content.len() as u16).to_be_bytes());
        out.extend_from_slice(&content);
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Request { .. } => 1,
            Self::Hello { .. } => 2,
            Self::Listener { .. } => 3,
            Self::Control => 4,
            Self::End => 5,
            Self::Serving => 6,
            Self::Connection { .. } => 7,
            Self::Released => 8,
            Self::Refused { .. } => 9,
        }
    }

    fn decode(kind: u8, content: &[u8]) -> Result<Self, FrameError> {
        let malformed = FrameError(Problem::Malformed(kind));
        let frame = match (kind, content) {
            (1, _) => match content.strip_prefix(MAGIC) {
                Some(&[a, b, c, d]) => Self::Request {
                    lowest: u16::from_be_bytes([a, b]),
                    highest: u16::from_be_bytes([c, d]),
                },
                _ => return Err(malformed),
            },
            (2, &[a, b]) => Self::Hello { version: u16::from_be_bytes([a, b]) },
            (3, [removes_path @ (0 | 1), server @ ..]) => {
                Self::Listener { server: name(kind, server)?, removes_path: *removes_path == 1 }
            }
            (4, []) => Self::Control,
            (5, []) => Self::End,
            (6, []) => Self::Serving,
            (7, server) => Self::Connection { server: name(kind, server)? },
            (8, []) => Self::Released,
            (9, reason) => {
                let reason = str::from_utf8(reason).map_err(|_| malformed)?;
                Self::Refused { reason: reason.to_owned() }
            }
            (1..=9, _) => return Err(malformed),
            _ => return Err(FrameError(Problem::Unknown(kind))),
        };
        Ok(frame)
    }
}

/// Takes frames out of a stream of bytes that is cut anywhere.
///
/// It holds less than one frame, 2 KiB at most, besides what [`push`](Self::push) was given last.
#[derive(Debug, Default)]
pub(super) struct FrameDecoder {
    buffer: Vec<u8>,
    taken: usize,
}

impl FrameDecoder {
    /// Takes further bytes in.
    pub(super) fn push(&mut self, data: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.taken));
        self.buffer.extend_from_slice(data);
    }

    /// The next frame; `None` while it is not complete.
    ///
    /// # Errors
    /// What is no frame. It stays where it is: the stream makes no sense from there on.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = &self.buffer[self.taken..];
        // Told by the first byte, however the stream is cut.
        match rest.first() {
            None => return Ok(None),
            Some(1..=9) => {}
            Some(kind) => return Err(FrameError(Problem::Unknown(*kind))),
        }
        let &[kind, high, low, ref after @ ..] = rest else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > MOST_CONTENT {
            return Err(FrameError(Problem::TooLong(length)));
        }
        let Some(content) = after.get(..length) else { return Ok(None) };
        let frame = Frame::decode(kind, content)?;
        self.taken += HEADER + length;
        Ok(Some(frame))
    }
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameError(Problem);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Unknown(u8),
    TooLong(usize),
    Malformed(u8),
}

impl fmt::Display for FrameError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Problem::Unknown(kind) => write!(formatter, "there is no frame of kind {kind}"),
            Problem::TooLong(length) => write!(formatter, "a frame of {length} bytes is too long"),
            Problem::Malformed(kind) => write!(formatter, "a frame of kind {kind} is malformed"),
        }
    }
}

impl std::error::Error for FrameError {}

fn name(kind: u8, bytes: &[u8]) -> Result<String, FrameError> {
    match str::from_utf8(bytes) {
        Ok(name) if (1..=MOST_NAME).contains(&name.len()) => Ok(name.to_owned()),
        _ => Err(FrameError(Problem::Malformed(kind))),
    }
}
