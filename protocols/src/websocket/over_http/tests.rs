use std::cell::RefCell;
use std::rc::Rc;

use wharf::testing::{MemoryNetwork, Recorder};
use wharf::{EventLoop, Result};

use super::super::*;
use crate::http::{Body, Exchange, HttpHandler, HttpServer, RequestBody, RequestHead};

const REQUEST: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Speaks first, and wants a member's name in the query.
struct Greeter;

impl WebSocketProtocol for Greeter {
    fn request_received(
        &mut self,
        request: &UpgradeRequest,
        acceptance: Acceptance,
    ) -> Result<Acceptance, HandshakeError> {
        match request.target() {
            "/ws" => acceptance.field("Set-Cookie", "a=1")?.field("Set-Cookie", "b=2"),
            _ => Err(HandshakeError::Refused(401)),
        }
    }

    fn opened(&mut self, socket: &WebSocket) -> Result {
        socket.send_text("hello")?;
        Ok(())
    }
}

struct Site;

impl HttpHandler for Site {
    fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        ServerHandshake::new().answer(request, exchange, WebSocketOptions::new(), Greeter)?;
        Ok(())
    }
}

async fn with_callbacks(request: http::Request<RequestBody>) -> http::Response<Body> {
    ServerHandshake::new().respond_with(&request, WebSocketOptions::new(), Greeter)
}

async fn with_a_task(request: http::Request<RequestBody>) -> http::Response<Body> {
    ServerHandshake::new()
        .respond(&request, WebSocketOptions::new(), async |socket| socket.send("hello").await)
}

fn server() -> HttpServer {
    HttpServer::new().date(false).standard_fields(&[]).unwrap()
}

fn says<P: wharf::Protocol>(factory: impl FnMut() -> P, request: &[u8]) -> String {
    let mut recorder = Recorder::new(factory).unwrap();
    recorder.receive(request).unwrap();
    String::from_utf8_lossy(&recorder.sent().unwrap()).into_owned()
}

#[test]
fn a_server_may_speak_first() {
    let expected = "HTTP/1.1 101 Switching Protocols\r\n";
    for said in
        [says(server().serve_with(|| Site), REQUEST), says(server().serve(with_callbacks), REQUEST)]
    {
        assert!(said.starts_with(expected), "{said}");
        let said = said.to_ascii_lowercase();
        assert!(said.contains("\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n"), "{said}");
        assert!(said.ends_with("\r\n\r\n\u{fffd}\x05hello"), "{said}");
    }
    let said = says(server().serve(with_a_task), REQUEST);
    // And the task is over, which closes.
    assert!(said.starts_with(expected) && said.contains("\x05hello"), "{said}");
}

#[test]
fn what_is_no_request_for_a_websocket_is_refused() {
    let text = String::from_utf8_lossy(REQUEST).into_owned();
    for (request, status) in [
        ("GET /ws HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "426 Upgrade Required"),
        (text.replace("13", "12"), "426 Upgrade Required"),
        (text.replace("GET", "PUT"), "405 Method Not Allowed"),
        (text.replace("HTTP/1.1", "HTTP/1.0"), "505 HTTP Version Not Supported"),
        (text.replace("Host: x", "Host: x\r\nOrigin: http://y"), "403 Forbidden"),
        (text.replace("/ws", "/ws?name="), "401 Unauthorized"),
    ] {
        for said in [
            says(server().serve_with(|| Site), request.as_bytes()),
            says(server().serve(with_callbacks), request.as_bytes()),
        ] {
            let status = format!("HTTP/1.1 {status}\r\n");
            assert!(said.starts_with(&status), "{request}{said}");
            let said = said.to_ascii_lowercase();
            let says_how = "\r\nupgrade: websocket\r\nconnection: upgrade\r\n";
            assert_eq!(said.contains(says_how), status.contains("426"), "{said}");
            assert_eq!(said.contains("\r\nallow: get\r\n"), status.contains("405"), "{said}");
        }
    }
}

#[test]
fn the_connection_serves_other_requests_before() {
    run(async |event_loop| {
        let service = async |request: http::Request<RequestBody>| match request.uri().path() {
            "/ws" => with_a_task(request).await,
            _ => http::Response::new(Body::from("page")),
        };
        event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
        let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
        writer.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        reader.read_until(b"\r\n\r\npage").await?;
        writer.write_all(REQUEST).await?;
        reader.read_until(b"\x81\x05hello").await?;
        Ok(())
    });
}

#[test]
fn what_follows_the_request_at_once_is_not_lost() {
    run(async |event_loop| {
        let heard = Rc::new(RefCell::new(Vec::new()));
        let noting = Rc::clone(&heard);
        let service = async move |request: http::Request<RequestBody>| {
            let noting = Rc::clone(&noting);
            let serve = async move |mut socket: WebSocketStream| {
                while let Some(message) = socket.next().await {
                    noting.borrow_mut().push(message?);
                }
                Ok(())
            };
            ServerHandshake::new().respond(&request, WebSocketOptions::new(), serve)
        };
        event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
        let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
        let frames = b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0";
        writer.write_all(&[REQUEST, frames].concat()).await?;
        let said = reader.read_to_end(1000).await?;
        assert!(said.ends_with(b"\r\n\r\n\x88\x00"), "{said:?}");
        assert_eq!(*heard.borrow(), [OwnedMessage::Text("hi".to_owned())]);
        Ok(())
    });
}

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}
