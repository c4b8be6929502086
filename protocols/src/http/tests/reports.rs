//! What was reported of other implementations, tried on this one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{MemoryNetwork, Recorder};
use wharf::{Result, StreamReader, StreamWriter};

use super::*;

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

#[track_caller]
fn refused_content(content: &str, rule: Rule) {
    let error = request_error(&format!("{CHUNKED}{content}"));
    assert_eq!(error.map(|(rule, _)| rule), Some(rule), "{content:?}");
}

/// golang/go#71988, nginx/nginx#1016: LF alone behind a chunk's size.
#[test]
fn a_line_feed_ends_no_chunk_size() {
    refused_content("5\nhello\r\n0\r\n\r\n", Rule::ChunkSize);
    refused_content("5\r\nhello\n0\r\n\r\n", Rule::ChunkEnd);
    refused_content("0\n\n", Rule::ChunkSize);
}

/// CVE-2025-55315 of Kestrel: LF alone in an extension, which others take for the line's end.
#[test]
fn a_line_feed_is_no_part_of_an_extension() {
    refused_content("2;\nxx\r\n4f\r\n0\r\n\r\nGET /admin HTTP/1.1\r\n", Rule::ChunkExtension);
    refused_content("2;a\nxx\r\n0\r\n\r\n", Rule::ChunkExtension);
    refused_content("2;a=b\rX\nxx\r\n0\r\n\r\n", Rule::BareCarriageReturn);
}

/// CVE-2026-33870 of Netty: line ends in a quoted value.
#[test]
fn a_quoted_value_has_no_line_end() {
    refused_content("1;a=\"\r\nX\r\n0\r\n\r\n\"\r\n", Rule::ChunkExtension);
    refused_content("1;a=\"b\\\r\nX\r\n", Rule::ChunkExtension);
}

/// nodejs/llhttp#877: a request line without a version, ended by LF alone.
#[test]
fn there_is_no_http_0_9() {
    let text = "GET /x\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(request_error(text), Some((Rule::BareLineFeed, 6)));
    assert_eq!(request_error("GET /x\r\nHost: a\r\n\r\n"), Some((Rule::Target, 6)));
}

/// ning/async-http-client#16, http4s/http4s#395: HEAD hangs where there is a length.
#[test]
fn an_answer_to_head_is_not_waited_for() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let service = async |_: ::http::Request<RequestBody>| ::http::Response::new("content");
            event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
            let client = HttpClient::new(&event_loop);
            let begin = event_loop.time();
            for _ in 0..3 {
                let request = ::http::Request::head("http://10.0.0.1/").body(())?;
                let mut response = client.send(request).await?;
                assert_eq!(response.headers()["content-length"], "7");
                assert_eq!(response.body_mut().read_to_end(10).await?, b"");
            }
            assert_eq!(event_loop.time(), begin);
            Ok(())
        })
        .unwrap();
}

struct NotModified;

impl HttpHandler for NotModified {
    fn request(&mut self, head: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        if head.method() == "HEAD" {
            // Of unknown length, and kept alive all the same: yesodweb/wai#956, nodejs/node#28438.
            exchange.begin(200, &[], None)?;
            exchange.finish()?;
        } else {
            exchange.respond(304, &[("ETag", b"\"a\"")], b"")?;
        }
        Ok(())
    }
}

/// unbit/uwsgi#1051, cherokee/webserver#1143: connections end with 304, and with HEAD.
#[test]
fn answers_without_content_keep_the_connection() {
    let server = HttpServer::new().date(false).standard_fields(&[]).unwrap();
    let mut recorder = Recorder::new(server.serve_with(|| NotModified)).unwrap();
    recorder
        .receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nHEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let sent = String::from_utf8(recorder.sent().unwrap()).unwrap();
    let expected = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(sent, expected);
    assert!(!recorder.is_closing());
}

/// What scripted connections were asked; each answers one request by the next text.
async fn script(
    event_loop: &wharf::EventLoop,
    answers: &'static [&'static str],
) -> Result<Rc<RefCell<usize>>> {
    let connections = Rc::new(RefCell::new(0));
    let seen = Rc::clone(&connections);
    let serve = async move |mut reader: StreamReader, writer: StreamWriter| {
        let number = *seen.borrow();
        *seen.borrow_mut() += 1;
        reader.read_until(b"\r\n\r\n").await?;
        let answer = answers[number % answers.len()];
        writer.write_all(answer.as_bytes()).await?;
        if answer.is_empty() {
            return Ok(());
        }
        wharf::sleep(Duration::from_secs(10)).await;
        Ok(())
    };
    event_loop.start_server(serve, "10.0.0.1:80").await?;
    Ok(connections)
}

/// algesten/ureq#372: bytes that nobody asked for, taken for the next answer.
#[test]
fn a_connection_with_more_than_its_answer_is_not_used_again() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let answers = &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"];
            let connections = script(&event_loop, answers).await?;
            let client = HttpClient::new(&event_loop);
            for _ in 0..2 {
                let mut response = client.get("http://10.0.0.1/").await?;
                assert_eq!(response.body_mut().read_to_end(10).await?, b"hi");
            }
            assert_eq!(*connections.borrow(), 2);
            Ok(())
        })
        .unwrap();
}

/// gatling/gatling#3609: only what may have met a closing connection is sent again; akka/akka-http#1463: and only where that
/// is harmless.
#[test]
fn a_new_connection_that_fails_is_not_tried_again() {
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            let connections = script(&event_loop, &[""]).await?;
            let client = HttpClient::new(&event_loop);
            assert!(client.get("http://10.0.0.1/").await.is_err());
            assert_eq!(*connections.borrow(), 1);
            Ok(())
        })
        .unwrap();
}

/// oven-sh/bun#33293, okhttp#3252, eventlet/eventlet#578, lalinsky/dusty#163: content that was held back, or was not, is taken
/// for the next request; or is waited for.
#[test]
fn a_refused_expectation_ends_the_connection() {
    let server = HttpServer::new().date(false).standard_fields(&[]).unwrap();
    let mut recorder = Recorder::new(server.serve_with(|| NotModified)).unwrap();
    let request =
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 36\r\n\r\n";
    recorder.receive(request).unwrap();
    let sent = String::from_utf8(recorder.sent().unwrap()).unwrap();
    assert!(sent.contains("Connection: close\r\n"), "{sent}");
    assert!(recorder.is_closing());
    // A client that sends it all the same gets no second answer.
    recorder.receive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(recorder.sent().unwrap(), b"");
}
