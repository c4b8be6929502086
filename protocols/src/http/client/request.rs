use http::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use wharf::Result;

use super::super::{Headers, RequestEvent, RequestHead, Version};
use super::body::Kind;
use super::connect::Origin;
use super::connection::write_piece;
use super::{HttpClientConnection, RequestContent, owned};

/// Sends a request, and gives the head of its answer.
pub(super) async fn send(
    connection: &mut HttpClientConnection,
    origin: &Origin,
    parts: &http::request::Parts,
    content: RequestContent,
) -> Result<http::Response<()>> {
    let mut map = parts.headers.clone();
    // How the content goes is ours to say; the other side is not waited for before it goes.
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT] {
        map.remove(name);
    }
    if !map.contains_key(HOST) {
        map.insert(HOST, origin.host().parse()?);
    }
    let length = match &content.0 {
        Kind::Bytes(bytes) => Some(bytes.len() as u64),
        Kind::Writer { length, .. } => *length,
    };
    // Without content, a method that usually has none says nothing of it.
    let has_none = matches!(
        *parts.method.as_str().as_bytes(),
        [b'G', ..] | [b'H', ..] | [b'D', ..] | [b'O', ..] | [b'T', ..] | [b'C', ..]
    );
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
    let writing = async move |writer: &wharf::StreamWriter,
                              encoder: &mut super::super::RequestEncoder| {
        match content.0 {
            Kind::Bytes(bytes) => {
                crate::codec::Encoder::encode(encoder, &RequestEvent::Data(&bytes), &mut output)?;
                writer.write_all(&output).await?;
                write_piece(writer, encoder, RequestEvent::End).await
            }
            Kind::Writer { write, .. } => {
                writer.write_all(&output).await?;
                write(writer, encoder).await
            }
        }
    };
    connection.send_and_receive(writing, owned).await?
}
