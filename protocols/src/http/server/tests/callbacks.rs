use wharf::{Protocol, Transport};

use super::*;
use crate::testing::check_splits;

const HI: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

#[test]
fn pipelined_requests_are_answered_in_order_and_together() {
    let mut run = run(server());
    assert_eq!(run.sends([GET, GET, GET].concat()), HI.repeat(3));
    assert_eq!(run.sends(GET), HI);
    assert!(!run.recorder.is_closing());
}

#[test]
fn answers_are_the_same_however_the_requests_come() {
    let input = [
        GET,
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /end HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: u\r\n\r\n",
        b"GET /empty HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /close HTTP/1.1\r\nHost: x\r\n\r\n",
        GET,
    ];
    check_splits(&input.concat(), |parts| {
        let mut run = run(server());
        for part in parts {
            run.recorder.receive(part).unwrap();
        }
        let sent = run.sent();
        // Chunks are as the content comes.
        let sent = sent.replace("2\r\nab\r\n", "1\r\na\r\n1\r\nb\r\n");
        let answers = sent.matches("HTTP/1.1 2").count();
        assert_eq!(answers, 6, "{sent}");
        assert!(run.recorder.is_closing());
        sent
    });
}

#[test]
fn heads_of_answers() {
    let mut run = self::run(server());
    let sent = run.sends("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(
        run.sends("GET /empty HTTP/1.1\r\nHost: x\r\n\r\n"),
        "HTTP/1.1 204 No Content\r\n\r\n"
    );
    let sent = run.sends("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi");
    let sent = run.sends("GET /end HTTP/1.0\r\n\r\n");
    let expected = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nat the end";
    assert_eq!(sent, expected);
    assert!(run.recorder.is_closing());

    // Of unknown length, towards HTTP/1.0: until the end.
    let mut run = self::run(server());
    let sent =
        run.sends("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab");
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nab");
    assert!(run.recorder.is_closing());

    let mut run = self::run(HttpServer::new());
    let sent = run.sends(GET);
    assert!(sent.starts_with("HTTP/1.1 200 OK\r\nServer: wharf\r\nDate: "), "{sent}");
    assert!(sent.contains(" GMT\r\nContent-Length: 2\r\n"), "{sent}");
}

#[test]
fn content_is_echoed_with_trailers() {
    let mut run = run(server());
    let request = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n";
    let sent = run.sends(request);
    let expected =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nCheck: sum\r\n\r\n";
    assert_eq!(sent, expected);
    assert_eq!(run.calls(), ["POST /echo", "abc", "trailers {\"A\": \"b\"}", "end"]);
}

#[test]
fn a_later_answer_holds_the_next_request_back() {
    let mut run = run(server());
    let later = b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(run.sends([&later[..], GET].concat()), "");
    assert_eq!(run.calls(), ["GET /later", "end"]);
    let answer = run.later.take().unwrap();
    answer.respond(200, &[], b"late").unwrap();
    settle(run.recorder.event_loop()).unwrap();
    let sent = run.sent();
    assert_eq!(sent, format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate{HI}"));
    // And with nothing behind it.
    assert_eq!(run.sends(later), "");
    let mut answer = run.later.take().unwrap();
    answer.begin(200, &[], None).unwrap();
    answer.write(b"abc").unwrap();
    answer.finish(&[]).unwrap();
    settle(run.recorder.event_loop()).unwrap();
    assert!(run.sent().ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
    assert_eq!(run.sends(GET), HI);
}

#[test]
fn a_dropped_answer_is_no_silence() {
    let mut run = self::run(server());
    run.sends("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    drop(run.later.take());
    settle(run.recorder.event_loop()).unwrap();
    assert!(run.sent().starts_with("HTTP/1.1 500 "));
    assert!(run.recorder.is_closing());

    let mut run = self::run(server());
    run.sends("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut answer = run.later.take().unwrap();
    answer.begin(200, &[], Some(10)).unwrap();
    answer.write(b"part").unwrap();
    drop(answer);
    settle(run.recorder.event_loop()).unwrap();
    assert!(run.recorder.is_closing());
}

#[test]
fn an_answer_to_a_request_that_is_gone_changes_nothing() {
    let mut run = run(server());
    run.sends("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = run.later.take().unwrap();
    run.recorder.receive_reset().unwrap();
    assert!(run.calls().contains(&"aborted None".to_owned()));
    assert!(answer.respond(200, &[], b"").is_err());
}

#[test]
fn content_is_awaited_only_where_it_is_wanted() {
    let expect = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut run = self::run(server());
    assert_eq!(run.sends(expect("/end")), "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(run.sends("ab").ends_with("at the end"));
    // Answered at once: whether the content comes is unknown.
    let sent = run.sends(expect("/"));
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    assert!(run.recorder.is_closing());
    let mut run = self::run(server());
    let sent = run.sends("POST /end HTTP/1.1\r\nHost: x\r\nExpect: beer\r\n\r\n");
    assert!(sent.starts_with("HTTP/1.1 417 "), "{sent}");
}

#[test]
fn an_early_answer_discards_the_content() {
    let mut run = run(server());
    let sent = run.sends("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234");
    assert_eq!(sent, HI);
    assert_eq!(run.sends([b"56789", GET].concat()), HI);
    assert_eq!(run.calls(), ["POST /", "GET /"]);
}

#[test]
fn connections_end_after_so_many_requests() {
    let mut run = run(server().max_requests(2));
    let sent = run.sends([GET, GET, GET].concat());
    assert_eq!(sent.matches("hi").count(), 2);
    assert_eq!(sent.matches("Connection: close").count(), 1);
    assert!(run.recorder.is_closing());
}

#[test]
fn a_failing_handler_is_answered_and_reported() {
    let mut run = run(server());
    let sent = run.sends("GET /fail HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(sent.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{sent}");
    assert!(run.recorder.is_closing());
}

#[test]
fn a_client_that_ended_its_side_gets_its_answer() {
    let mut run = run(server());
    run.sends("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    run.recorder.receive_eof().unwrap();
    let answer = run.later.take().unwrap();
    answer.respond(200, &[], b"late").unwrap();
    settle(run.recorder.event_loop()).unwrap();
    assert!(run.sent().ends_with("late"));
    assert!(run.recorder.is_closing());
}

/// Sends back what comes.
struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

struct Switch;

impl HttpHandler for Switch {
    fn request(&mut self, _: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        let fields = [("Connection", &b"upgrade"[..]), ("Upgrade", b"echo")];
        Ok(exchange.upgrade(101, &fields, Echo)?)
    }
}

#[test]
fn another_protocol_gets_what_follows_the_request() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let request =
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n\x00raw";
    check_splits(request.as_bytes(), |parts| {
        let mut recorder = Recorder::new(server().serve_with(|| Switch)).unwrap();
        for part in parts {
            recorder.receive(part).unwrap();
        }
        recorder.receive(b"more").unwrap();
        assert_eq!(recorder.sent().unwrap(), format!("{head}\x00rawmore").as_bytes());
    });
}

#[test]
fn a_handler_cannot_smuggle() {
    struct Bad;
    impl HttpHandler for Bad {
        fn request(&mut self, _: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
            let bad: [(&str, &[u8]); 5] = [
                ("X", b"a\r\nY: z"),
                ("X\r\nY", b"z"),
                ("Content-Length", b"5"),
                ("Transfer-Encoding", b"chunked"),
                ("X ", b"z"),
            ];
            for field in bad {
                assert!(exchange.respond(200, &[field], b"").is_err());
            }
            assert!(exchange.respond(99, &[], b"").is_err());
            assert!(exchange.begin(101, &[], None).is_err());
            exchange.begin(200, &[], Some(2))?;
            assert!(exchange.write(b"abc").is_err());
            assert!(exchange.finish().is_err());
            assert!(exchange.respond(200, &[], b"").is_err());
            exchange.write(b"ab")?;
            exchange.finish()?;
            assert!(exchange.write(b"x").is_err());
            Ok(())
        }
    }
    let mut recorder = Recorder::new(server().serve_with(|| Bad)).unwrap();
    recorder.receive(GET).unwrap();
    assert_eq!(recorder.sent().unwrap(), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
}

/// Answers as another server has given them.
struct PassedOn;

impl HttpHandler for PassedOn {
    fn request(&mut self, _: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        let fields: [(&str, &[u8]); 4] =
            [("date", b"then"), ("server", b"other"), ("dates", b"d"), ("servers", b"s")];
        Ok(exchange.respond(200, &fields, b"")?)
    }
}

#[test]
fn date_and_server_are_there_once() {
    let said = |server: HttpServer| {
        let mut recorder = Recorder::new(server.serve_with(|| PassedOn)).unwrap();
        recorder.receive(GET).unwrap();
        String::from_utf8(recorder.sent().unwrap()).unwrap()
    };
    let count = |said: &str, name: &str| said.to_ascii_lowercase().matches(name).count();
    let ours = said(HttpServer::new());
    assert_eq!((count(&ours, "\r\ndate:"), count(&ours, "\r\nserver:")), (1, 1), "{ours}");
    assert!(ours.contains("\r\nServer: wharf\r\n") && !ours.contains("then"), "{ours}");
    assert!(ours.contains("\r\ndates: d\r\nservers: s\r\n"), "{ours}");
    // Whoever writes none leaves it to the answer.
    let theirs = said(server());
    assert!(theirs.contains("\r\ndate: then\r\nserver: other\r\n"), "{theirs}");
}
