//! What others' users have reported of other implementations, tried on this one: deadlines and closing.

use super::*;
use crate::websocket::{OwnedMessage, WebSocketClient, WebSocketStream};

/// A keep-alive gave up a peer that was still taking a large message over a slow link: the ping waits behind it
/// (WebSocket-Node 229).
#[test]
fn a_peer_that_takes_a_large_message_slowly_is_there() {
    let factory = || WebSocketSession::server(Echo::default(), ServerHandshake::new(), options());
    let mut recorder = Recorder::with_capacity(4096, factory).unwrap();
    let mut request = Vec::new();
    client().encode(&mut request);
    recorder.receive(&request).unwrap();
    recorder.sent().unwrap();
    let send = |session: &mut WebSocketSession<Echo>, _: &dyn Transport| {
        session.socket().unwrap().send_binary(&[0; 400_000]).unwrap();
    };
    recorder.with(send).unwrap();
    for _ in 0..40 {
        recorder.advance(Duration::from_secs(15)).unwrap();
        assert!(!recorder.is_closing());
        assert_eq!(recorder.take_sent(4096).unwrap().len(), 4096);
    }
    // One that takes nothing any more is given up.
    recorder.advance(Duration::from_secs(39)).unwrap();
    assert!(!recorder.is_closing());
    recorder.advance(Duration::from_secs(2)).unwrap();
    assert!(recorder.is_closing());
}

/// Who reads slowly heard no pong behind the messages that waited, and gave its peer up (websockets 1012).
#[test]
fn a_slow_reader_does_not_give_up_its_peer() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let serve = async |reader: wharf::StreamReader, writer: wharf::StreamWriter| {
                let handshake = ServerHandshake::new();
                let mut socket =
                    WebSocketStream::accept(reader, writer, handshake, options()).await?;
                let mut received = 0;
                while let Some(message) = socket.next().await {
                    message?;
                    received += 1;
                    wharf::sleep(Duration::from_secs(30)).await;
                }
                assert_eq!(received, 40);
                Ok(())
            };
            event_loop.start_server(serve, "10.0.0.1:80").await?;
            let patient = options().ping_interval(None).close_timeout(Duration::from_secs(3600));
            let client = WebSocketClient::new(&event_loop).options(patient);
            let socket = client.connect("ws://10.0.0.1/").await?;
            for _ in 0..40 {
                socket.send(&[0; 10_000][..]).await?;
            }
            assert!(socket.close(CloseCode::NORMAL, "").await?.is_clean);
            Ok(())
        })
        .unwrap();
}

/// A silent peer was given up only after the interval of the pings, where the time to answer one was shorter (tornado
/// 2905).
#[test]
fn the_time_to_answer_may_be_shorter_than_the_interval() {
    let options =
        options().ping_interval(Duration::from_secs(60)).ping_timeout(Duration::from_secs(5));
    let mut peer = Peer::with(Role::Server, options, Echo::default());
    // What it has sent to open counts as heard.
    peer.advance(60);
    assert_eq!(peer.sent(), []);
    peer.advance(60);
    assert_eq!(peer.sent(), [(0x89, Vec::new())]);
    peer.advance(4);
    assert!(!peer.is_closing());
    peer.advance(1);
    assert!(peer.is_closing());
}

/// Two ends that close at once, for different reasons, were an error (ballerina 9031).
#[test]
fn both_ends_close_at_once() {
    for role in ROLES {
        let echo = Echo { closes_at: Some("stop"), ..Echo::default() };
        let mut peer = Peer::with(role, options(), echo);
        let stream = [peer.frame(0x81, b"stop"), peer.frame(0x88, b"\x03\xe9away")].concat();
        peer.send_bytes(&stream);
        assert_eq!(peer.sent(), [(0x88, b"\x03\xe8enough".to_vec())]);
        peer.recorder.receive_eof().unwrap();
        assert_eq!(peer.notes(), ["close 1001 (going away): away", "lost clean 1001"]);
    }
}

/// A close while another task reads took the answer from one of them (coder/websocket 164).
#[test]
fn one_task_closes_while_another_reads() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let factory =
                || WebSocketSession::server(Echo::default(), ServerHandshake::new(), options());
            event_loop.create_server(factory, "10.0.0.1:80").await?;
            let client = WebSocketClient::new(&event_loop);
            let (mut reader, writer) = client.connect("ws://10.0.0.1/").await?.split();
            let reading = event_loop.create_task(async move {
                let mut messages = Vec::new();
                while let Some(message) = reader.next().await {
                    messages.push(message);
                }
                (messages, reader.closure())
            });
            writer.send("last").await?;
            assert!(writer.close(CloseCode::NORMAL, "").await?.is_clean);
            let (messages, closure) = reading.await?;
            assert!(matches!(&messages[..], [Ok(OwnedMessage::Text(text))] if text == "last"));
            assert!(closure.is_some_and(|closure| closure.is_clean));
            Ok(())
        })
        .unwrap();
}

/// A server did not end the connection of a client that sent a close without a mask (misultin 99).
#[test]
fn a_close_without_a_mask() {
    let mut peer = Peer::of(Role::Server);
    peer.send_bytes(b"\x88\x00");
    peer.assert_failed(&[], CloseCode::PROTOCOL_ERROR);
}

/// Megabytes before the answer to a close were kept, or ended the connection uncleanly, and a reader that is gone did not
/// take them.
#[test]
fn messages_before_the_answer_to_a_close() {
    struct Talkative;
    impl WebSocketProtocol for Talkative {
        fn close_received(
            &mut self,
            socket: &WebSocket,
            _: Option<crate::websocket::CloseReason<'_>>,
        ) -> Result {
            for _ in 0..100 {
                socket.send_binary(&[7; 100_000])?;
            }
            Ok(())
        }
    }
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let factory = || WebSocketSession::server(Talkative, ServerHandshake::new(), options());
            event_loop.create_server(factory, "10.0.0.1:80").await?;
            let client = WebSocketClient::new(&event_loop);
            let socket = client.connect("ws://10.0.0.1/").await?;
            assert!(socket.close(CloseCode::NORMAL, "").await?.is_clean);

            // Who reads gets them all.
            let (mut reader, writer) = client.connect("ws://10.0.0.1/").await?.split();
            let closing = event_loop.create_task(writer.close(CloseCode::NORMAL, ""));
            let mut count = 0;
            while let Some(message) = reader.next().await {
                message?;
                count += 1;
            }
            assert_eq!(count, 100);
            assert!(closing.await??.is_clean);
            Ok(())
        })
        .unwrap();
}

/// The streams of a server that shuts down say so, too.
#[test]
fn streams_of_a_server_that_shuts_down() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let serve = async |reader: wharf::StreamReader, writer: wharf::StreamWriter| {
                let handshake = ServerHandshake::new();
                let mut socket =
                    WebSocketStream::accept(reader, writer, handshake, options()).await?;
                while let Some(message) = socket.next().await {
                    message?;
                }
                Ok(())
            };
            let server = event_loop.start_server(serve, "10.0.0.1:80").await?;
            let client = WebSocketClient::new(&event_loop);
            let (mut reader, _writer) = client.connect("ws://10.0.0.1/").await?.split();
            let shutdown = server.shutdown(Duration::from_secs(5));
            assert!(reader.next().await.is_none());
            assert_eq!(reader.closure().expect("it has ended").code, CloseCode::GOING_AWAY);
            shutdown.await?;
            Ok(())
        })
        .unwrap();
}
