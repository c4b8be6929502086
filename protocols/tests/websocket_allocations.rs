//! What WebSocket allocates, counted: nothing for a message, once buffers are there, and little for what means no good.
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

/// A server's end that has opened.
fn server(options: WebSocketOptions) -> Result<Recorder<WebSocketSession<Echo>>> {
    let factory = move || WebSocketSession::server(Echo, ServerHandshake::new(), options);
    let mut recorder = Recorder::with_capacity(1 << 16, factory)?;
    let mut request = Vec::new();
    ClientHandshake::new("ws://a/".parse()?, &mut MaskKeys::random()).encode(&mut request);
    recorder.receive(&request)?;
    recorder.sent()?;
    Ok(recorder)
}

/// 100,000 fragments of a byte, with a ping behind each, hold what the message is long, twice; with the default limits they
/// end sooner.
#[test]
fn tiny_fragments_with_pings_between() -> Result {
    let fragments = b"\x00\x81\0\0\0\0x\x89\x84\0\0\0\0ping".repeat(1000);
    for max_fragments in [65_536, 200_000] {
        let mut recorder = server(WebSocketOptions::new().max_fragments(max_fragments))?;
        recorder.receive(b"\x01\x80\0\0\0\0")?;
        let (mut taken, mut largest) = (0, 0);
        for _ in 0..100 {
            let allocated = measure(|| taken += recorder.receive(&fragments).unwrap());
            largest = largest.max(allocated.bytes_max);
            if recorder.is_closing() {
                break;
            }
            assert!(recorder.sent()?.len() >= 6000, "the pongs");
        }
        assert!(largest < 512 * 1024, "{largest}");
        assert_eq!(recorder.is_closing(), max_fragments < 100_000);
        if !recorder.is_closing() {
            assert_eq!(taken, 100 * fragments.len());
            recorder.receive(b"\x80\x80\0\0\0\0")?;
            assert!(recorder.sent()?.starts_with(b"\x81\x7f\0\0\0\0\0\x01\x86\xa0xxx"));
        }
    }
    Ok(())
}

/// What compresses to a thousandth: not more than the limit comes out, whole or by parts, with and without context.
#[cfg(feature = "websocket-deflate")]
#[test]
fn compression_bombs() -> Result {
    use wharf_protocols::websocket::{DeflateOptions, DeflateParameters, PartDecoder, Violation};

    let parameters = |alone: bool| -> Result<DeflateParameters> {
        let offer = DeflateOptions::new().no_context_takeover(alone);
        let client = ClientHandshake::new("ws://a/".parse()?, &mut MaskKeys::random());
        let mut bytes = Vec::new();
        client.deflate(offer.clone()).encode(&mut bytes);
        let mut decoder = wharf_protocols::websocket::RequestDecoder::new();
        let request = decoder.decode(&mut &bytes[..])?.expect("it is whole");
        let acceptance = ServerHandshake::new().deflate(offer).accept(&request)?;
        Ok(acceptance.agreed().deflate.clone().expect("it is agreed upon"))
    };
    for alone in [false, true] {
        let parameters = parameters(alone)?;
        let mut encoder = MessageEncoder::new(Role::Server).deflate(&parameters);
        let (mut small, mut bomb) = (Vec::new(), Vec::new());
        encoder.encode(&Message::Binary(&[0; 1000]), &mut small)?;
        encoder.encode(&Message::Binary(&vec![0; 12 << 20]), &mut bomb)?;
        assert!(bomb.len() < 20_000, "{}", bomb.len());

        let mut decoder =
            MessageDecoder::new(Role::Client).max_message_length(1 << 18).deflate(&parameters);
        assert!(decoder.decode(&mut &small[..])?.is_some());
        let mut outcome = Ok(false);
        let allocated = measure(|| {
            outcome = decoder.decode(&mut &bomb[..]).map(|message| message.is_some());
        });
        let violation = outcome.unwrap_err().violation;
        assert_eq!(violation, Violation::MessageTooLong { max_length: 1 << 18 });
        assert!(allocated.bytes_max < 1 << 20, "{}", allocated.bytes_max);

        // By parts nothing of it is kept, however long it is.
        let mut decoder =
            PartDecoder::new(Role::Client).max_message_length(usize::MAX).deflate(&parameters);
        let mut length = 0;
        let allocated = measure(|| {
            for stream in [&small, &bomb] {
                let mut input = &stream[..];
                while let Ok(Some(piece)) = decoder.decode(&mut input) {
                    if let wharf_protocols::websocket::Piece::Data(part) = piece {
                        length += part.data.len();
                    }
                }
            }
        });
        assert_eq!(length, 1000 + (12 << 20));
        assert!(allocated.bytes_max < 4 << 20, "{}", allocated.bytes_max);
    }
    Ok(())
}

/// A head without end, and a body without end behind a refusal.
#[test]
fn handshakes_without_end() -> Result {
    struct Client;
    impl WebSocketProtocol for Client {}
    let factory = || {
        let handshake = ClientHandshake::new("ws://a/".parse().unwrap(), &mut MaskKeys::random());
        WebSocketSession::client(Client, handshake, WebSocketOptions::new())
    };
    for begin in ["HTTP/1.1 101 X\r\nX: ", "HTTP/1.1 500 X\r\n\r\n"] {
        let mut recorder = Recorder::with_capacity(1 << 16, factory)?;
        recorder.receive(begin.as_bytes())?;
        let more = vec![b'x'; 50_000];
        let allocated = measure(|| {
            for _ in 0..20 {
                recorder.receive(&more).unwrap();
            }
        });
        assert!(recorder.is_closing());
        assert!(allocated.bytes_max < 256 * 1024, "{}", allocated.bytes_max);
    }
    Ok(())
}
