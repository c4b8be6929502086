use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{ByteStream, Result, StreamReader, StreamWriter};

use super::super::{
    Headers, HttpError, Limits, RequestEncoder, RequestEvent, RequestHead, ResponseDecoder,
    ResponseEvent, ResponseHead, Rule,
};
use super::HttpClientError;
use super::body::Upload;
use super::sending::Sending;
use crate::codec::{Decoder, Encoder};

/// One connection to a server, on a stream: requests one after the other. What [`HttpClient`](super::HttpClient) is made of,
/// for those who choose their connections themselves.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf_protocols::http::{
///     Headers, HttpClientConnection, HttpServer, RequestBody, RequestHead, ResponseEvent, Version,
/// };
/// use wharf::ByteStream;
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let service = async |_: http::Request<RequestBody>| http::Response::new("hello");
///     event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
///
///     let (reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
///     let mut connection = HttpClientConnection::new(ByteStream::join(reader, writer));
///     let fields = [("Host", &b"10.0.0.1"[..])];
///     let head = RequestHead::new("GET", "/", Version::Http11, Headers::new(&fields)?)?;
///     connection.send(&head, b"").await?;
///     let status = connection.head(|head| head.status()).await?;
///     assert_eq!(status, 200);
///     assert_eq!(connection.data().await?.unwrap(), "hello");
///     assert!(connection.data().await?.is_none() && connection.is_reusable());
///     Ok(())
/// })
/// # }
/// ```
///
/// Dropping it closes the connection.
pub struct HttpClientConnection {
    reader: StreamReader,
    writer: Rc<StreamWriter>,
    incoming: Incoming,
    sending: Sending,
    encoder: RequestEncoder,
    limits: Option<Limits>,
    trailers: Option<http::HeaderMap>,
}

/// What is known of the answer under way.
struct Incoming {
    decoder: ResponseDecoder,
    /// The server lets the connection go on.
    keeps_alive: bool,
    is_over: bool,
    /// Something of the answer has come.
    has_spoken: bool,
    is_tunnel: bool,
    is_connect: bool,
    /// The request asks to go on by another protocol.
    is_upgrade: bool,
    /// The answer says that the request failed.
    is_refusal: bool,
    /// The server wants the content, or was not asked.
    may_continue: Rc<Cell<bool>>,
}

/// Interim heads before a head.
const MOST_INTERIM: usize = 16;

impl HttpClientConnection {
    /// A connection that is new.
    pub fn new(stream: ByteStream) -> Self {
        let incoming = Incoming {
            decoder: ResponseDecoder::new(),
            keeps_alive: true,
            is_over: true,
            has_spoken: false,
            is_tunnel: false,
            is_connect: false,
            is_upgrade: false,
            is_refusal: false,
            may_continue: Rc::new(Cell::new(true)),
        };
        let (reader, writer) = stream.split();
        Self {
            reader,
            writer: Rc::new(writer),
            incoming,
            sending: Sending::default(),
            encoder: RequestEncoder::new(),
            limits: None,
            trailers: None,
        }
    }

    /// Sets what the server may send at most.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.set_limits(limits);
        self
    }

    /// Sets what the server may send at most, between two answers.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        if self.limits.replace(limits) != Some(limits) {
            self.incoming.decoder = ResponseDecoder::new().limits(limits);
        }
    }

    /// Sends a request with all of its content.
    ///
    /// # Errors
    /// The last answer is not read to its end; content of another length than the head says; the connection is gone.
    pub async fn send(
        &mut self,
        head: &RequestHead<'_>,
        content: &[u8],
    ) -> Result<(), HttpClientError> {
        let mut output = Vec::new();
        self.begin(head, &mut output)?;
        self.encoder.encode(&RequestEvent::Data(content), &mut output)?;
        self.encoder.encode(&RequestEvent::End, &mut output)?;
        self.writer.write_all(&output).await?;
        self.sending.is_sent = true;
        Ok(())
    }

    /// The head of the answer, lent to `look`; interim heads are left out, at most 16.
    ///
    /// # Errors
    /// An answer that breaks a rule; a switch to another protocol that nobody has asked for; the connection is gone.
    pub async fn head<R>(
        &mut self,
        look: impl FnMut(&ResponseHead<'_>) -> R,
    ) -> Result<R, HttpClientError> {
        Ok(self.incoming.head(&mut self.reader, look).await?)
    }

    /// Some of the content of the answer; `None` at its end.
    ///
    /// # Errors
    /// An answer that breaks a rule; the connection is gone before its end.
    pub async fn data(&mut self) -> Result<Option<Bytes>, HttpClientError> {
        loop {
            if self.incoming.is_over {
                return Ok(None);
            }
            let Self { reader, incoming, sending, .. } = self;
            let may_continue = Rc::clone(&incoming.may_continue);
            let mut trailers = None;
            let step = incoming.step(reader, |event| match event {
                ResponseEvent::Data(data) => Some(Bytes::copy_from_slice(data)),
                ResponseEvent::Trailers(fields) => {
                    trailers = Some(fields.to_map());
                    None
                }
                ResponseEvent::Head(_) | ResponseEvent::End => None,
            });
            let data = sending.while_receiving(&may_continue, step).await?.flatten();
            if trailers.is_some() {
                self.trailers = trailers;
            }
            if data.is_some() {
                return Ok(data);
            }
        }
    }

    /// The fields behind the content, once.
    pub fn take_trailers(&mut self) -> Option<http::HeaderMap> {
        self.trailers.take()
    }

    /// Whether another request can be sent: the last one was sent and its answer read to the end, both let the connection go
    /// on, and it is open.
    pub fn is_reusable(&mut self) -> bool {
        let incoming = &self.incoming;
        let is_ready =
            incoming.is_over && self.sending.is_sent && incoming.keeps_alive && !incoming.is_tunnel;
        // Bytes that nobody has asked for belong to no answer.
        let is_quiet = self.reader.buffered() == 0 && !self.reader.at_eof();
        is_ready && is_quiet && !self.writer.is_closing()
    }

    /// The stream, after an answer that switched to another protocol (101, or 2xx to CONNECT). What has come behind the
    /// answer is read from it.
    pub fn into_stream(self) -> ByteStream {
        let Self { reader, writer, sending, .. } = self;
        drop(sending);
        match Rc::try_unwrap(writer) {
            Ok(writer) => ByteStream::join(reader, writer),
            Err(_) => unreachable!("only a request on its way shares it"),
        }
    }

    /// Whether the answer switched to another protocol.
    pub(super) fn is_tunnel(&self) -> bool {
        self.incoming.is_tunnel
    }

    /// Whether the connection ended without a word.
    pub(super) fn is_silent(&mut self) -> bool {
        let is_ended = self.reader.at_eof() || self.writer.is_closing();
        !self.incoming.has_spoken && is_ended
    }

    /// Begins a request.
    pub(super) fn begin(
        &mut self,
        head: &RequestHead<'_>,
        output: &mut Vec<u8>,
    ) -> Result<(), HttpError> {
        if !self.incoming.is_over || !self.sending.is_sent {
            return Err(HttpError::of(Rule::Order));
        }
        self.encoder.encode(&RequestEvent::Head(*head), output)?;
        let incoming = &mut self.incoming;
        incoming.decoder.answers_to(head.method());
        incoming.is_connect = head.method() == "CONNECT";
        incoming.keeps_alive = head.is_kept_alive();
        incoming.is_upgrade = head.is_upgrade();
        (incoming.is_over, incoming.has_spoken, incoming.is_refusal) = (false, false, false);
        incoming.may_continue.set(true);
        self.sending.is_sent = false;
        self.trailers = None;
        Ok(())
    }

    /// What the rest of a request is written with, after [`begin`](Self::begin).
    pub(super) fn outgoing(&mut self) -> (Rc<StreamWriter>, RequestEncoder) {
        (Rc::clone(&self.writer), std::mem::take(&mut self.encoder))
    }

    /// Lets the content wait until the server says that it wants it: the value is true from then on.
    pub(super) fn ask_first(&mut self) -> Rc<Cell<bool>> {
        self.incoming.may_continue.set(false);
        Rc::clone(&self.incoming.may_continue)
    }

    /// Sends a request while the head of the answer is awaited. A server may answer before it has all: then the rest is sent
    /// while the content of the answer is read, unless the server does not want it.
    pub(super) async fn send_and_receive<R>(
        &mut self,
        upload: Upload,
        look: impl FnMut(&ResponseHead<'_>) -> R,
    ) -> Result<R> {
        let Self { reader, incoming, sending, .. } = self;
        let may_continue = Rc::clone(&incoming.may_continue);
        sending.begin(upload);
        let outcome = sending.while_receiving(&may_continue, incoming.head(reader, look)).await;
        if incoming.is_refusal || incoming.is_tunnel || !may_continue.get() {
            sending.give_up();
        }
        outcome
    }
}

impl Incoming {
    async fn head<R>(
        &mut self,
        reader: &mut StreamReader,
        mut look: impl FnMut(&ResponseHead<'_>) -> R,
    ) -> Result<R> {
        let mut interim = 0;
        loop {
            let method = if self.is_connect { "CONNECT" } else { "GET" };
            let is_upgrade = self.is_upgrade;
            let may_continue = Rc::clone(&self.may_continue);
            let seen = self.step(reader, |event| match event {
                ResponseEvent::Head(head) if head.is_interim() => {
                    may_continue.set(may_continue.get() || head.status() == 100);
                    Err(None)
                }
                ResponseEvent::Head(head) if head.status() == 101 && !is_upgrade => {
                    Err(Some(HttpError::of(Rule::AfterUpgrade)))
                }
                ResponseEvent::Head(head) => Ok((
                    look(&head),
                    head.is_kept_alive(),
                    head.is_tunnel(method),
                    head.status() >= 400,
                )),
                _ => Err(Some(HttpError::of(Rule::Order))),
            });
            match seen.await? {
                Some(Ok((seen, keeps_alive, is_tunnel, is_refusal))) => {
                    self.keeps_alive &= keeps_alive;
                    (self.is_tunnel, self.is_refusal) = (is_tunnel, is_refusal);
                    // What follows a switch is no more of this.
                    self.is_over |= is_tunnel;
                    return Ok(seen);
                }
                Some(Err(None)) if interim < MOST_INTERIM => interim += 1,
                Some(Err(None)) => return Err(HttpError::of(Rule::HeadTooLarge).into()),
                Some(Err(Some(error))) => return Err(error.into()),
                None => {}
            }
        }
    }

    /// One event, if there is one in what comes next.
    async fn step<R>(
        &mut self,
        reader: &mut StreamReader,
        look: impl FnOnce(ResponseEvent<'_>) -> R,
    ) -> Result<Option<R>> {
        // What is decoded already comes before what is to be waited for.
        let mut nothing = &b""[..];
        if self.has_spoken
            && let Some(event) = self.decoder.decode(&mut nothing)?
        {
            self.is_over |= event == ResponseEvent::End;
            return Ok(Some(look(event)));
        }
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return match self.decoder.finish()? {
                Some(event) => {
                    self.is_over |= event == ResponseEvent::End;
                    self.keeps_alive = false;
                    Ok(Some(look(event)))
                }
                None => Err(HttpClientError::NoResponse.into()),
            };
        }
        self.has_spoken = true;
        let mut input = chunk;
        let length = chunk.len();
        let event = self.decoder.decode(&mut input)?;
        let used = length - input.len();
        let seen = event.map(|event| {
            self.is_over |= event == ResponseEvent::End;
            look(event)
        });
        reader.consume(used);
        Ok(seen)
    }
}

impl fmt::Debug for HttpClientConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClientConnection")
            .field("is_over", &self.incoming.is_over)
            .finish_non_exhaustive()
    }
}

/// Writes content piece by piece.
pub(super) async fn write_piece(
    writer: &StreamWriter,
    encoder: &mut RequestEncoder,
    event: RequestEvent<'_>,
) -> Result {
    let mut output = Vec::new();
    encoder.encode(&event, &mut output)?;
    if !output.is_empty() {
        writer.write_all(&output).await?;
    }
    Ok(())
}

/// The fields behind the content, or none.
pub(super) async fn write_end(
    writer: &StreamWriter,
    encoder: &mut RequestEncoder,
    trailers: &http::HeaderMap,
) -> Result {
    if !trailers.is_empty() {
        let trailers = Headers::from_map(trailers)?;
        write_piece(writer, encoder, RequestEvent::Trailers(trailers)).await?;
    }
    write_piece(writer, encoder, RequestEvent::End).await
}
