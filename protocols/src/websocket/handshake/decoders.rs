use super::head::HeadBuffer;
use super::{DEFAULT_MAX_HEAD_LENGTH, HandshakeError, UpgradeRequest, UpgradeResponse};
use crate::codec::Decoder;

/// Reads the request that a WebSocket begins with. What follows it is left in the input.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::websocket::{HandshakeError, RequestDecoder, ServerHandshake};
///
/// # fn main() -> Result<(), HandshakeError> {
/// let mut input = &b"GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\n\
///     Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
///     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x88\x80...."[..];
/// let request = RequestDecoder::new().decode(&mut input)?.expect("it is whole");
/// assert_eq!((request.path(), request.origin()), ("/chat", None));
///
/// let mut answer = Vec::new();
/// ServerHandshake::new().accept(&request)?.encode(&mut answer);
/// let answer = String::from_utf8(answer).expect("it is text");
/// assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
/// assert_eq!(input, b"\x88\x80....");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RequestDecoder(Heads);

/// Reads the answer to the request that a WebSocket begins with. What follows it is left in the input.
///
/// Its status and its fields are for [`ClientHandshake::finish`](super::ClientHandshake::finish) to judge.
#[derive(Clone, Debug)]
pub struct ResponseDecoder(Heads);

#[derive(Clone, Debug)]
struct Heads {
    buffer: HeadBuffer,
    failed: Option<HandshakeError>,
}

macro_rules! decoder {
    ($decoder:ident, $frame:ty) => {
        impl $decoder {
            /// Takes heads of at most [`DEFAULT_MAX_HEAD_LENGTH`] bytes.
            pub const fn new() -> Self {
                let buffer = HeadBuffer::new(DEFAULT_MAX_HEAD_LENGTH);
                Self(Heads { buffer, failed: None })
            }

            /// The longest head to take, in bytes.
            #[must_use]
            pub fn max_head_length(mut self, max_length: usize) -> Self {
                self.0.buffer.max_length = max_length;
                self
            }
        }

        impl Default for $decoder {
            fn default() -> Self {
                Self::new()
            }
        }

        impl Decoder for $decoder {
            type Frame<'a> = $frame;
            type Error = HandshakeError;

            fn decode<'a, 'i: 'a>(
                &'a mut self,
                input: &mut &'i [u8],
            ) -> Result<Option<$frame>, HandshakeError> {
                self.0.decode(input, <$frame>::parse)
            }

            fn finish(&mut self) -> Result<Option<$frame>, HandshakeError> {
                self.0.finish().map(|()| None)
            }

            fn buffered(&self) -> &[u8] {
                self.0.buffer.bytes()
            }

            fn take_remainder(&mut self) -> Vec<u8> {
                self.0.failed = None;
                self.0.buffer.take()
            }
        }
    };
}

decoder!(RequestDecoder, UpgradeRequest);
decoder!(ResponseDecoder, UpgradeResponse);

impl Heads {
    fn decode<T>(
        &mut self,
        input: &mut &[u8],
        parse: impl FnOnce(&[u8]) -> Result<T, HandshakeError>,
    ) -> Result<Option<T>, HandshakeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let decoded = match self.buffer.fill(input) {
            Ok(false) => return Ok(None),
            Ok(true) => parse(&self.buffer.take()).map(Some),
            Err(error) => Err(error),
        };
        if let Err(error) = &decoded {
            self.failed = Some(error.clone());
            self.buffer.take();
        }
        decoded
    }

    fn finish(&mut self) -> Result<(), HandshakeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.buffer.bytes().is_empty() {
            return Ok(());
        }
        self.failed = Some(HandshakeError::Truncated);
        Err(HandshakeError::Truncated)
    }
}
