use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::*;
use crate::websocket::{
    ClientHandshake, CloseCode, HandshakeError, MaskKeys, Message, ServerHandshake, Violation,
    WebSocketError, WebSocketOptions,
};

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

fn options() -> WebSocketOptions {
    WebSocketOptions::new()
}

async fn accepted(reader: StreamReader, writer: StreamWriter) -> Result<WebSocketStream> {
    WebSocketStream::accept(reader, writer, ServerHandshake::new(), options()).await
}

async fn echo(reader: StreamReader, writer: StreamWriter) -> Result {
    let mut socket = accepted(reader, writer).await?;
    while let Some(message) = socket.next().await {
        socket.send(&message?).await?;
    }
    Ok(())
}

#[test]
fn a_conversation() {
    run(async |event_loop| {
        event_loop.start_server(echo, "10.0.0.1:80").await?;
        let mut socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options()).await?;
        for round in 0..100 {
            socket.send(Message::Binary(&[round; 1000])).await?;
            let answer = socket.next().await.transpose()?;
            assert_eq!(answer, Some(OwnedMessage::Binary(vec![round; 1000])));
        }
        let closure = socket.close(CloseCode::new(4000), "done").await?;
        assert_eq!((closure.code.get(), closure.is_clean), (4000, true));
        Ok(())
    });
}

#[test]
fn the_server_closes() {
    run(async |event_loop| {
        let serve = async |reader: StreamReader, writer: StreamWriter| {
            let mut socket = accepted(reader, writer).await?;
            let _ = socket.next().await;
            socket.send("last").await?;
            let closure = socket.close(CloseCode::NORMAL, "bye").await?;
            assert!(closure.is_clean);
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options()).await?;
        let (mut reader, writer) = socket.split();
        writer.send("first").await?;
        let last = reader.next().await.transpose()?;
        assert_eq!(last, Some(OwnedMessage::Text("last".to_owned())));
        assert!(reader.next().await.is_none());
        let closure = reader.closure().expect("it has ended");
        assert_eq!((closure.code, closure.reason.as_str()), (CloseCode::NORMAL, "bye"));
        assert!(writer.send("late").await.is_err());
        Ok(())
    });
}

#[test]
fn dropped_halves_close() {
    run(async |event_loop| {
        let serve = async |reader: StreamReader, writer: StreamWriter| {
            drop(accepted(reader, writer).await?);
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let mut socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options()).await?;
        assert!(socket.next().await.is_none());
        assert!(!socket.socket().is_open());
        Ok(())
    });
}

#[test]
fn a_connection_that_breaks_off_is_an_error_after_its_messages() {
    run(async |event_loop| {
        let serve = async |reader: StreamReader, writer: StreamWriter| {
            let socket = accepted(reader, writer).await?;
            socket.send("one").await?;
            wharf::Transport::close(socket.socket().transport());
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let mut socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options()).await?;
        assert_eq!(socket.next().await.transpose()?, Some(OwnedMessage::Text("one".to_owned())));
        let error = socket.next().await.expect("an error").unwrap_err();
        assert!(error.is_protocol_violation());
        assert!(socket.next().await.is_none());
        assert!(socket.send("x").await.is_err());
        Ok(())
    });
}

#[test]
fn a_peer_that_breaks_a_rule() {
    run(async |event_loop| {
        let serve = async |mut reader: StreamReader, writer: StreamWriter| {
            // An opening handshake by hand, then a frame with reserved bits.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(reader.read_exactly(1).await?[0]);
            }
            let mut input = &request[..];
            let mut decoder = crate::websocket::RequestDecoder::new();
            let request = crate::codec::Decoder::decode(&mut decoder, &mut input)?.unwrap();
            let mut answer = Vec::new();
            ServerHandshake::new().accept(&request)?.encode(&mut answer);
            answer.extend_from_slice(b"\x81\x01a\xf1\x00");
            writer.write_all(&answer).await?;
            let close = reader.read_to_end(1000).await?;
            assert_eq!(close[0], 0x88);
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let mut socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options()).await?;
        assert!(socket.next().await.expect("a message").is_ok());
        let error = socket.next().await.expect("an error").unwrap_err();
        let violation = error.downcast_ref::<WebSocketError>().map(|error| error.violation);
        assert_eq!(violation, Some(Violation::ReservedBits));
        Ok(())
    });
}

#[test]
fn openings_that_fail() {
    run(async |event_loop| {
        let serve = async |mut reader: StreamReader, writer: StreamWriter| {
            reader.read_line().await?;
            writer.write_all(b"HTTP/1.1 404 Not Found\r\n\r\n").await?;
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let error =
            WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options()).await.unwrap_err();
        let status = match error.downcast_ref() {
            Some(HandshakeError::Answered(response)) => response.status(),
            _ => panic!("{error:?}"),
        };
        assert_eq!(status, 404);
        for url in ["http://10.0.0.1/", ""] {
            let error = WebSocketStream::connect(&event_loop, url, options()).await.unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(HandshakeError::Url(_))), "{url}");
        }
        // Nobody there.
        let error =
            WebSocketStream::connect(&event_loop, "ws://10.0.0.2/", options()).await.unwrap_err();
        assert!(error.downcast_ref::<wharf::Error>().is_some_and(wharf::Error::is_connect));

        // A request that is none.
        let serve = async |reader: StreamReader, writer: StreamWriter| {
            let error = accepted(reader, writer).await.unwrap_err();
            assert!(error.downcast_ref::<HandshakeError>().is_some());
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:81").await?;
        let (mut reader, writer) = event_loop.open_connection("10.0.0.1:81").await?;
        writer.write_all(b"GET / HTTP/1.1\r\n\r\n").await?;
        let answer = reader.read_to_end(1000).await?;
        assert!(answer.starts_with(b"HTTP/1.1 400 "));
        Ok(())
    });
}

/// Whoever gives up a future at any time leaves no connection behind, on neither side.
#[test]
fn openings_that_are_given_up_close_the_connection() {
    run(async |event_loop| {
        let open = Rc::new(Cell::new(0));
        let serving = Rc::clone(&open);
        let serve = move |reader: StreamReader, writer: StreamWriter| {
            let open = Rc::clone(&serving);
            async move {
                open.set(open.get() + 1);
                wharf::sleep(Duration::from_millis(50)).await;
                if let Ok(mut socket) = accepted(reader, writer).await {
                    while socket.next().await.is_some() {}
                }
                open.set(open.get() - 1);
                Ok(())
            }
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let within = |steps: u32| async move {
            for _ in 0..steps {
                wharf::yield_now().await;
            }
        };
        for steps in 0..40 {
            for wait in [0, 49, 50, 51] {
                let connect = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options());
                let late = async {
                    wharf::sleep(Duration::from_millis(wait)).await;
                    within(steps).await;
                };
                let mut late = std::pin::pin!(late);
                let mut connect = std::pin::pin!(connect);
                std::future::poll_fn(|context| {
                    if late.as_mut().poll(context).is_ready() {
                        return std::task::Poll::Ready(());
                    }
                    connect.as_mut().poll(context).map(drop)
                })
                .await;
            }
        }
        event_loop.sleep(Duration::from_secs(60)).await;
        assert_eq!(open.get(), 0);
        Ok(())
    });
}

/// The same for a server that gives up.
#[test]
fn accepting_that_is_given_up_closes_the_connection() {
    run(async |event_loop| {
        let serve = async |reader: StreamReader, writer: StreamWriter| {
            let _ = wharf::timeout(Duration::from_secs(1), accepted(reader, writer)).await;
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let (mut reader, _writer) = event_loop.open_connection("10.0.0.1:80").await?;
        let begun = event_loop.time();
        let _ = reader.read_to_end(1000).await;
        assert!(event_loop.time() - begun < Duration::from_secs(2));
        Ok(())
    });
}

#[test]
fn a_client_that_says_nothing_is_not_waited_for() {
    run(async |event_loop| {
        let serve = async |reader: StreamReader, writer: StreamWriter| {
            let error = accepted(reader, writer).await.unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&HandshakeError::TimedOut));
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let begun = event_loop.time();
        let (mut reader, _writer) = event_loop.open_connection("10.0.0.1:80").await?;
        let _ = reader.read_to_end(1000).await;
        assert!(event_loop.time() - begun < Duration::from_secs(11));
        Ok(())
    });
}

#[test]
fn who_sends_waits_for_who_reads() {
    run(async |event_loop| {
        let serve = async |reader: StreamReader, writer: StreamWriter| {
            let mut socket = accepted(reader, writer).await?;
            let mut received = 0;
            while let Some(message) = socket.next().await {
                message?;
                received += 1;
                wharf::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(received, 1000);
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options()).await?;
        let message = vec![1; 10_000];
        for _ in 0..1000 {
            socket.send(&message[..]).await?;
            let waiting = wharf::Transport::write_buffer_size(socket.socket().transport());
            assert!(waiting <= 80_000, "{waiting}");
        }
        let closure = socket.close(CloseCode::NORMAL, "").await?;
        assert!(closure.is_clean);
        Ok(())
    });
}

#[test]
fn who_sends_while_it_closes_waits_for_its_end() {
    run(async |event_loop| {
        // It takes nothing behind the opening handshake.
        let serve = async |mut reader: StreamReader, writer: StreamWriter| {
            reader.set_limit(1000);
            let head = reader.read_until(b"\r\n\r\n").await?.to_vec();
            let mut decoder = crate::websocket::RequestDecoder::new();
            let request = crate::codec::Decoder::decode(&mut decoder, &mut &head[..])?.unwrap();
            let mut answer = Vec::new();
            ServerHandshake::new().accept(&request)?.encode(&mut answer);
            writer.write_all(&answer).await?;
            wharf::sleep(Duration::from_secs(100)).await;
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let socket = WebSocketStream::connect(&event_loop, "ws://10.0.0.1/", options()).await?;
        let handle = socket.socket().transport().clone();
        let closing = event_loop.create_task(async move { wharf::Transport::close(&handle) });
        let begun = event_loop.time();
        let message = vec![0; 1 << 20];
        let _ = socket.send(&message[..]).await;
        closing.await?;
        assert!(event_loop.time() - begun <= Duration::from_secs(60));
        assert!(!socket.socket().is_open());
        Ok(())
    });
}

#[test]
fn over_a_connection_that_is_there() {
    run(async |event_loop| {
        event_loop.start_server(echo, "10.0.0.1:80").await?;
        let (reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
        let url = "ws://example.org/chat".parse()?;
        let handshake = ClientHandshake::new(url, &mut MaskKeys::random())
            .field("Origin", "http://example.org")?;
        let mut socket =
            WebSocketStream::connect_over(reader, writer, handshake, options()).await?;
        socket.send("hello").await?;
        let answer = socket.next().await.transpose()?;
        assert_eq!(answer, Some(OwnedMessage::Text("hello".to_owned())));
        Ok(())
    });
}

#[cfg(feature = "websocket-deflate")]
#[test]
fn compressed_messages() {
    use crate::websocket::DeflateOptions;
    run(async |event_loop| {
        for alone in [false, true] {
            let deflate = DeflateOptions::new().no_context_takeover(alone);
            let accepting = deflate.clone();
            let serve = move |reader: StreamReader, writer: StreamWriter| {
                let handshake = ServerHandshake::new().deflate(accepting.clone());
                async move {
                    let mut socket =
                        WebSocketStream::accept(reader, writer, handshake, options()).await?;
                    while let Some(message) = socket.next().await {
                        socket.send(&message?).await?;
                    }
                    Ok(())
                }
            };
            let server = event_loop.start_server(serve, "10.0.0.1:0").await?;
            let (reader, writer) = event_loop.open_connection(server.local_address()?).await?;
            let handshake =
                ClientHandshake::new("ws://a/".parse()?, &mut MaskKeys::random()).deflate(deflate);
            let mut socket =
                WebSocketStream::connect_over(reader, writer, handshake, options()).await?;
            let agreed = socket.socket().agreed().deflate.clone().expect("it is agreed upon");
            assert_eq!(agreed.server_no_context_takeover, alone);
            for round in 0..20 {
                let text = format!("round {round} ").repeat(100 * round);
                socket.send(&text[..]).await?;
                assert_eq!(socket.next().await.transpose()?, Some(OwnedMessage::Text(text)));
            }
            assert!(socket.close(CloseCode::NORMAL, "").await?.is_clean);
        }
        Ok(())
    });
}
