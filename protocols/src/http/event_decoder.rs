use wharf::bytes::{Buf, Bytes};

use super::{HttpClientError, HttpError, ResponseBody, Rule};
use crate::codec::Decoder;

/// A server-sent event that was received (HTML, 9.2): what a browser calls by that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageEvent<'a> {
    event_type: &'a str,
    data: &'a str,
    last_event_id: &'a str,
}

impl<'a> MessageEvent<'a> {
    /// Its type; `message` if the server names none.
    pub const fn event_type(&self) -> &'a str {
        self.event_type
    }

    /// Its text, with `\n` between its lines.
    pub const fn data(&self) -> &'a str {
        self.data
    }

    /// The identity that the server gave last, in this event or an earlier one; empty if it gave none.
    pub const fn last_event_id(&self) -> &'a str {
        self.last_event_id
    }
}

/// Takes the events out of a stream of the type `text/event-stream` (HTML, 9.2.6), as [`ServerSentEvent`] writes it.
///
/// No stream is wrong: unknown fields and comments are left out, and what is no UTF-8 is replaced. Only an event that is
/// larger than the limit, 1 MiB unless set, ends the stream. An event that is cut off is none.
///
/// The lines of an event are taken one by one: [`buffered`](Decoder::buffered) and
/// [`take_remainder`](Decoder::take_remainder) are about a line whose end has not come.
///
/// ```
/// use wharf_protocols::codec::Decoder;
/// use wharf_protocols::http::ServerSentEventDecoder;
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let mut decoder = ServerSentEventDecoder::new();
/// let mut input = &b": hello\nevent: news\nid: 7\ndata: line 1\ndata: line 2\n\ndata: cut o"[..];
/// let event = decoder.decode(&mut input)?.unwrap();
/// assert_eq!((event.event_type(), event.data()), ("news", "line 1\nline 2"));
/// assert_eq!(decoder.decode(&mut input)?, None);
/// assert_eq!(decoder.last_event_id(), "7");
/// # Ok(())
/// # }
/// ```
///
/// [`ServerSentEvent`]: super::ServerSentEvent
#[derive(Clone, Debug)]
pub struct ServerSentEventDecoder {
    max_event: usize,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// A line feed that comes next belongs to the last line's end.
    after_return: bool,
    is_first_line: bool,
    /// Each line with a line feed.
    data: String,
    event_type: String,
    /// What the event under way says; it counts when that is whole.
    id: String,
    last_id: String,
    retry: Option<u64>,
    /// An event was lent, and makes room in the next call.
    is_lent: bool,
    position: u64,
    failed: Option<HttpError>,
}

impl ServerSentEventDecoder {
    /// A decoder for a new stream.
    pub const fn new() -> Self {
        Self {
            max_event: 1 << 20,
            line: Vec::new(),
            after_return: false,
            is_first_line: true,
            data: String::new(),
            event_type: String::new(),
            id: String::new(),
            last_id: String::new(),
            retry: None,
            is_lent: false,
            position: 0,
            failed: None,
        }
    }

    /// How many bytes an event may have, with its type, its identity and the line under way.
    #[must_use]
    pub const fn max_event(mut self, bytes: usize) -> Self {
        self.max_event = bytes;
        self
    }

    /// The identity of the last whole event, or of an earlier one. Whoever connects again sends it as `Last-Event-ID`.
    pub fn last_event_id(&self) -> &str {
        &self.last_id
    }

    /// How long the server wants one to wait before one connects again, in milliseconds.
    pub const fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// Takes lines up to the end of an event, and says whether there is one.
    fn advance(&mut self, input: &mut &[u8]) -> Result<bool, HttpError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.make_room();
        while let Some(&first) = input.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                self.take(input, 1);
                continue;
            }
            let Some(end) = memchr::memchr2(b'\r', b'\n', input) else {
                let kept = self.take(input, input.len());
                self.check(self.line.len() + kept.len())?;
                self.line.extend_from_slice(kept);
                break;
            };
            self.after_return = input[end] == b'\r';
            let line = &self.take(input, end + 1)[..end];
            self.check(self.line.len() + line.len())?;
            let is_event = if self.line.is_empty() {
                self.take_line(line)
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take_line(&whole)
            };
            if is_event {
                self.is_lent = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn take<'i>(&mut self, input: &mut &'i [u8], count: usize) -> &'i [u8] {
        let (taken, rest) = input.split_at(count);
        *input = rest;
        self.position += count as u64;
        taken
    }

    /// Looks whether there is room for a line of that length.
    fn check(&mut self, line: usize) -> Result<(), HttpError> {
        if line + self.data.len() + self.event_type.len() + self.id.len() <= self.max_event {
            return Ok(());
        }
        let error = HttpError::at(Rule::EventTooLarge, self.position);
        self.failed = Some(error);
        (self.line, self.data) = (Vec::new(), String::new());
        Err(error)
    }

    /// Takes a line without its end, and says whether it ends an event.
    fn take_line(&mut self, mut line: &[u8]) -> bool {
        if std::mem::take(&mut self.is_first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.last_id.clone_from(&self.id);
            if self.data.pop().is_some() {
                return true;
            }
            self.event_type.clear();
            return false;
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        self.take_field(name, &value);
        false
    }

    fn take_field(&mut self, name: &[u8], value: &str) {
        match name {
            b"data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            b"event" => value.clone_into(&mut self.event_type),
            b"id" if !value.contains('\0') => value.clone_into(&mut self.id),
            b"retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            _ => {}
        }
    }

    /// Gives back the memory of the event that was lent.
    fn make_room(&mut self) {
        if std::mem::take(&mut self.is_lent) {
            (self.data, self.event_type) = (String::new(), String::new());
        }
    }

    fn event(&self) -> MessageEvent<'_> {
        let event_type = if self.event_type.is_empty() { "message" } else { &self.event_type };
        MessageEvent { event_type, data: &self.data, last_event_id: &self.last_id }
    }
}

impl Default for ServerSentEventDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder for ServerSentEventDecoder {
    type Frame<'a> = MessageEvent<'a>;
    type Error = HttpError;

    fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<MessageEvent<'a>>, HttpError> {
        Ok(self.advance(input)?.then(|| self.event()))
    }

    /// A stream may end anywhere; an event that is not whole is left out.
    fn finish(&mut self) -> Result<Option<MessageEvent<'_>>, HttpError> {
        self.failed.map_or(Ok(None), Err)
    }

    fn release(&mut self) {
        self.make_room();
    }

    fn buffered(&self) -> &[u8] {
        &self.line
    }

    fn take_remainder(&mut self) -> Vec<u8> {
        let remainder = std::mem::take(&mut self.line);
        *self = Self { position: self.position, ..Self::new().max_event(self.max_event) };
        remainder
    }
}

/// The events of an answer. Made by [`ResponseBody::into_events`].
///
/// A stream that ends is to be asked for again, by a request with [`last_event_id`](Self::last_event_id) in the field
/// `Last-Event-ID`, after [`retry`](Self::retry) milliseconds; that is up to you. Dropping it closes the connection.
#[derive(Debug)]
pub struct ServerSentEvents {
    body: ResponseBody,
    decoder: ServerSentEventDecoder,
    /// What has come and is not decoded.
    rest: Bytes,
}

impl ServerSentEvents {
    /// How many bytes an event may have: 1 MiB unless set.
    #[must_use]
    pub fn max_event(mut self, bytes: usize) -> Self {
        self.decoder = self.decoder.max_event(bytes);
        self
    }

    /// The next event; `None` at the end of the stream. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Those of [`ResponseBody::next`], also when nothing comes for the client's
    /// [`body_timeout`](super::HttpClient::body_timeout); an event above the limit. Nothing follows.
    pub async fn next(&mut self) -> Option<Result<MessageEvent<'_>, HttpClientError>> {
        loop {
            let mut input = &self.rest[..];
            let advanced = self.decoder.advance(&mut input);
            let used = self.rest.len() - input.len();
            self.rest.advance(used);
            match advanced {
                Ok(true) => return Some(Ok(self.decoder.event())),
                Ok(false) => {}
                Err(error) => return Some(Err(error.into())),
            }
            match self.body.next().await? {
                Ok(more) => self.rest = more,
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// See [`ServerSentEventDecoder::last_event_id`].
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// See [`ServerSentEventDecoder::retry`].
    pub const fn retry(&self) -> Option<u64> {
        self.decoder.retry()
    }
}

/// # Server-sent events
impl ResponseBody {
    /// The content as a stream of server-sent events, whatever its type says.
    ///
    /// ```
    /// use wharf::testing::MemoryNetwork;
    /// use wharf_protocols::http::{Body, HttpClient, HttpServer, RequestBody, ServerSentEvent};
    ///
    /// # fn main() -> wharf::Result {
    /// MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///     let service = async |_: http::Request<RequestBody>| {
    ///         http::Response::new(Body::from_writer(async |writer| {
    ///             writer.send_event(&ServerSentEvent::new("hello").id("1")).await?;
    ///             Ok(())
    ///         }))
    ///     };
    ///     event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
    ///
    ///     let client = HttpClient::new(&event_loop);
    ///     let mut events = client.get("http://10.0.0.1/").await?.into_body().into_events();
    ///     while let Some(event) = events.next().await {
    ///         assert_eq!(event?.data(), "hello");
    ///     }
    ///     assert_eq!(events.last_event_id(), "1");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn into_events(self) -> ServerSentEvents {
        let (decoder, rest) = (ServerSentEventDecoder::new(), Bytes::new());
        ServerSentEvents { body: self, decoder, rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ServerSentEvent;
    use crate::testing::check_decoder;

    fn events(stream: &[u8]) -> Vec<(String, String, String)> {
        let own = |event: MessageEvent<'_>| {
            let [event_type, data, id] =
                [event.event_type(), event.data(), event.last_event_id()].map(str::to_owned);
            (event_type, data, id)
        };
        let seen = check_decoder(stream, 1 << 20, ServerSentEventDecoder::new, own);
        seen.into_iter().map(|event| event.unwrap()).collect()
    }

    fn event(event_type: &str, data: &str, id: &str) -> (String, String, String) {
        (event_type.to_owned(), data.to_owned(), id.to_owned())
    }

    /// The examples of HTML, 9.2.6.
    #[test]
    fn server_sent_events_of_the_standard_are_taken_apart() {
        let stream = b"data: YHOO\ndata: +2\ndata: 10\n\n";
        assert_eq!(events(stream), [event("message", "YHOO\n+2\n10", "")]);
        let stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        let expected = [
            event("message", "first event", "1"),
            event("message", "second event", ""),
            event("message", " third event", ""),
        ];
        assert_eq!(events(stream), expected);
        let stream = b"data\n\ndata\ndata\n\ndata:";
        assert_eq!(events(stream), [event("message", "", ""), event("message", "\n", "")]);
        let stream = b"data:test\n\ndata: test\n\n";
        assert_eq!(events(stream), [event("message", "test", ""), event("message", "test", "")]);
    }

    #[test]
    fn lines_of_events_end_in_any_way_however_they_come() {
        let stream = b"\xef\xbb\xbfevent: a\rdata: b\r\ndata: c\n\r\nid: \0\nid: 7\nretry: 1x\n\n\r\xff: x\nevent: lost\n\ndata: \xff\xe2\x82\n\n";
        let expected = [event("a", "b\nc", ""), event("message", "\u{fffd}\u{fffd}", "7")];
        assert_eq!(events(stream), expected);
        let mut decoder = ServerSentEventDecoder::new();
        let mut input = &b"retry: 250\nretry: -1\nid: 3\n\nid: 4\ndata: cut"[..];
        assert_eq!(decoder.decode(&mut input), Ok(None));
        assert_eq!((decoder.retry(), decoder.last_event_id()), (Some(250), "3"));
    }

    #[test]
    fn server_sent_events_come_out_as_they_went_in() {
        let cases = [
            ServerSentEvent::new("a\nb\n\n c").event("news").id("1"),
            ServerSentEvent::new(""),
            ServerSentEvent::new(": no comment\ndata: x").id(""),
            ServerSentEvent::new("\u{20ac}"),
        ];
        let mut stream = Vec::new();
        for case in &cases {
            case.encode(&mut stream).unwrap();
        }
        let expected = [
            event("news", "a\nb\n\n c", "1"),
            event("message", "", "1"),
            event("message", ": no comment\ndata: x", ""),
            event("message", "\u{20ac}", ""),
        ];
        assert_eq!(events(&stream), expected);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let endless: [&[u8]; 3] = [b"data: xx\n", b"x", b": "];
        for part in endless {
            let mut decoder = ServerSentEventDecoder::new().max_event(1000);
            let error = (0..2000).find_map(|_| decoder.decode(&mut &part[..]).err());
            assert_eq!(error.map(|error| error.rule), Some(Rule::EventTooLarge), "{part:?}");
            assert_eq!(decoder.decode(&mut &b"\n\n"[..]).unwrap_err(), error.unwrap());
            assert!(decoder.buffered().is_empty());
        }
        // A line that ends and says nothing is nowhere kept.
        let mut decoder = ServerSentEventDecoder::new().max_event(1000);
        for _ in 0..2000 {
            assert_eq!(decoder.decode(&mut &b": still here\n"[..]), Ok(None));
        }
    }
}
