//! What clients send.

use super::arguments::Line;
use super::framing::{Framing, Grammar, Head};
use super::headers::check_block;
use super::limits::{Limits, limit_setters};
use super::output::Output;
use super::subject::{check_queue_group, check_subject, check_subscription};
use super::{CodecError, Rule};
use crate::codec::{Decoder, Encoder};

/// An operation that a client sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientOp<'a> {
    /// `CONNECT`: who the client is and what it wants, as JSON ([`ConnectInfo`](super::ConnectInfo)).
    Connect(&'a [u8]),
    /// `PUB` and `HPUB`: a message for whoever has subscribed to its subject.
    Pub(Pub<'a>),
    /// `SUB`: messages of a subject are to be delivered under an id.
    Sub {
        /// The subject, which may have wildcards.
        subject: &'a [u8],
        /// The group whose members share the messages.
        queue: Option<&'a [u8]>,
        /// The id that its messages come with.
        sid: u64,
    },
    /// `UNSUB`: the end of a subscription.
    Unsub {
        /// The id of the subscription.
        sid: u64,
        /// `Some`: only once so many messages were delivered, from its beginning.
        max: Option<u64>,
    },
    /// `PING`: to be answered with `PONG`.
    Ping,
    /// `PONG`: the answer to a `PING`.
    Pong,
}

/// A message to publish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pub<'a> {
    /// Where to.
    pub subject: &'a [u8],
    /// Where its answer goes.
    pub reply: Option<&'a [u8]>,
    /// The headers as they are sent, from `NATS/1.0` to the empty line: those of
    /// [`Headers::as_bytes`](super::Headers::as_bytes).
    pub headers: Option<&'a [u8]>,
    /// What is published.
    pub payload: &'a [u8],
}

/// Puts operations of a client into a byte stream.
///
/// Whatever is made of others' text is checked: a subject with a line end in it could otherwise begin an operation of
/// its own.
///
/// ```
/// use wharf_protocols::codec::Encoder;
/// use wharf_protocols::nats::codec::{ClientOp, ClientOpEncoder, CodecError, Pub};
///
/// # fn main() -> Result<(), CodecError> {
/// let mut encoder = ClientOpEncoder::new();
/// let mut output = Vec::new();
/// let message = Pub { subject: b"orders.7", payload: b"hello", ..Pub::default() };
/// encoder.encode(&ClientOp::Pub(message), &mut output)?;
/// assert_eq!(output, b"PUB orders.7 5\r\nhello\r\n");
///
/// let injected = Pub { subject: b"a 0\r\n\r\nPUB b", ..Pub::default() };
/// assert!(encoder.encode(&ClientOp::Pub(injected), &mut output).is_err());
/// assert_eq!(output, b"PUB orders.7 5\r\nhello\r\n");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ClientOpEncoder {
    limits: Limits,
}

impl ClientOpEncoder {
    /// An encoder that takes control lines of
    /// [`DEFAULT_MAX_SENT_CONTROL_LINE`](super::DEFAULT_MAX_SENT_CONTROL_LINE) bytes. Set
    /// [`max_payload`](Self::max_payload) to what the server's `INFO` says.
    pub const fn new() -> Self {
        Self { limits: Limits::ENCODER }
    }

    limit_setters!(limits);

    /// Appends a `PUB` or `HPUB`: [`encode`](Encoder::encode) without an operation around the message.
    ///
    /// # Errors
    /// Those of `encode`.
    pub fn publish(&self, message: &Pub<'_>, output: &mut Vec<u8>) -> Result<(), CodecError> {
        check_subject(message.subject)?;
        message.reply.map_or(Ok(()), check_subject)?;
        message.headers.map_or(Ok(()), check_block)?;
        let mut output = Output::new(output, &self.limits);
        output.word(if message.headers.is_some() { b"HPUB" } else { b"PUB" });
        output.argument(message.subject);
        if let Some(reply) = message.reply {
            output.argument(reply);
        }
        output.body(message.headers, message.payload)?;
        output.finish()
    }
}

impl Default for ClientOpEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder<ClientOp<'_>> for ClientOpEncoder {
    type Error = CodecError;

    fn encode(&mut self, op: &ClientOp<'_>, output: &mut Vec<u8>) -> Result<(), CodecError> {
        if let ClientOp::Pub(message) = op {
            return self.publish(message, output);
        }
        let mut output = Output::new(output, &self.limits);
        match *op {
            ClientOp::Connect(json) => output.text(b"CONNECT", json)?,
            ClientOp::Sub { subject, queue, sid } => {
                check_subscription(subject)?;
                queue.map_or(Ok(()), check_queue_group)?;
                output.word(b"SUB");
                output.argument(subject);
                if let Some(queue) = queue {
                    output.argument(queue);
                }
                output.number(sid);
            }
            ClientOp::Unsub { sid, max } => {
                output.word(b"UNSUB");
                output.number(sid);
                if let Some(max) = max {
                    output.number(max);
                }
            }
            ClientOp::Ping => output.word(b"PING"),
            ClientOp::Pong => output.word(b"PONG"),
            ClientOp::Pub(_) => unreachable!("it has returned"),
        }
        output.finish()
    }
}

/// Takes the operations of a client out of a byte stream: for servers, and for tests of clients.
///
/// Framing and limits are those of [`ServerOpDecoder`](super::ServerOpDecoder). Ids of subscriptions must be
/// numbers, as those of all well-known clients are.
#[derive(Clone, Debug)]
pub struct ClientOpDecoder {
    framing: Framing,
}

impl ClientOpDecoder {
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
}

impl Default for ClientOpDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for ClientOpDecoder {
    type Frame<'a> = ClientOp<'a>;
    type Error = CodecError;

    /// As for every decoder; after an error all calls give the same one.
    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<ClientOp<'a>>, CodecError> {
        self.framing.next::<Clients>(input)
    }

    fn finish(&mut self) -> Result<Option<ClientOp<'_>>, CodecError> {
        self.framing.finish().map(|()| None)
    }

    fn buffered(&self) -> &[u8] {
        self.framing.buffered()
    }

    fn take_remainder(&mut self) -> Vec<u8> {
        self.framing.take_remainder()
    }
}

struct Clients;

impl Grammar for Clients {
    type Op<'a> = ClientOp<'a>;

    fn head<'a>(line: &'a [u8], limits: &Limits) -> Result<Head<ClientOp<'a>>, CodecError> {
        let line = Line::new(line);
        let op = if line.is(b"PUB") {
            let ([subject, second, third], count) = line.arguments::<2, 3>()?;
            let (reply, size) = if count == 3 { (Some(second), third) } else { (None, second) };
            let body = Some((0, line.size(size, limits)?));
            let message = Pub { subject, reply, headers: None, payload: &[] };
            return Ok(Head { op: ClientOp::Pub(message), body });
        } else if line.is(b"HPUB") {
            let ([subject, second, third, fourth], count) = line.arguments::<3, 4>()?;
            let (reply, headers, total) =
                if count == 4 { (Some(second), third, fourth) } else { (None, second, third) };
            let body = Some(line.sizes(headers, total, limits)?);
            let message = Pub { subject, reply, headers: Some(&[]), payload: &[] };
            return Ok(Head { op: ClientOp::Pub(message), body });
        } else if line.is(b"SUB") {
            let ([subject, second, third], count) = line.arguments::<2, 3>()?;
            let (queue, sid) = if count == 3 { (Some(second), third) } else { (None, second) };
            ClientOp::Sub { subject, queue, sid: line.number(sid)? }
        } else if line.is(b"UNSUB") {
            let ([sid, max], count) = line.arguments::<1, 2>()?;
            let max = if count == 2 { Some(line.number(max)?) } else { None };
            ClientOp::Unsub { sid: line.number(sid)?, max }
        } else if line.is(b"PING") {
            line.arguments::<0, 0>().map(|_| ClientOp::Ping)?
        } else if line.is(b"PONG") {
            line.arguments::<0, 0>().map(|_| ClientOp::Pong)?
        } else if line.is(b"CONNECT") {
            ClientOp::Connect(line.rest())
        } else {
            return Err(CodecError::new(0, Rule::Operation));
        };
        Ok(Head::alone(op))
    }

    fn fill<'a>(op: &mut ClientOp<'a>, headers: &'a [u8], payload: &'a [u8]) {
        if let ClientOp::Pub(message) = op {
            message.headers = message.headers.map(|_| headers);
            message.payload = payload;
        }
    }
}
