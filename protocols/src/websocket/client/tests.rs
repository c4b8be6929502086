//! Clients by their URLs, in memory and in virtual time.

#[cfg(feature = "tls")]
mod over_tls;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{Error, EventLoop, Result, StreamReader, StreamWriter, TimeoutKind};

use super::*;
use crate::websocket::{
    CloseCode, MAX_REFUSAL_BODY, OwnedMessage, ServerHandshake, UpgradeResponse, WebSocket,
};

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    let network = MemoryNetwork::new().host("example.test", ["10.0.0.1".parse().unwrap()]);
    network.event_loop().run(test).unwrap();
}

type Requests = Rc<RefCell<Vec<String>>>;

/// Echoes, and notes what it is asked.
async fn echo(reader: StreamReader, writer: StreamWriter, requests: Requests) -> Result {
    let handshake = ServerHandshake::new().protocols(["b"]).allow_any_origin();
    let mut socket =
        WebSocketStream::accept(reader, writer, handshake, WebSocketOptions::new()).await?;
    let request = socket.socket().request().expect("a request");
    let fields = request.fields().iter().filter(|(name, _)| !name.starts_with("Sec-"));
    let fields: Vec<String> = fields.map(|(name, value)| format!("{name}: {value}")).collect();
    requests.borrow_mut().push(format!("{} {}", request.target(), fields.join("; ")));
    while let Some(message) = socket.next().await {
        socket.send(&message?).await?;
    }
    Ok(())
}

async fn serve(event_loop: &EventLoop, address: &'static str) -> Result<Requests> {
    let requests = Requests::default();
    let noted = Rc::clone(&requests);
    let handler = move |reader, writer| echo(reader, writer, Rc::clone(&noted));
    event_loop.start_server(handler, address).await?;
    Ok(requests)
}

/// Reads a request's head from each connection, answers it with `answer`, and keeps the connection for a minute.
async fn answer(event_loop: &EventLoop, address: &'static str, answer: String) -> Result<Requests> {
    let requests = Requests::default();
    let noted = Rc::clone(&requests);
    let handler = move |mut reader: StreamReader, writer: StreamWriter| {
        let (noted, answer) = (Rc::clone(&noted), answer.clone());
        async move {
            let request = String::from_utf8(reader.read_until(b"\r\n\r\n").await?.to_vec())?;
            noted.borrow_mut().push(request);
            writer.write_all(answer.as_bytes()).await?;
            let end = wharf::timeout(Duration::from_secs(60), reader.read_chunk()).await;
            assert!(end.is_ok_and(|end| end.is_ok_and(<[u8]>::is_empty)), "the client has closed");
            Ok(())
        }
    };
    event_loop.start_server(handler, address).await?;
    Ok(requests)
}

async fn converse(mut socket: WebSocketStream) -> Result {
    socket.send("hello").await?;
    assert_eq!(socket.next().await.transpose()?, Some(OwnedMessage::Text("hello".to_owned())));
    assert!(socket.close(CloseCode::NORMAL, "").await?.is_clean);
    Ok(())
}

fn refusal(failure: &wharf::Failure) -> &UpgradeResponse {
    match failure.downcast_ref() {
        Some(HandshakeError::Answered(response)) => response,
        _ => panic!("{failure:?}"),
    }
}

#[test]
fn a_url_says_where_and_what() {
    run(async |event_loop| {
        let requests = serve(&event_loop, "10.0.0.1:80").await?;
        let client = WebSocketClient::new(&event_loop)
            .protocols(["a", "b"])
            .field("Origin", "http://a.test")
            .field("Authorization", "Basic x");
        let socket = client.connect("ws://Example.Test/chat/%20?room=1&x=/").await?;
        assert_eq!(socket.socket().agreed().protocol.as_deref(), Some("b"));
        converse(socket).await?;
        let expected = "/chat/%20?room=1&x=/ Host: Example.Test; Upgrade: websocket; \
            Connection: Upgrade; Origin: http://a.test; Authorization: Basic x";
        assert_eq!(*requests.borrow(), [expected]);
        Ok(())
    });
}

/// Says hello, keeps what comes back, and closes.
#[derive(Default)]
struct Hello(Vec<String>);

impl WebSocketProtocol for Hello {
    fn opened(&mut self, socket: &WebSocket) -> Result {
        socket.send_text("hello")?;
        Ok(())
    }

    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        self.0.push(text.to_owned());
        socket.close(CloseCode::NORMAL, "")?;
        Ok(())
    }
}

#[test]
fn a_protocol_is_installed_when_it_is_open() {
    run(async |event_loop| {
        serve(&event_loop, "10.0.0.1:80").await?;
        let client = WebSocketClient::new(&event_loop);
        // Without `async`.
        let task =
            event_loop.create_task(client.create_connection(Hello::default(), "ws://10.0.0.1/"));
        let connections = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&connections);
        task.add_done_callback(move |result| match result {
            Ok(Ok(connection)) => kept.borrow_mut().push(connection.clone()),
            other => panic!("{other:?}"),
        });
        event_loop.sleep(Duration::from_millis(10)).await;
        let connection = connections.borrow_mut().pop().expect("a connection");
        connection.wait_closed().await?;

        let failed = client.create_connection(Hello::default(), "ws://10.0.0.3/").await;
        assert!(failed.unwrap_err().downcast_ref::<Error>().is_some_and(Error::is_connect));
        let failed = client.create_connection(Hello::default(), "nothing").await;
        assert!(matches!(failed.unwrap_err().downcast_ref(), Some(HandshakeError::Url(_))));
        Ok(())
    });
}

#[test]
fn a_protocol_that_fails_to_open_is_reported() {
    struct Failing;
    impl WebSocketProtocol for Failing {
        fn opened(&mut self, _: &WebSocket) -> Result {
            Err("not today".into())
        }
    }
    run(async |event_loop| {
        serve(&event_loop, "10.0.0.1:80").await?;
        let reports = Rc::new(RefCell::new(Vec::new()));
        let noted = Rc::clone(&reports);
        event_loop.set_exception_handler(move |_, report| {
            noted.borrow_mut().push(format!("{report}"));
        });
        let client = WebSocketClient::new(&event_loop);
        let connection = client.create_connection(Failing, "ws://10.0.0.1/").await?;
        let _ = connection.wait_closed().await;
        assert!(reports.borrow().iter().any(|report| report.contains("not today")), "{reports:?}");
        Ok(())
    });
}

#[test]
fn what_cannot_be_sent_is_an_error_before_anything_is_sent() {
    run(async |event_loop| {
        let client = || WebSocketClient::new(&event_loop);
        for client in [
            client().protocols(["a b"]),
            client().protocols(["a", "a"]),
            client().field("X", "a\r\nY: b"),
            client().field("Host", "a"),
            client().field("Sec-WebSocket-Key", "a"),
        ] {
            let error = client.connect("ws://10.0.0.9/").await.unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(HandshakeError::Unsendable(_))), "{error}");
        }
        // Nothing of a path gets out of its line.
        for url in ["ws://10.0.0.9/a b", "ws://10.0.0.9/\r\nX: y", "ws://10.0.0.9/\u{85}"] {
            let error = client().connect(url).await.unwrap_err();
            assert!(matches!(error.downcast_ref(), Some(HandshakeError::Url(_))), "{error}");
        }
        Ok(())
    });
}

#[test]
fn a_refusal_says_what_the_server_said() {
    run(async |event_loop| {
        let said = "HTTP/1.1 403 Forbidden\r\nRetry-After: 9\r\nContent-Length: 20\r\n\r\n\n no room for you \r\n";
        answer(&event_loop, "10.0.0.1:80", said.to_owned()).await?;
        let error = WebSocketClient::new(&event_loop).connect("ws://10.0.0.1/").await.unwrap_err();
        let response = refusal(&error);
        assert_eq!((response.status(), response.reason()), (403, "Forbidden"));
        assert_eq!(response.fields().get("retry-after"), Some("9"));
        assert_eq!(response.body(), b"\n no room for you \r\n");
        let expected = "the server has answered with 403 Forbidden: no room for you";
        assert_eq!(error.to_string(), expected);

        // Of HTTP/1.0, in chunks, and after a hint.
        for (at, said, body) in [
            ("10.0.0.1:81", "HTTP/1.0 502 Bad\r\nContent-Length: 4\r\n\r\ngone", "gone"),
            (
                "10.0.0.1:82",
                "HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
                "abc",
            ),
            (
                "10.0.0.1:83",
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\n!",
                "!",
            ),
        ] {
            answer(&event_loop, at, said.to_owned()).await?;
            let url = format!("ws://{at}/");
            let error = WebSocketClient::new(&event_loop).connect(&url).await.unwrap_err();
            assert_eq!(refusal(&error).body(), body.as_bytes(), "{said}");
        }
        Ok(())
    });
}

#[test]
fn a_refusal_is_bounded_in_bytes_and_time() {
    run(async |event_loop| {
        let endless = format!("HTTP/1.1 500 X\r\n\r\n{}", "x".repeat(1 << 20));
        answer(&event_loop, "10.0.0.1:80", endless).await?;
        let error = WebSocketClient::new(&event_loop).connect("ws://10.0.0.1/").await.unwrap_err();
        assert_eq!(refusal(&error).body().len(), MAX_REFUSAL_BODY);

        // One that does not end is told when the handshake has to be over; so is one that is not there.
        let begun = event_loop.time();
        answer(&event_loop, "10.0.0.1:81", "HTTP/1.1 500 X\r\n\r\nbeca".to_owned()).await?;
        let error =
            WebSocketClient::new(&event_loop).connect("ws://10.0.0.1:81/").await.unwrap_err();
        assert_eq!(refusal(&error).body(), b"beca");
        answer(&event_loop, "10.0.0.1:82", String::new()).await?;
        let error =
            WebSocketClient::new(&event_loop).connect("ws://10.0.0.1:82/").await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&HandshakeError::TimedOut));
        assert_eq!(event_loop.time() - begun, Duration::from_secs(20));

        // A head without end.
        let endless = format!("HTTP/1.1 101 X\r\nX: {}", "x".repeat(1 << 20));
        answer(&event_loop, "10.0.0.1:83", endless).await?;
        let error =
            WebSocketClient::new(&event_loop).connect("ws://10.0.0.1:83/").await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(HandshakeError::HeadTooLong { .. })));
        Ok(())
    });
}

#[test]
fn redirects_are_followed_if_asked_for() {
    run(async |event_loop| {
        let to = |location: &str| {
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
        };
        let first = answer(&event_loop, "10.0.0.1:80", to("http://10.0.0.2/there?x")).await?;
        let second = answer(&event_loop, "10.0.0.2:80", to("//10.0.0.1:81/end")).await?;
        let end = serve(&event_loop, "10.0.0.1:81").await?;
        answer(&event_loop, "10.0.0.3:80", to("/round")).await?;
        let client = WebSocketClient::new(&event_loop).field("Cookie", "secret").field("X", "y");

        let error = client.connect("ws://10.0.0.1/").await.unwrap_err();
        assert_eq!(refusal(&error).fields().get("Location"), Some("http://10.0.0.2/there?x"));
        assert!(second.borrow().is_empty());
        let error = client.clone().max_redirects(1).connect("ws://10.0.0.1/").await.unwrap_err();
        assert_eq!(refusal(&error).status(), 302);

        converse(client.clone().max_redirects(2).connect("ws://10.0.0.1/").await?).await?;
        assert!(first.borrow().iter().all(|request| request.contains("Cookie: secret\r\n")));
        for request in &*second.borrow() {
            assert!(
                request.starts_with("GET /there?x HTTP/1.1\r\nHost: 10.0.0.2\r\n"),
                "{request}"
            );
            assert!(request.contains("X: y\r\n") && !request.contains("secret"), "{request}");
        }
        assert!(end.borrow()[0].starts_with("/end ") && !end.borrow()[0].contains("secret"));

        // In a circle.
        let error = client.max_redirects(5).connect("ws://10.0.0.3/").await.unwrap_err();
        assert_eq!(refusal(&error).status(), 302);
        Ok(())
    });
}

/// Connects whoever asks to `to`, and passes everything on.
async fn proxy(event_loop: &EventLoop, to: &'static str) -> Result<Requests> {
    let requests = Requests::default();
    let noted = Rc::clone(&requests);
    let on = event_loop.clone();
    let handler = move |mut reader: StreamReader, writer: StreamWriter| {
        let (noted, on) = (Rc::clone(&noted), on.clone());
        async move {
            let request = String::from_utf8(reader.read_until(b"\r\n\r\n").await?.to_vec())?;
            noted.borrow_mut().push(request);
            let (mut answers, asking) = on.open_connection(to).await?;
            writer.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
            let back = async move {
                loop {
                    let data = answers.read_chunk().await?;
                    if data.is_empty() {
                        writer.write_eof();
                        return Ok::<_, wharf::Failure>(());
                    }
                    writer.write_all(data).await?;
                }
            };
            on.create_task(back).detach();
            loop {
                let data = reader.read_chunk().await?;
                if data.is_empty() {
                    asking.write_eof();
                    return Ok(());
                }
                asking.write_all(data).await?;
            }
        }
    };
    event_loop.start_server(handler, "10.0.0.9:3128").await?;
    Ok(requests)
}

#[test]
fn a_proxy_is_asked_to_connect() {
    run(async |event_loop| {
        serve(&event_loop, "10.0.0.1:80").await?;
        let asked = proxy(&event_loop, "10.0.0.1:80").await?;
        let client = WebSocketClient::new(&event_loop).proxy("10.0.0.9:3128");
        converse(client.connect("ws://hidden.test/").await?).await?;
        let client = client.proxy_authorization("Basic dTpw");
        converse(client.connect("ws://[::1]:81/").await?).await?;
        let expected = [
            "CONNECT hidden.test:80 HTTP/1.1\r\nHost: hidden.test:80\r\n\r\n",
            "CONNECT [::1]:81 HTTP/1.1\r\nHost: [::1]:81\r\nProxy-Authorization: Basic dTpw\r\n\r\n",
        ];
        assert_eq!(*asked.borrow(), expected);
        let client = client.proxy_authorization("a\r\nb");
        let error = client.connect("ws://hidden.test/").await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(HandshakeError::Unsendable(_))), "{error}");

        let refuses = "HTTP/1.1 407 Proxy\r\nContent-Length: 3\r\n\r\nwho";
        answer(&event_loop, "10.0.0.8:3128", refuses.to_owned()).await?;
        let client = WebSocketClient::new(&event_loop).proxy("10.0.0.8:3128");
        let error = client.connect("ws://hidden.test/").await.unwrap_err();
        assert_eq!(error.to_string(), "the proxy has answered with 407 Proxy: who");
        Ok(())
    });
}

#[test]
fn connecting_and_waiting_have_deadlines() {
    run(async |event_loop| {
        // A proxy that says nothing.
        answer(&event_loop, "10.0.0.8:3128", String::new()).await?;
        let client = WebSocketClient::new(&event_loop)
            .proxy("10.0.0.8:3128")
            .connect_timeout(Duration::from_secs(3));
        let begun = event_loop.time();
        let error = client.connect("ws://hidden.test/").await.unwrap_err();
        let kind = error.downcast_ref::<Error>().and_then(Error::timeout_kind);
        assert_eq!(kind, Some(TimeoutKind::Future));
        assert_eq!(event_loop.time() - begun, Duration::from_secs(3));
        Ok(())
    });
}

/// A future that is dropped leaves no connection, however far it is.
#[test]
fn giving_up_closes_the_connection() {
    run(async |event_loop| {
        let ended = Rc::new(RefCell::new(0));
        let noted = Rc::clone(&ended);
        let handler = move |mut reader: StreamReader, writer: StreamWriter| {
            let noted = Rc::clone(&noted);
            async move {
                let _ = writer.write_all(b"HTTP/1.1 101 Switching").await;
                while reader.read_chunk().await.is_ok_and(|data| !data.is_empty()) {}
                *noted.borrow_mut() += 1;
                Ok(())
            }
        };
        event_loop.start_server(handler, "10.0.0.1:80").await?;
        let client = WebSocketClient::new(&event_loop);
        for after in [1, 5, 9000] {
            let connecting = client.connect("ws://10.0.0.1/");
            assert!(wharf::timeout(Duration::from_millis(after), connecting).await.is_err());
        }
        let (reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
        let handshake = ClientHandshake::new("ws://a/".parse()?, &mut MaskKeys::random());
        let options = WebSocketOptions::new();
        let connecting = WebSocketStream::connect_over(reader, writer, handshake, options);
        assert!(wharf::timeout(Duration::from_millis(5), connecting).await.is_err());
        event_loop.sleep(Duration::from_millis(5)).await;
        assert_eq!(*ended.borrow(), 4);
        Ok(())
    });
}
