//! What servers send.

use super::arguments::Line;
use super::framing::{Framing, Grammar, Head};
use super::headers::check_block;
use super::limits::{Limits, limit_setters};
use super::output::Output;
use super::subject::check_subject;
use super::{CodecError, Rule};
use crate::codec::{Decoder, Encoder};

/// An operation that a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerOp<'a> {
    /// `INFO`: what the server is and wants, as JSON ([`ServerInfo`](super::ServerInfo)). The first operation of each
    /// connection; it comes again when members of the cluster come and go.
    Info(&'a [u8]),
    /// `MSG` and `HMSG`: a message for a subscription.
    Msg(Msg<'a>),
    /// `PING`: to be answered with `PONG`.
    Ping,
    /// `PONG`: the answer to a `PING`.
    Pong,
    /// `+OK`: the answer to each operation of a verbose connection.
    Ok,
    /// `-ERR`: what the server refuses, without the quotes around it. Most end the connection.
    Err(&'a [u8]),
}

/// A message for a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msg<'a> {
    /// Where it was published.
    pub subject: &'a [u8],
    /// The subscription that it is for.
    pub sid: u64,
    /// Where its answer goes.
    pub reply: Option<&'a [u8]>,
    /// The headers as they were sent, from `NATS/1.0` to the empty line, for
    /// [`HeaderBlock::parse`](super::HeaderBlock::parse). `None`: it came as `MSG`.
    pub headers: Option<&'a [u8]>,
    /// What was published.
    pub payload: &'a [u8],
}

/// Takes the operations of a server out of a byte stream: the client's side of the codec.
///
/// A message that lies whole in an input is lent from there. Names of operations may be in any case; lines must end with
/// `\r\n`. The decoder keeps at most a control line and a message of the limits' lengths, and nothing between two
/// operations.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::nats::codec::{CodecError, ServerOp, ServerOpDecoder};
///
/// # fn main() -> Result<(), CodecError> {
/// let mut decoder = ServerOpDecoder::new().max_payload(1024 * 1024);
/// let mut input = &b"PING\r\nMSG orders.7 1 5\r\nhello\r\nMSG ord"[..];
/// assert_eq!(decoder.decode(&mut input)?, Some(ServerOp::Ping));
/// let Some(ServerOp::Msg(message)) = decoder.decode(&mut input)? else { panic!() };
/// assert_eq!((message.subject, message.sid, message.payload), (&b"orders.7"[..], 1, &b"hello"[..]));
/// assert_eq!(decoder.decode(&mut input)?, None);
/// assert_eq!(decoder.buffered(), b"MSG ord");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ServerOpDecoder {
    framing: Framing,
}

impl ServerOpDecoder {
    /// A decoder with the default limits.
    pub const fn new() -> Self {
        Self { framing: Framing::new() }
    }

    limit_setters!(framing.limits);

    /// The memory held, in bytes: at most twice what has come of an operation that is not whole; 0 between two, when the
    /// last one is no longer lent.
    pub fn buffer_capacity(&self) -> usize {
        self.framing.capacity()
    }

    #[cfg(test)]
    pub(super) fn framing(&self) -> &Framing {
        &self.framing
    }
}

impl Default for ServerOpDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for ServerOpDecoder {
    type Frame<'a> = ServerOp<'a>;
    type Error = CodecError;

    /// As for every decoder; after an error all calls give the same one.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<ServerOp<'a>>, CodecError> {
        self.framing.next::<Servers>(input)
    }

    fn finish(&mut self) -> Result<Option<ServerOp<'_>>, CodecError> {
        self.framing.finish().map(|()| None)
    }

    fn buffered(&self) -> &[u8] {
        self.framing.buffered()
    }

    fn take_remainder(&mut self) -> Vec<u8> {
        self.framing.take_remainder()
    }
}

/// Puts operations of a server into a byte stream: for servers, and for tests of clients.
///
/// # Errors
/// What the decoder with the same limits would refuse or take apart differently is refused: subjects and reply
/// subjects that are none, malformed headers, texts and JSON with line ends, sizes above the limits.
#[derive(Clone, Copy, Debug)]
pub struct ServerOpEncoder {
    limits: Limits,
}

impl ServerOpEncoder {
    /// An encoder with the limits of the decoder.
    pub const fn new() -> Self {
        Self { limits: Limits::DECODER }
    }

    limit_setters!(limits);
}

impl Default for ServerOpEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder<ServerOp<'_>> for ServerOpEncoder {
    type Error = CodecError;

    fn encode(&mut self, op: &ServerOp<'_>, output: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut output = Output::new(output, &self.limits);
        match op {
            ServerOp::Info(json) => output.text(b"INFO", json)?,
            ServerOp::Msg(message) => {
                check_subject(message.subject)?;
                message.reply.map_or(Ok(()), check_subject)?;
                message.headers.map_or(Ok(()), check_block)?;
                let name = if message.headers.is_some() { "HMSG" } else { "MSG" };
                output.word(name.as_bytes());
                output.argument(message.subject);
                output.number(message.sid);
                if let Some(reply) = message.reply {
                    output.argument(reply);
                }
                output.body(message.headers, message.payload)?;
            }
            ServerOp::Ping => output.word(b"PING"),
            ServerOp::Pong => output.word(b"PONG"),
            ServerOp::Ok => output.word(b"+OK"),
            ServerOp::Err(text) => {
                if text.contains(&b'\'') {
                    return Err(CodecError::new(0, Rule::Text));
                }
                output.text(b"-ERR", &[b"'", *text, b"'"].concat())?;
            }
        }
        output.finish()
    }
}

struct Servers;

impl Grammar for Servers {
    type Op<'a> = ServerOp<'a>;

    fn head<'a>(line: &'a [u8], limits: &Limits) -> Result<Head<ServerOp<'a>>, CodecError> {
        let line = Line::new(line);
        if line.is(b"MSG") {
            let ([subject, sid, third, fourth], count) = line.arguments::<3, 4>()?;
            let (reply, size) = if count == 4 { (Some(third), fourth) } else { (None, third) };
            let size = line.size(size, limits)?;
            let sid = line.number(sid)?;
            let message = Msg { subject, sid, reply, headers: None, payload: &[] };
            return Ok(Head { op: ServerOp::Msg(message), body: Some((0, size)) });
        }
        if line.is(b"HMSG") {
            let ([subject, sid, third, fourth, fifth], count) = line.arguments::<4, 5>()?;
            let (reply, headers, total) =
                if count == 5 { (Some(third), fourth, fifth) } else { (None, third, fourth) };
            let sizes = line.sizes(headers, total, limits)?;
            let sid = line.number(sid)?;
            let message = Msg { subject, sid, reply, headers: Some(&[]), payload: &[] };
            return Ok(Head { op: ServerOp::Msg(message), body: Some(sizes) });
        }
        let op = if line.is(b"PING") {
            line.arguments::<0, 0>().map(|_| ServerOp::Ping)?
        } else if line.is(b"PONG") {
            line.arguments::<0, 0>().map(|_| ServerOp::Pong)?
        } else if line.is(b"+OK") {
            line.arguments::<0, 0>().map(|_| ServerOp::Ok)?
        } else if line.is(b"INFO") {
            ServerOp::Info(line.rest())
        } else if line.is(b"-ERR") {
            ServerOp::Err(without_quotes(line.rest()))
        } else {
            return Err(CodecError::new(0, Rule::Operation));
        };
        Ok(Head::alone(op))
    }

    fn fill<'a>(op: &mut ServerOp<'a>, headers: &'a [u8], payload: &'a [u8]) {
        if let ServerOp::Msg(message) = op {
            message.headers = message.headers.map(|_| headers);
            message.payload = payload;
        }
    }
}

fn without_quotes(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_end();
    match text {
        [b'\'', inner @ .., b'\''] => inner,
        _ => text,
    }
}
