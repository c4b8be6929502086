use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use wharf::{Result, timeout};

use super::super::{Headers, RequestEvent, RequestHead, Version};
use super::body::Kind;
use super::connect::Origin;
use super::connection::write_piece;
use super::{HttpClientConnection, RequestContent, owned};
use crate::codec::Encoder;

/// Sends a request, and gives the head of its answer.
pub(super) async fn send(
    connection: &mut HttpClientConnection,
    origin: &Origin,
    parts: &http::request::Parts,
    content: RequestContent,
) -> Result<http::Response<()>> {
    let mut map = parts.headers.clone();
    // How the content goes is ours to say.
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
        map.remove(name);
    }
    if !map.contains_key(HOST) {
        map.insert(HOST, origin.host().parse()?);
    }
    let said = || parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    let length = match &content.0 {
        Kind::Bytes(bytes) => Some(bytes.len() as u64),
        Kind::Writer { length, .. } => length.or_else(said),
    };
    // Without content, a method that usually has none says nothing of it.
    let has_none = matches!(
        *parts.method.as_str().as_bytes(),
        [b'G', ..] | [b'H', ..] | [b'D', ..] | [b'O', ..] | [b'T', ..] | [b'C', ..]
    );
    if length == Some(0) {
        // There is nothing to wait with.
        map.remove(EXPECT);
    }
    match length {
        Some(0) if has_none => {}
        Some(length) => drop(map.insert(CONTENT_LENGTH, length.into())),
        None => drop(map.insert(TRANSFER_ENCODING, http::HeaderValue::from_static("chunked"))),
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let rooted = format!("/{target}");
    let target = if target.starts_with('/') { target } else { &rooted };
    let headers = Headers::from_map(&map)?;
    let head = RequestHead::new(parts.method.as_str(), target, Version::Http11, headers)?;

    let mut output = Vec::new();
    connection.begin(&head, &mut output)?;
    let may_continue = head.expects_continue().then(|| connection.ask_first());
    let (writer, mut encoder) = connection.outgoing();
    let upload = async move {
        if let Some(may_continue) = may_continue {
            writer.write_all(&output).await?;
            output.clear();
            wait_for(&may_continue).await;
        }
        match content.0 {
            Kind::Bytes(bytes) => {
                encoder.encode(&RequestEvent::Data(&bytes), &mut output)?;
                writer.write_all(&output).await?;
                write_piece(&writer, &mut encoder, RequestEvent::End).await
            }
            Kind::Writer { write, .. } => {
                writer.write_all(&output).await?;
                write(writer, encoder).await
            }
        }
    };
    connection.send_and_receive(Box::pin(upload), owned).await?
}

/// Waits until the server wants the content; not for ever, since many do not know that they are asked (RFC 9110, 10.1.1).
/// Whoever sets the value polls this again.
async fn wait_for(may_continue: &Rc<Cell<bool>>) {
    let is_set = poll_fn(|_| if may_continue.get() { Poll::Ready(()) } else { Poll::Pending });
    let _ = timeout(LONGEST_WAIT, is_set).await;
    may_continue.set(true);
}

const LONGEST_WAIT: Duration = Duration::from_secs(1);
