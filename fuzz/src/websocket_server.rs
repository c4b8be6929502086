//! A WebSocket server as a whole protocol, over a loop in memory: the opening handshake, an echo, the closing handshake.
//!
//! An input is a header and the stream:
//!
//! | bytes | meaning |
//! |---|---|
//! | 1 | bit 0: a request to open comes before the stream; bit 1: the stream is as it is, else it is of frames (see `websocket`); bit 2: compression is offered, and bit 3: without context takeover |
//! | 1 | the longest message, in 16 bytes |
//! | the rest | the stream |

use wharf::Result;
use wharf_protocols::testing::check_protocol;
use wharf_protocols::websocket::{
    DeflateOptions, MessageDecoder, Role, ServerHandshake, Violation, WebSocket, WebSocketOptions,
    WebSocketProtocol, WebSocketSession,
};

use crate::websocket::{Owned, decode, frames, parameters};

/// The most fragments of a message.
const FRAGMENTS: u32 = 9;

/// Plays a client's side in every way and checks that the answers agree, and that they are those of the codec.
///
/// # Panics
/// If a promise does not hold.
pub fn run(data: &[u8]) {
    let Some((&[flags, length], rest)) = data.split_first_chunk::<2>() else { return };
    let is_open = flags & 1 != 0;
    let (is_deflated, is_alone) = (flags & 4 != 0, flags & 8 != 0);
    let max_length = usize::from(length) * 16;
    let stream = if flags & 2 == 0 { frames(Role::Server, rest) } else { rest.to_vec() };
    let request = if is_open { request(is_deflated) } else { Vec::new() };

    let exchange = check_protocol(&[&request[..], &stream].concat(), || {
        let mut handshake = ServerHandshake::new();
        if is_deflated {
            let options = DeflateOptions::new().no_context_takeover(is_alone).min_length(1);
            handshake = handshake.deflate(options);
        }
        let options =
            WebSocketOptions::new().max_message_length(max_length).max_fragments(FRAGMENTS);
        WebSocketSession::server(Echo, handshake, options)
    });
    assert!(exchange.is_closed, "the client has ended its side");

    let answers = after_head(&exchange.sent);
    if !is_open {
        // Whatever the client sent, what it gets is a response.
        assert!(exchange.sent.is_empty() || exchange.sent.starts_with(b"HTTP/1.1 "));
        return;
    }
    let answers = answers.expect("the request is answered");
    let decoder = |role| {
        let decoder = MessageDecoder::new(role);
        if is_deflated { decoder.deflate(&parameters(is_alone)) } else { decoder }
    };
    let (answers, cut) = decode(decoder(Role::Client), &[answers]);
    if let Some(cut) = cut {
        let is_dropped = exchange.error.is_some() && cut.violation == Violation::Truncated;
        assert!(is_dropped, "{cut}: {exchange:?}");
    }
    let limited = decoder(Role::Server).max_message_length(max_length).max_fragments(FRAGMENTS);
    let (received, violation) = decode(limited, &[&stream]);
    let mut expected: Vec<_> = received.into_iter().filter_map(answer).collect();
    // Who breaks a rule is told so, and the connection closed in order.
    if let Some(violation) = violation.filter(|error| error.violation != Violation::Truncated) {
        expected.push(Owned::Close(Some((violation.close_code().get(), String::new()))));
    }
    let without_reasons: Vec<_> = answers.into_iter().map(without_reason).collect();
    assert!(expected.starts_with(&without_reasons), "{without_reasons:?}, and not {expected:?}");
    assert!(exchange.error.is_some() || without_reasons == expected, "{without_reasons:?}");
}

/// Sends messages back.
struct Echo;

impl WebSocketProtocol for Echo {
    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        socket.send_text(text)?;
        Ok(())
    }

    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> Result {
        socket.send_binary(bytes)?;
        Ok(())
    }
}

/// What a server answers, of messages that an echo sends back.
fn answer(received: Owned) -> Option<Owned> {
    match received {
        Owned::Ping(payload) => Some(Owned::Pong(payload)),
        Owned::Pong(_) => None,
        other => Some(without_reason(other)),
    }
}

/// A close without its text, which the server may choose.
fn without_reason(message: Owned) -> Owned {
    match message {
        Owned::Close(Some((code, _))) => Owned::Close(Some((code, String::new()))),
        other => other,
    }
}

fn request(is_deflated: bool) -> Vec<u8> {
    let extension =
        if is_deflated { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extension}\r\n"
    )
    .into_bytes()
}

/// What follows the response that opens the WebSocket.
fn after_head(sent: &[u8]) -> Option<&[u8]> {
    let is_accepted = sent.starts_with(b"HTTP/1.1 101 ");
    let end = sent.windows(4).position(|end| end == b"\r\n\r\n").filter(|_| is_accepted)?;
    Some(&sent[end + 4..])
}
