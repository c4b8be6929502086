//! What HTTP allocates, counted.
#![forbid(unsafe_code)]

use std::hint::black_box;

use allocation_counter::measure;
use wharf::Result;
use wharf::testing::{Recorder, settle};
use wharf_protocols::codec::{Decoder, Encoder};
use wharf_protocols::http::{
    Body, Exchange, Headers, HttpHandler, HttpServer, RequestBody, RequestDecoder, RequestEvent,
    RequestHead, ResponseEncoder, ResponseEvent, ResponseHead, Version,
};

const REQUEST: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n";

struct Plain;

impl HttpHandler for Plain {
    fn request(&mut self, head: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        match head.path() {
            "/plaintext" => {
                exchange.respond(200, &[("Content-Type", b"text/plain")], b"Hello, World!")?;
            }
            _ => exchange.respond(404, &[], b"")?,
        }
        Ok(())
    }
}

#[test]
fn whole_messages_are_decoded_and_encoded_without_allocations() {
    let input = REQUEST.repeat(100);
    let mut decoder = RequestDecoder::new();
    let mut encoder = ResponseEncoder::new();
    let mut output = Vec::with_capacity(100_000);
    let fields = [("Content-Length", &b"0"[..])];
    let allocated = measure(|| {
        let mut rest = &input[..];
        while let Some(event) = decoder.decode(&mut rest).unwrap() {
            match event {
                RequestEvent::Head(head) => {
                    black_box((head.headers().get("accept"), head.path(), head.authority()));
                    encoder.answers_to(&head);
                    let headers = Headers::new(&fields).unwrap();
                    let head = ResponseHead::new(200, Version::Http11, headers).unwrap();
                    encoder.encode(&ResponseEvent::Head(head), &mut output).unwrap();
                }
                RequestEvent::End => encoder.encode(&ResponseEvent::End, &mut output).unwrap(),
                _ => unreachable!(),
            }
        }
    });
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn chunks_are_lent() {
    let input = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n".repeat(100);
    let mut decoder = RequestDecoder::new();
    let allocated = measure(|| {
        let mut rest = &input[..];
        while let Some(event) = decoder.decode(&mut rest).unwrap() {
            black_box(event);
        }
    });
    assert_eq!(allocated.count_total, 0);
}

/// The loop in memory allocates for what it carries; a request more allocates nothing more.
#[test]
fn a_request_on_the_borrowed_level_allocates_nothing() -> Result {
    let mut recorder = Recorder::new(HttpServer::new().serve_with(|| Plain))?;
    let (few, many) = (REQUEST.repeat(10), REQUEST.repeat(100));
    for _ in 0..3 {
        recorder.receive(&many)?;
        recorder.sent()?;
    }
    let mut count = |input: &[u8]| {
        let allocated = measure(|| {
            recorder.receive(input).unwrap();
        });
        recorder.sent().unwrap();
        allocated.count_total
    };
    let (few, many) = (count(&few), count(&many));
    assert_eq!(few, many);
    Ok(())
}

/// A hundred thousand requests, and what they leave behind: nothing.
#[test]
fn many_requests_leave_no_memory_behind() {
    let batch = REQUEST.repeat(100);
    let mut recorder = Recorder::new(HttpServer::new().serve_with(|| Plain)).unwrap();
    let mut ask = |times: usize| {
        for _ in 0..times {
            recorder.receive(&batch).unwrap();
            black_box(recorder.sent().unwrap());
        }
    };
    ask(10);
    let kept = measure(|| ask(1000)).bytes_current;
    assert!(kept.abs() < 10_000, "{kept} bytes");

    // By an async function.
    let service = async |mut request: http::Request<RequestBody>| {
        let content = request.body_mut().read_to_end(100).await?;
        Ok::<_, wharf::Failure>(http::Response::new(Body::from(content)))
    };
    let request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let mut recorder = Recorder::new(HttpServer::new().serve(service)).unwrap();
    let mut ask = |times: usize| {
        for _ in 0..times {
            recorder.receive(request).unwrap();
            settle(recorder.event_loop()).unwrap();
            assert!(recorder.sent().unwrap().ends_with(b"hello"));
        }
    };
    ask(100);
    let kept = measure(|| ask(10_000)).bytes_current;
    assert!(kept.abs() < 10_000, "{kept} bytes");
}

/// Its texts (together) and its fields, the fields of the answer, and the way back to the connection; no task, and nothing
/// for a field more.
#[test]
fn a_request_to_an_async_function_allocates_a_little() -> Result {
    let service = async |_: http::Request<RequestBody>| {
        let answer = http::Response::builder().header("content-type", "text/plain");
        answer.body(Body::from("Hello, World!"))
    };
    let mut recorder = Recorder::new(HttpServer::new().serve(service))?;
    let mut count = |input: &[u8]| {
        let allocated = measure(|| {
            for _ in 0..10 {
                recorder.receive(input).unwrap();
            }
        });
        assert_eq!(
            recorder.sent().unwrap().windows(6).filter(|part| part == b"World!").count(),
            10
        );
        allocated.count_total
    };
    count(REQUEST);
    let plain = count(REQUEST);
    let fields =
        b"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nUser-Agent: x\r\nVia: x\r\nTE: x\r\n\r\n";
    assert_eq!(count(fields), plain);
    assert!(plain <= 120, "{plain}");
    Ok(())
}
