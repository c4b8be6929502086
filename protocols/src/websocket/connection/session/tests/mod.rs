//! Opening, closing, deadlines and back-pressure.

mod hostile;
mod reported;

use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{MemoryNetwork, Recorder};
use wharf::{Protocol, Result, Transport};

use super::*;
use crate::codec::Decoder;
use crate::websocket::connection::peer::{Echo, Peer, client};
use crate::websocket::{
    Acceptance, CloseCode, DataKind, EncodeError, HandshakeError, Message, Part, RequestDecoder,
    Role, ServerHandshake, UpgradeRequest,
};

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn options() -> WebSocketOptions {
    WebSocketOptions::new()
}

#[test]
fn a_refused_request_is_answered() {
    let mut peer = Peer::connect(Role::Server, options(), Echo::default());
    peer.recorder.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let answer = peer.recorder.sent().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"), "{}", answer.escape_ascii());
    assert!(peer.is_closing());
    peer.recorder.receive_eof().unwrap();
    assert_eq!(peer.notes(), ["failed: Upgrade does not ask for websocket"]);
}

#[test]
fn an_opening_that_breaks_off_or_takes_too_long() {
    for role in ROLES {
        let mut peer = Peer::connect(role, options(), Echo::default());
        peer.recorder.receive(b"HTTP").unwrap();
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["failed: the connection ends in the opening handshake"]);

        // A byte now and then does not help.
        let mut peer = Peer::connect(role, options(), Echo::default());
        for _ in 0..9 {
            peer.advance(1);
            peer.recorder.receive(b"x").unwrap();
        }
        assert!(!peer.is_closing());
        peer.advance(1);
        assert!(peer.is_closing());
        assert_eq!(peer.notes(), ["failed: the opening handshake takes too long"]);
    }
}

#[test]
fn a_client_is_told_why_the_opening_failed() {
    let mut peer = Peer::connect(Role::Client, options(), Echo::default());
    peer.recorder.receive(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
    peer.recorder.receive_eof().unwrap();
    assert_eq!(peer.notes(), ["failed: the server has answered with 403 Forbidden"]);
}

#[test]
fn messages_may_come_with_the_handshake() {
    let mut peer = Peer::connect(Role::Server, options(), Echo::default());
    let mut bytes = Vec::new();
    client().encode(&mut bytes);
    bytes.extend(peer.frame(0x81, b"early"));
    peer.recorder.receive(&bytes).unwrap();
    let sent = peer.recorder.sent().unwrap();
    assert!(sent.ends_with(b"\r\n\r\n\x81\x05early"), "{}", sent.escape_ascii());
}

struct Picky;

impl WebSocketProtocol for Picky {
    fn request_received(
        &mut self,
        request: &UpgradeRequest,
        acceptance: Acceptance,
    ) -> Result<Acceptance, HandshakeError> {
        if request.path() != "/right" {
            return Err(HandshakeError::Refused(404));
        }
        acceptance.field("Set-Cookie", "a=b")
    }

    fn opened(&mut self, socket: &WebSocket) -> Result {
        assert_eq!(socket.request().map(UpgradeRequest::path), Some("/right"));
        socket.send_text("welcome")?;
        Ok(())
    }
}

#[test]
fn a_protocol_looks_at_the_request() {
    for (path, answer) in [("/right", "HTTP/1.1 101 "), ("/wrong", "HTTP/1.1 404 Not Found\r\n")] {
        let factory = || WebSocketSession::server(Picky, ServerHandshake::new(), options());
        let mut recorder = Recorder::new(factory).unwrap();
        let mut request = Vec::new();
        client().encode(&mut request);
        let request = String::from_utf8(request).unwrap().replace("/echo", path);
        recorder.receive(request.as_bytes()).unwrap();
        let sent = recorder.sent().unwrap();
        assert_eq!(sent.ends_with(b"\r\n\r\n\x81\x07welcome"), path == "/right");
        let sent = String::from_utf8_lossy(&sent);
        assert!(sent.starts_with(answer), "{sent}");
        assert_eq!(sent.contains("Set-Cookie: a=b\r\n"), path == "/right");
        // What is not expected is refused politely.
        if path == "/right" {
            recorder.receive(b"\x81\x81\0\0\0\0x").unwrap();
            assert_eq!(recorder.sent().unwrap(), b"\x88\x02\x03\xeb");
        }
    }
}

/// An HTTP server that hands over.
struct Http;

impl Protocol for Http {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let mut input = data;
        let request = RequestDecoder::new().decode(&mut input)?.expect("it is whole");
        let acceptance = ServerHandshake::new().accept(&request)?;
        let mut answer = Vec::new();
        acceptance.encode(&mut answer);
        transport.write(&answer);
        let (agreed, echo) = (acceptance.agreed().clone(), Echo::default());
        WebSocketSession::take_over(
            transport,
            Role::Server,
            echo,
            agreed,
            options(),
            input.to_vec(),
        )
    }
}

#[test]
fn an_http_server_hands_over() {
    let mut recorder = Recorder::new(|| Http).unwrap();
    let mut bytes = Vec::new();
    client().encode(&mut bytes);
    bytes.extend(b"\x81\x81\0\0\0\0x");
    recorder.receive(&bytes).unwrap();
    assert!(recorder.sent().unwrap().ends_with(b"\r\n\r\n\x81\x01x"));
    recorder.receive(b"\x89\x80\0\0\0\0").unwrap();
    assert_eq!(recorder.sent().unwrap(), b"\x8a\x00");
}

#[test]
fn this_end_closes() {
    for role in ROLES {
        let echo = Echo { closes_at: Some("stop"), ..Echo::default() };
        let mut peer = Peer::with(role, options(), echo);
        let stream = [peer.frame(0x81, b"stop"), peer.frame(0x81, b"more")].concat();
        peer.send_bytes(&stream);
        assert_eq!(peer.sent(), [(0x88, b"\x03\xe8enough".to_vec())]);
        // Messages arrive until the peer has answered; pings are not answered any more.
        peer.send(0x89, "");
        assert_eq!(peer.notes(), ["late: more", "ping 0"]);
        assert_eq!(peer.sent(), []);
        peer.send(0x88, b"\x03\xe8");
        assert_eq!(peer.is_closing(), role == Role::Server);
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["close 1000 (normal closure)", "lost clean 1000"]);
        assert_eq!(peer.sent(), []);
    }
}

#[test]
fn a_close_that_is_not_answered() {
    for role in ROLES {
        let echo = Echo { closes_at: Some("stop"), ..Echo::default() };
        let mut peer = Peer::with(role, options(), echo);
        peer.send(0x81, "stop");
        for _ in 0..9 {
            peer.advance(1);
            peer.send(0x81, "x");
        }
        assert!(!peer.is_closing());
        peer.advance(1);
        assert!(peer.is_closing());
        assert_eq!(
            peer.notes().last().unwrap(),
            "lost unclean 1006 the protocol's own deadline passed"
        );
    }
}

#[test]
fn a_server_that_does_not_end_the_connection() {
    let mut peer = Peer::of(Role::Client);
    peer.send(0x88, b"\x03\xe8");
    peer.advance(9);
    assert!(!peer.is_closing());
    peer.advance(1);
    assert!(peer.is_closing());
    peer.recorder.receive_eof().unwrap();
    assert_eq!(peer.notes().last().unwrap(), "lost clean 1000");
}

#[test]
fn connections_that_break_off() {
    for role in ROLES {
        let mut peer = Peer::of(role);
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["lost unclean 1006"]);

        let mut peer = Peer::of(role);
        peer.send(0x01, "half");
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["lost unclean 1006 violation"]);

        let mut peer = Peer::of(role);
        peer.recorder.receive_reset().unwrap();
        assert!(peer.notes()[0].starts_with("lost unclean 1006 "), "with an error");
    }
}

#[test]
fn a_silent_peer_is_asked_and_given_up() {
    for role in ROLES {
        let mut peer = Peer::of(role);
        peer.advance(20);
        // The opening was heard in this interval.
        assert_eq!(peer.sent(), []);
        peer.advance(20);
        assert_eq!(peer.sent(), [(0x89, vec![])]);
        peer.send(0x8a, "");
        assert_eq!(peer.notes(), ["pong 0"]);
        peer.advance(20);
        assert_eq!(peer.sent(), []);
        peer.advance(20);
        assert_eq!(peer.sent(), [(0x89, vec![])]);
        peer.advance(19);
        assert!(!peer.is_closing());
        peer.advance(1);
        assert!(peer.is_closing());
        assert_eq!(peer.notes(), ["lost unclean 1006 the protocol's own deadline passed"]);
    }
}

#[test]
fn a_busy_peer_is_not_asked_and_none_is_without_an_interval() {
    let mut peer = Peer::of(Role::Server);
    for _ in 0..100 {
        peer.advance(15);
        peer.send(0x81, "x");
        assert_eq!(peer.sent(), [(0x81, b"x".to_vec())]);
    }
    let mut peer = Peer::with(Role::Server, options().ping_interval(None), Echo::default());
    peer.advance(1_000_000);
    assert!(!peer.is_closing());
    assert_eq!(peer.sent(), []);
}

#[test]
fn a_server_that_shuts_down_says_so() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let factory =
                || WebSocketSession::server(Echo::default(), ServerHandshake::new(), options());
            let server = event_loop.create_server(factory, "10.0.0.1:80").await?;
            let echo = Echo::default();
            let log = Rc::clone(&echo.log);
            let factory = || WebSocketSession::client(echo, client(), options());
            event_loop.create_connection(factory, "10.0.0.1:80").await?;
            event_loop.sleep(Duration::from_millis(10)).await;
            server.shutdown(Duration::from_secs(5)).await?;
            event_loop.sleep(Duration::from_millis(10)).await;
            let expected = ["opened", "close 1001 (going away)", "lost clean 1001"];
            assert_eq!(*log.borrow(), expected);
            Ok(())
        })
        .unwrap();
}

#[test]
fn large_messages_by_parts() {
    for role in ROLES {
        let options = options().parts(true).max_message_length(usize::MAX);
        let mut peer = Peer::with(role, options, Echo::default());
        let text = "\u{20ac}".repeat(1 << 18);
        peer.send(0x81, &text);
        let sent = peer.sent();
        assert!(sent.len() > 1, "it was not held");
        assert_eq!(sent[0].0, 0x01);
        let joined: Vec<u8> = sent.iter().flat_map(|(_, payload)| payload.clone()).collect();
        assert_eq!(joined, text.as_bytes());
        assert_eq!(sent.last().unwrap().0, 0x80);
        assert_eq!(peer.notes(), [format!("text of {}", text.len())]);
    }
}

#[test]
fn parts_are_sent_in_order() {
    let mut peer = Peer::of(Role::Server);
    let part = |data, is_first, is_last| Part { kind: DataKind::Text, data, is_first, is_last };
    let send = |session: &mut WebSocketSession<Echo>, _: &dyn Transport| {
        let socket = session.socket().unwrap();
        socket.send_part(&part(b"one", true, false)).unwrap();
        assert_eq!(socket.send_text("no"), Err(EncodeError::UnfinishedMessage));
        socket.ping(b"?").unwrap();
        socket.send_part(&part(b"two", false, true)).unwrap();
    };
    peer.recorder.with(send).unwrap();
    assert_eq!(
        peer.sent(),
        [(0x01, b"one".to_vec()), (0x89, b"?".to_vec()), (0x80, b"two".to_vec())]
    );
}

#[test]
fn a_socket_outlives_its_connection() {
    let mut peer = Peer::of(Role::Client);
    let socket = peer.recorder.with(|session, _| session.socket().unwrap().clone()).unwrap();
    peer.recorder.receive_eof().unwrap();
    assert!(!socket.is_open());
    assert!(!socket.send_text("nobody").unwrap().is_taken());
    assert!(!socket.close(CloseCode::NORMAL, "").unwrap().is_taken());
    assert_eq!(socket.send(&Message::Close(None)), Err(EncodeError::AfterClose));
}

#[test]
fn reading_that_is_paused_stops_between_messages() {
    struct Pausing(Rc<std::cell::RefCell<Vec<String>>>);
    impl WebSocketProtocol for Pausing {
        fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
            self.0.borrow_mut().push(text.to_owned());
            socket.transport().pause_reading();
            Ok(())
        }
    }
    let log = Rc::default();
    let pausing = Pausing(Rc::clone(&log));
    let factory = || WebSocketSession::server(pausing, ServerHandshake::new(), options());
    let mut recorder = Recorder::new(factory).unwrap();
    let mut bytes = Vec::new();
    client().encode(&mut bytes);
    bytes.extend(b"\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b\x81\x81\0\0\0\0c");
    recorder.receive(&bytes).unwrap();
    for expected in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
        assert_eq!(*log.borrow(), expected);
        recorder.with(|_, transport| transport.resume_reading()).unwrap();
    }
}

#[test]
fn a_stream_is_taken_over() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let serve = async |mut reader: wharf::StreamReader, writer: wharf::StreamWriter| {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(reader.read_exactly(1).await?[0]);
                }
                let request = RequestDecoder::new().decode(&mut &head[..])?.expect("it is whole");
                let acceptance = ServerHandshake::new().accept(&request)?;
                head.clear();
                acceptance.encode(&mut head);
                writer.write_all(&head).await?;
                let stream = wharf::ByteStream::join(reader, writer);
                let agreed = acceptance.agreed().clone();
                let session = WebSocketSession::take_over_stream(
                    stream,
                    Role::Server,
                    Echo { closes_at: Some("stop"), ..Echo::default() },
                    agreed,
                    options(),
                )?;
                session.wait_closed().await?;
                Ok(())
            };
            event_loop.start_server(serve, "10.0.0.1:80").await?;
            let echo = Echo::default();
            let log = Rc::clone(&echo.log);
            let factory = || WebSocketSession::client(echo, client(), options());
            let client = event_loop.create_connection(factory, "10.0.0.1:80").await?;
            event_loop.sleep(Duration::from_millis(10)).await;
            let send = |session: &mut WebSocketSession<Echo>, _: &dyn Transport| {
                session.socket().unwrap().send_text("stop").unwrap();
            };
            client.with(send)?;
            event_loop.sleep(Duration::from_millis(10)).await;
            let expected = ["opened", "close 1000 (normal closure): enough", "lost clean 1000"];
            assert_eq!(*log.borrow(), expected);
            Ok(())
        })
        .unwrap();
}
