//! Peers that mean no good, and protocols that fail.

use std::cell::RefCell;

use super::*;
use crate::websocket::connection::Closure;
use crate::websocket::{CloseReason, Violation};

#[test]
fn a_peer_that_does_not_read_its_answers_is_not_read() {
    for (first, payload) in [(0x82, vec![7; 10_000]), (0x89, vec![7; 125])] {
        let factory =
            || WebSocketSession::server(Echo::default(), ServerHandshake::new(), options());
        let mut recorder = Recorder::with_capacity(4096, factory).unwrap();
        let mut request = Vec::new();
        client().encode(&mut request);
        recorder.receive(&request).unwrap();
        recorder.sent().unwrap();
        let frame = Peer::of(Role::Server).frame(first, &payload);
        let mut sent = 0;
        loop {
            let taken = recorder.receive(&frame).unwrap();
            sent += taken;
            let waiting = recorder.with(|_, transport| transport.write_buffer_size()).unwrap();
            assert!(waiting <= 64 * 1024 + 20_000, "{waiting}");
            if taken < frame.len() {
                break;
            }
        }
        assert!(sent < 1 << 20);
        // It goes on where it stopped.
        let mut answers = 0;
        loop {
            let read = recorder.sent().unwrap().len();
            if read == 0 {
                break;
            }
            answers += read;
        }
        assert!(answers > 60_000, "{answers}");
    }
}

#[test]
fn hostile_fragments_are_bounded() {
    // A message of endless empty fragments, and one of endless bytes.
    for (payload, code) in [(&b""[..], CloseCode::TOO_BIG), (&[1; 1000], CloseCode::TOO_BIG)] {
        let mut peer = Peer::with(Role::Server, options(), Echo::default());
        peer.send(0x02, payload);
        let many: Vec<u8> = (0..1000).flat_map(|_| peer.frame(0x00, payload)).collect();
        for _ in 0..200 {
            if peer.is_closing() {
                break;
            }
            peer.send_bytes(&many);
        }
        peer.assert_failed(&[], code);
    }
}

#[test]
fn frames_that_are_not_masked_among_those_that_are() {
    for role in ROLES {
        let mut peer = Peer::with(role, options(), Echo::default());
        let other = Peer::of(role.peer());
        peer.send(0x81, "one");
        peer.send_bytes(&other.frame(0x81, b"two"));
        peer.send(0x81, "three");
        peer.assert_failed(&[(0x81, b"one".to_vec())], CloseCode::PROTOCOL_ERROR);
    }
}

/// A close between any two frames, of any kind, ends it cleanly, and nothing behind it is told.
#[test]
fn a_close_at_each_point() {
    let frames: [(u8, &[u8]); 7] = [
        (0x01, b"\xe2\x82"),
        (0x89, b"ping"),
        (0x00, b"\xac"),
        (0x80, b"!"),
        (0x82, b"binary"),
        (0x8a, b"pong"),
        (0x81, b""),
    ];
    for role in ROLES {
        for at in 0..=frames.len() {
            for payload in [&b""[..], b"\x03\xe8", b"\x0f\xa0g\xc3\xbcnstig"] {
                let mut peer = Peer::with(role, options(), Echo::default());
                let encode = |peer: &Peer, frames: &[(u8, &[u8])]| -> Vec<u8> {
                    frames.iter().flat_map(|(first, bytes)| peer.frame(*first, bytes)).collect()
                };
                let before = encode(&peer, &frames[..at]);
                let close = peer.frame(0x88, payload);
                let stream = [before, close, encode(&peer, &frames[at..])].concat();
                peer.send_bytes(&stream);
                let sent = peer.sent();
                let answer = payload.get(..2).unwrap_or_default();
                assert_eq!(sent.last(), Some(&(0x88, answer.to_vec())), "{at}");
                let expected = [0, 0, 1, 1, 2, 3, 3, 4][at];
                assert_eq!(sent.len() - 1, expected, "{at}: {sent:?}");
                peer.recorder.receive_eof().unwrap();
                assert!(peer.notes().last().unwrap().starts_with("lost clean"), "{at}");
            }
        }
    }
}

#[test]
fn a_close_with_half_a_character_or_a_code_that_is_none() {
    for role in ROLES {
        for (payload, code) in [
            (&b"\x03\xe8\xe2\x82"[..], CloseCode::INVALID_DATA),
            (b"\x03\xe8\xff", CloseCode::INVALID_DATA),
            (b"\x03\xed", CloseCode::PROTOCOL_ERROR),
            (b"\xff\xff", CloseCode::PROTOCOL_ERROR),
            (b"\x03", CloseCode::PROTOCOL_ERROR),
        ] {
            let mut peer = Peer::of(role);
            peer.send(0x01, "in the middle");
            peer.send(0x88, payload);
            peer.assert_failed(&[], code);
        }
    }
}

#[test]
fn a_handshake_that_is_cut_anywhere() {
    for role in ROLES {
        let whole = |peer: &mut Peer| {
            let mut bytes = Vec::new();
            if role == Role::Server {
                client().encode(&mut bytes);
            } else {
                let sent = peer.recorder.sent().unwrap();
                let request = RequestDecoder::new().decode(&mut &sent[..]).unwrap().unwrap();
                ServerHandshake::new().accept(&request).unwrap().encode(&mut bytes);
            }
            bytes.extend(peer.frame(0x81, b"early"));
            bytes
        };
        let length = whole(&mut Peer::connect(role, options(), Echo::default())).len();
        for cut in 0..=length {
            let mut peer = Peer::connect(role, options(), Echo::default());
            let bytes = whole(&mut peer);
            peer.recorder.receive(&bytes[..cut]).unwrap();
            peer.recorder.receive(&bytes[cut..]).unwrap();
            let sent = peer.recorder.sent().unwrap();
            let is_echoed = match role {
                Role::Server => sent.ends_with(b"\r\n\r\n\x81\x05early"),
                Role::Client => sent.starts_with(b"\x81\x85"),
            };
            assert!(is_echoed, "{cut}: {}", sent.escape_ascii());
            assert_eq!(peer.notes(), ["opened"]);
        }
    }
}

#[test]
fn a_handshake_without_end() {
    for role in ROLES {
        let mut peer = Peer::connect(role, options(), Echo::default());
        let begin = if role == Role::Server { "GET / HTTP/1.1" } else { "HTTP/1.1 101 X" };
        peer.recorder.sent().unwrap();
        peer.recorder.receive(format!("{begin}\r\nX: ").as_bytes()).unwrap();
        for _ in 0..100 {
            peer.recorder.receive(&[b'x'; 1000]).unwrap();
        }
        assert!(peer.is_closing());
        let sent = peer.recorder.sent().unwrap();
        assert_eq!(sent.starts_with(b"HTTP/1.1 431 "), role == Role::Server);
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["failed: the head has more than 16384 bytes"]);
    }
}

/// Lets everything through, whatever waits to be sent.
#[derive(Default)]
struct Careless(Rc<RefCell<Vec<String>>>);

impl WebSocketProtocol for Careless {
    fn pause_writing(&mut self, _: &WebSocket) -> Result {
        Ok(())
    }

    fn ping_received(&mut self, _: &WebSocket, _: &[u8]) -> Result {
        self.0.borrow_mut().push(String::new());
        Ok(())
    }
}

#[test]
fn pings_whose_answers_nobody_reads_are_bounded() {
    for role in ROLES {
        let careless = Careless::default();
        let count = Rc::clone(&careless.0);
        let factory = || match role {
            Role::Server => WebSocketSession::server(careless, ServerHandshake::new(), options()),
            Role::Client => WebSocketSession::client(careless, client(), options()),
        };
        let mut recorder = Recorder::with_capacity(4096, factory).unwrap();
        let mut bytes = Vec::new();
        if role == Role::Server {
            client().encode(&mut bytes);
        } else {
            let sent = recorder.sent().unwrap();
            let request = RequestDecoder::new().decode(&mut &sent[..]).unwrap().unwrap();
            ServerHandshake::new().accept(&request).unwrap().encode(&mut bytes);
        }
        recorder.receive(&bytes).unwrap();
        recorder.sent().unwrap();
        let peer = Peer::of(role);
        for number in 0..3000_u32 {
            let ping = peer.frame(0x89, &number.to_be_bytes().repeat(31));
            assert_eq!(recorder.receive(&ping).unwrap(), ping.len());
            let waiting = recorder.with(|_, transport| transport.write_buffer_size()).unwrap();
            assert!(waiting <= 64 * 1024 + 4096 + 200, "{waiting}");
        }
        assert_eq!(count.borrow().len(), 3000, "all were told");
        // The last one is answered, when there is room for it.
        let mut sent = Vec::new();
        loop {
            let read = recorder.sent().unwrap();
            if read.is_empty() {
                break;
            }
            sent.extend(read);
        }
        let last = 2999_u32.to_be_bytes().repeat(31);
        let mut payload = sent[sent.len() - last.len()..].to_vec();
        if role == Role::Client {
            let start = sent.len() - last.len() - 4;
            let mask = *sent[start..].first_chunk().unwrap();
            crate::websocket::mask::apply_mask(mask, &mut payload);
        }
        assert_eq!(payload, last);
    }
}

/// A protocol that fails, or panics, in one of its callbacks.
struct Failing {
    at: &'static str,
    panics: bool,
}

impl Failing {
    fn at(&self, callback: &str) -> Result {
        if self.at != callback {
            return Ok(());
        }
        assert!(!self.panics, "the protocol panics on purpose in {callback}");
        Err(format!("the protocol fails in {callback}").into())
    }
}

impl WebSocketProtocol for Failing {
    fn request_received(
        &mut self,
        _: &UpgradeRequest,
        acceptance: Acceptance,
    ) -> Result<Acceptance, HandshakeError> {
        self.at("request_received").map_err(|_| HandshakeError::Refused(503))?;
        Ok(acceptance)
    }

    fn opened(&mut self, _: &WebSocket) -> Result {
        self.at("opened")
    }

    fn opening_failed(&mut self, _: &HandshakeError) -> Result {
        self.at("opening_failed")
    }

    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        self.at("text_received")?;
        socket.send_text(text)?;
        Ok(())
    }

    fn binary_received(&mut self, _: &WebSocket, _: &[u8]) -> Result {
        self.at("binary_received")
    }

    fn part_received(&mut self, _: &WebSocket, _: Part<'_>) -> Result {
        self.at("part_received")
    }

    fn ping_received(&mut self, _: &WebSocket, _: &[u8]) -> Result {
        self.at("ping_received")
    }

    fn pong_received(&mut self, _: &WebSocket, _: &[u8]) -> Result {
        self.at("pong_received")
    }

    fn close_received(&mut self, _: &WebSocket, _: Option<CloseReason<'_>>) -> Result {
        self.at("close_received")
    }

    fn timed_out(&mut self, _: &WebSocket, _: wharf::Timeout) -> Result {
        self.at("timed_out")
    }

    fn shutting_down(&mut self, _: &WebSocket) -> Result {
        self.at("shutting_down")
    }

    fn connection_lost(&mut self, _: &WebSocket, _: &Closure, _: Option<&wharf::Error>) -> Result {
        self.at("connection_lost")
    }
}

#[test]
fn a_protocol_that_fails_or_panics_ends_its_connection_alone() {
    let callbacks: [(&'static str, &[u8]); 11] = [
        ("request_received", b""),
        ("opened", b""),
        ("opening_failed", b"GET / HTTP/1.1\r\n\r\n"),
        ("text_received", b"\x81\x81\0\0\0\0x"),
        ("binary_received", b"\x82\x81\0\0\0\0x"),
        ("part_received", b"\x82\x81\0\0\0\0x"),
        ("ping_received", b"\x89\x80\0\0\0\0"),
        ("pong_received", b"\x8a\x80\0\0\0\0"),
        ("close_received", b"\x88\x80\0\0\0\0"),
        ("timed_out", b""),
        ("connection_lost", b"\x88\x80\0\0\0\0"),
    ];
    for (at, input) in callbacks {
        for panics in [false, true] {
            let test = async |event_loop: wharf::EventLoop| {
                let reports = Rc::new(std::cell::Cell::new(0));
                let counted = Rc::clone(&reports);
                event_loop.set_exception_handler(move |_, _| counted.set(counted.get() + 1));
                let mut is_first = true;
                let factory = move || {
                    let at = if std::mem::take(&mut is_first) { at } else { "" };
                    let options = options().parts(at == "part_received");
                    let failing = Failing { at, panics };
                    WebSocketSession::server(failing, ServerHandshake::new(), options)
                };
                event_loop.create_server(factory, "10.0.0.1:80").await?;
                let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
                let mut bytes = Vec::new();
                if at != "opening_failed" {
                    client().encode(&mut bytes);
                }
                bytes.extend_from_slice(input);
                if at == "timed_out" {
                    event_loop.sleep(Duration::from_millis(1)).await;
                }
                writer.write(&bytes);
                // It ends; where nothing else ends it, by the keep-alive.
                while reader.read_chunk().await.is_ok_and(|data| !data.is_empty()) {}
                let is_reported =
                    !matches!((at, panics), ("request_received", false) | ("timed_out", _));
                assert_eq!(reports.get() > 0, is_reported, "{at} {panics}");

                let url = "ws://10.0.0.1/";
                let options = WebSocketOptions::new();
                let mut socket =
                    crate::websocket::WebSocketStream::connect(&event_loop, url, options).await?;
                socket.send("still there").await?;
                assert!(socket.next().await.is_some_and(|answer| answer.is_ok()));
                Ok(())
            };
            MemoryNetwork::new().event_loop().run(test).unwrap();
        }
    }
}

#[test]
fn messages_without_end_while_it_closes() {
    // This end has closed; the peer goes on, for as long as the deadline says, whatever it sends.
    for role in ROLES {
        let echo = Echo { closes_at: Some("stop"), ..Echo::default() };
        let mut peer = Peer::with(role, options(), echo);
        peer.send(0x81, "stop");
        let message = "x".repeat(100_000);
        for _ in 0..80 {
            peer.send(0x81, &message);
        }
        assert_eq!(peer.notes().len(), 80);
        let waiting = peer.recorder.with(|_, transport| transport.write_buffer_size()).unwrap();
        assert_eq!(waiting, 0);
        peer.send(0x88, b"\x03\xe8");
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["close 1000 (normal closure)", "lost clean 1000"]);
    }
}

#[test]
fn a_rule_broken_after_this_end_has_closed() {
    for role in ROLES {
        let echo = Echo { closes_at: Some("stop"), ..Echo::default() };
        let mut peer = Peer::with(role, options(), echo);
        peer.send(0x81, "stop");
        assert_eq!(peer.sent(), [(0x88, b"\x03\xe8enough".to_vec())]);
        peer.send(0xf1, "");
        assert_eq!(peer.sent(), [], "nothing follows a close");
        assert!(peer.is_closing());
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["lost unclean 1006 violation"]);
        assert_eq!(Violation::ReservedBits.close_code(), CloseCode::PROTOCOL_ERROR);
    }
}
