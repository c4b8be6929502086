use super::server::BodyWriter;
use super::{HttpError, Rule};

/// An event of a stream of server-sent events (HTML, 9.2), of the type `text/event-stream`.
///
/// ```
/// use wharf_protocols::http::{Body, ServerSentEvent};
///
/// # fn main() -> Result<(), wharf_protocols::http::HttpError> {
/// let mut text = Vec::new();
/// ServerSentEvent::new("line 1\nline 2").event("news").id("7").encode(&mut text)?;
/// assert_eq!(text, b"event: news\nid: 7\ndata: line 1\ndata: line 2\n\n");
///
/// let ticks = Body::from_writer(async |writer| {
///     for tick in 0..10 {
///         writer.send_event(&ServerSentEvent::new(&tick.to_string())).await?;
///         wharf::sleep(std::time::Duration::from_secs(1)).await;
///     }
///     Ok(())
/// });
/// let answer = http::Response::builder().header("content-type", "text/event-stream").body(ticks);
/// # drop(answer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerSentEvent<'a> {
    data: &'a str,
    event: Option<&'a str>,
    id: Option<&'a str>,
    retry: Option<u64>,
}

impl<'a> ServerSentEvent<'a> {
    /// An event with this text; its lines may end in any way, and arrive as `\n`.
    pub const fn new(data: &'a str) -> Self {
        Self { data, event: None, id: None, retry: None }
    }

    /// Its type; `message` unless set.
    #[must_use]
    pub const fn event(mut self, event: &'a str) -> Self {
        self.event = Some(event);
        self
    }

    /// Its identity, which a client that connects again sends as `Last-Event-ID`.
    #[must_use]
    pub const fn id(mut self, id: &'a str) -> Self {
        self.id = Some(id);
        self
    }

    /// How long clients are to wait before they connect again, in milliseconds.
    #[must_use]
    pub const fn retry(mut self, milliseconds: u64) -> Self {
        self.retry = Some(milliseconds);
        self
    }

    /// Appends the event to `output`.
    ///
    /// # Errors
    /// [`Rule::FieldValue`] for a type or an identity with a line end in it, which would be another field, or an identity
    /// with a NUL, which clients leave out of account. `output` is then as it was.
    pub fn encode(&self, output: &mut Vec<u8>) -> Result<(), HttpError> {
        let is_line = |text: &str| !text.contains(['\r', '\n', '\0']);
        if !self.event.is_none_or(is_line) || !self.id.is_none_or(is_line) {
            return Err(HttpError::of(Rule::FieldValue));
        }
        let mut field = |name: &str, value: &str| {
            for part in [name, ": ", value, "\n"] {
                output.extend_from_slice(part.as_bytes());
            }
        };
        if let Some(event) = self.event {
            field("event", event);
        }
        if let Some(id) = self.id {
            field("id", id);
        }
        if let Some(retry) = self.retry {
            field("retry", itoa::Buffer::new().format(retry));
        }
        let mut rest = self.data;
        while let Some(end) = rest.find(['\r', '\n']) {
            field("data", &rest[..end]);
            let length = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
            rest = &rest[end + length..];
        }
        field("data", rest);
        output.push(b'\n');
        Ok(())
    }
}

/// # Server-sent events
impl BodyWriter {
    /// Sends an event, and waits until the client has taken enough.
    ///
    /// # Errors
    /// Those of [`ServerSentEvent::encode`] and [`write`](Self::write).
    pub async fn send_event(&mut self, event: &ServerSentEvent<'_>) -> Result<(), HttpError> {
        let mut text = Vec::new();
        event.encode(&mut text)?;
        self.write(&text).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(event: &ServerSentEvent<'_>) -> String {
        let mut output = Vec::new();
        event.encode(&mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn lines_of_every_kind_are_lines_of_data() {
        let event = ServerSentEvent::new("a\rb\r\nc\n\nd\n");
        assert_eq!(encoded(&event), "data: a\ndata: b\ndata: c\ndata: \ndata: d\ndata: \n\n");
        assert_eq!(encoded(&ServerSentEvent::new("").retry(5)), "retry: 5\ndata: \n\n");
    }

    #[test]
    fn other_fields_cannot_be_smuggled_in() {
        let mut output = Vec::new();
        for bad in ["a\ndata: b", "a\rb", "\0"] {
            assert!(ServerSentEvent::new("").event(bad).encode(&mut output).is_err());
            assert!(ServerSentEvent::new("").id(bad).encode(&mut output).is_err());
        }
        assert!(output.is_empty());
    }
}
