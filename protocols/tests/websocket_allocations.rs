//! What WebSocket allocates, counted: nothing for a message, once buffers are there.
#![forbid(unsafe_code)]

use std::hint::black_box;

use allocation_counter::measure;
use wharf::Result;
use wharf::testing::Recorder;
use wharf_protocols::codec::{Decoder, Encoder};
use wharf_protocols::websocket::{
    ClientHandshake, MaskKeys, Message, MessageDecoder, MessageEncoder, Role, ServerHandshake,
    WebSocket, WebSocketOptions, WebSocketProtocol, WebSocketSession,
};

#[test]
fn messages_are_decoded_and_encoded_without_allocations() {
    let text = "x".repeat(64 * 1024);
    for role in [Role::Client, Role::Server] {
        for fragment in [usize::MAX, 1000] {
            let mut stream = Vec::new();
            let mut encoder = MessageEncoder::new(role.peer()).max_fragment_length(fragment);
            for message in
                [Message::Text("short"), Message::Binary(text.as_bytes()), Message::Ping(b"?")]
            {
                encoder.encode(&message, &mut stream).unwrap();
            }
            let mut decoder = MessageDecoder::new(role);
            let mut output = Vec::with_capacity(200_000);
            for size in [stream.len(), 4096, 100] {
                let mut echo = || {
                    output.clear();
                    for part in stream.chunks(size) {
                        let mut input = part;
                        while let Some(message) = decoder.decode(&mut input).unwrap() {
                            encoder.encode(black_box(&message), &mut output).unwrap();
                        }
                    }
                };
                // What is spare comes from the first ones.
                echo();
                assert_eq!(measure(&mut echo).count_total, 0, "{role:?} by {size}");
            }
        }
    }
}

struct Echo;

impl WebSocketProtocol for Echo {
    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        socket.send_text(text)?;
        Ok(())
    }
}

/// The loop in memory allocates for what it carries at once; a message more allocates nothing more.
#[test]
fn an_echoed_message_allocates_nothing() -> Result {
    let factory =
        || WebSocketSession::server(Echo, ServerHandshake::new(), WebSocketOptions::new());
    let mut recorder = Recorder::with_capacity(1 << 20, factory)?;
    let mut request = Vec::new();
    ClientHandshake::new("ws://a/".parse()?, &mut MaskKeys::random()).encode(&mut request);
    recorder.receive(&request)?;
    for text in ["x".repeat(64), "x".repeat(500)] {
        let mut message = Vec::new();
        MessageEncoder::new(Role::Client).encode(&Message::Text(&text), &mut message)?;
        let (few, many) = (message.repeat(10), message.repeat(100));
        for _ in 0..3 {
            recorder.receive(&many)?;
            recorder.sent()?;
        }
        let mut count = |input: &[u8]| {
            let allocated = measure(|| {
                recorder.receive(input).unwrap();
            });
            assert!(recorder.sent().unwrap().len() > text.len());
            allocated.count_total
        };
        let (few, many) = (count(&few), count(&many));
        assert!(many <= few, "{} bytes: {few} for 10, {many} for 100", text.len());
    }
    Ok(())
}
