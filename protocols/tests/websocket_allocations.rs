//! What WebSocket allocates, counted: nothing for a message, once buffers are there.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;

use allocation_counter::measure;
use wharf::testing::MemoryNetwork;
use wharf::{Result, Transport};
use wharf_protocols::codec::{Decoder, Encoder};
use wharf_protocols::websocket::{
    ClientHandshake, CloseCode, MaskKeys, Message, MessageDecoder, MessageEncoder, Role,
    ServerHandshake, WebSocket, WebSocketOptions, WebSocketProtocol, WebSocketSession,
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

/// Sends a message back, so often.
struct Pong {
    left: Rc<Cell<u32>>,
    begins: Option<String>,
}

impl WebSocketProtocol for Pong {
    fn opened(&mut self, socket: &WebSocket) -> Result {
        if let Some(text) = &self.begins {
            socket.send_text(text)?;
        }
        Ok(())
    }

    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        match self.left.get() {
            0 => drop(socket.close(CloseCode::NORMAL, "")?),
            left => {
                self.left.set(left - 1);
                socket.send_text(text)?;
            }
        }
        Ok(())
    }
}

/// A connection whose messages go back and forth: what it allocates does not depend on how many they are.
#[test]
fn an_echoed_message_allocates_nothing() {
    let allocations = |count: u32, text: &str| {
        let left = Rc::new(Cell::new(count));
        let (server_left, client_left) = (Rc::clone(&left), Rc::clone(&left));
        let text = text.to_owned();
        let allocated = measure(|| {
            let conversation = MemoryNetwork::new().event_loop().run(async move |event_loop| {
                let factory = move || {
                    let protocol = Pong { left: Rc::clone(&server_left), begins: None };
                    let options = WebSocketOptions::new();
                    WebSocketSession::server(protocol, ServerHandshake::new(), options)
                };
                event_loop.create_server(factory, "10.0.0.1:80").await?;
                let handshake =
                    ClientHandshake::new("ws://10.0.0.1/".parse()?, &mut MaskKeys::random());
                let protocol = Pong { left: client_left, begins: Some(text) };
                let options = WebSocketOptions::new();
                let session = WebSocketSession::client(protocol, handshake, options);
                let client = event_loop.create_connection(|| session, "10.0.0.1:80").await?;
                client.wait_closed().await?;
                assert!(client.handle().is_closing());
                Ok(())
            });
            conversation.unwrap();
        });
        assert_eq!(left.get(), 0);
        allocated.count_total
    };
    for text in ["x".repeat(64), "x".repeat(64 * 1024)] {
        allocations(10, &text);
        let (few, many) = (allocations(100, &text), allocations(2100, &text));
        // A loop may grow a queue now and then.
        assert!(many <= few + 20, "{} bytes: {few} for 100, {many} for 2100", text.len());
    }
}
