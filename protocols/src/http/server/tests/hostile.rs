//! Clients that are slow, endless, or break rules.

use wharf::testing::MemoryNetwork;

use super::*;

#[test]
fn a_slow_head_is_told_and_closed() {
    let mut run = self::run(server());
    // A byte now and then does not help.
    for byte in b"GET / HTTP/1.1\r" {
        run.advance(2);
        run.recorder.receive(&[*byte]).unwrap();
    }
    assert!(run.sent().starts_with("HTTP/1.1 408 "));
    assert!(run.recorder.is_closing());

    // Nobody there: no words.
    let mut run = self::run(server());
    run.advance(30);
    assert_eq!(run.sent(), "");
    assert!(run.recorder.is_closing());
}

#[test]
fn a_later_head_has_its_own_time() {
    let mut run = self::run(server());
    run.sends(GET);
    run.advance(60);
    run.sends("GET");
    run.advance(29);
    assert!(!run.recorder.is_closing());
    run.advance(1);
    assert!(run.sent().starts_with("HTTP/1.1 408 "));
}

#[test]
fn an_idle_connection_is_closed() {
    let mut run = self::run(server());
    run.sends(GET);
    run.advance(74);
    assert!(!run.recorder.is_closing());
    run.advance(1);
    assert!(run.recorder.is_closing());
    assert_eq!(run.sent(), "");
}

#[test]
fn a_handler_may_take_its_time() {
    let mut run = self::run(server());
    run.sends("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    run.advance(3600);
    assert!(!run.recorder.is_closing());
    run.later.take().unwrap().respond(200, &[], b"at last").unwrap();
    assert!(run.sent().ends_with("at last"));

    let mut run = self::run(server().total_timeout(Duration::from_secs(100)));
    run.sends("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    run.advance(99);
    assert!(!run.recorder.is_closing());
    run.advance(1);
    assert!(run.sent().starts_with("HTTP/1.1 503 "));
    assert_eq!(run.calls().last().unwrap(), "aborted None");
}

#[test]
fn each_request_has_its_own_time() {
    let later = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut run = self::run(server().total_timeout(Duration::from_secs(100)));
    // The second is there when the first is answered: the connection waits all the time.
    run.sends([later, later].concat());
    run.advance(90);
    let first = run.later.take().unwrap();
    first.respond(200, &[], b"first").unwrap();
    assert!(run.sent().ends_with("first"));
    run.advance(99);
    assert!(!run.recorder.is_closing());
    run.advance(1);
    assert!(run.sent().starts_with("HTTP/1.1 503 "));

    // And so with content.
    let head = "POST /end HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n";
    let mut run = self::run(server());
    run.sends(format!("{head}a"));
    run.advance(20);
    assert!(run.sends(format!("b{head}a")).ends_with("at the end"));
    run.advance(29);
    assert!(!run.recorder.is_closing());
    run.advance(1);
    assert!(run.sent().starts_with("HTTP/1.1 408 "));
}

#[test]
fn slow_content_is_told_and_closed() {
    let head = "POST /end HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
    let mut run = self::run(server());
    run.sends(head);
    for _ in 0..30 {
        run.advance(1);
        run.recorder.receive(b"x").unwrap();
    }
    assert!(run.sent().starts_with("HTTP/1.1 408 "));
    assert_eq!(run.calls().last().unwrap(), "aborted None");

    // A client that brings 1,000 bytes a second may go on.
    let mut run = self::run(server());
    run.sends(head);
    for _ in 0..100 {
        run.advance(1);
        run.recorder.receive(&[b'x'; 1000]).unwrap();
    }
    assert!(run.sent().ends_with("at the end"));
}

#[test]
fn rules_are_answered_by_their_status() {
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: x\n\n", 400),
        ("\x16\x03\x01", 400),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n", 413),
        ("GET / HTTP/1.1\r\nHost: x\r\na:\r\nb:\r\nc:\r\nd:\r\n\r\n", 431),
    ];
    for (text, status) in cases {
        let mut run = self::run(server().limits(limits()));
        let sent = run.sends(text);
        assert!(sent.starts_with(&format!("HTTP/1.1 {status} ")), "{text:?}: {sent}");
        assert!(sent.contains("Connection: close\r\n"));
        assert!(run.recorder.is_closing());
    }
    for (text, status) in [("GET /", 414), ("GET / HTTP/1.1\r\nA: ", 431)] {
        let mut run = self::run(server().limits(limits()));
        let sent = run.sends(format!("{text}{}", "a".repeat(300)));
        assert!(sent.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}");
    }
}

#[test]
fn broken_content_aborts_the_request() {
    let mut run = self::run(server());
    let sent =
        run.sends("POST /end HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx");
    assert!(sent.starts_with("HTTP/1.1 400 "), "{sent}");
    assert!(run.calls().last().unwrap().starts_with("aborted Some"));

    // When the answer has begun, the client must not take it for whole.
    let mut run = self::run(server());
    run.sends("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx");
    assert!(run.recorder.is_closing());
    assert!(!run.sent().contains("0\r\n\r\n"));
}

#[test]
fn a_request_that_is_cut_off_is_aborted() {
    let mut run = self::run(server());
    run.sends("POST /end HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
    run.recorder.receive_eof().unwrap();
    assert!(run.sent().starts_with("HTTP/1.1 400 "));
    assert!(run.calls().last().unwrap().starts_with("aborted Some"));
    assert!(run.recorder.is_closing());
}

#[test]
fn a_flood_without_reading_is_bounded() {
    let mut run = self::run(server());
    let request = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    run.recorder.receive(&request).unwrap();
    let waiting = run.recorder.with(|_, transport| transport.write_buffer_size()).unwrap();
    // One answer above what is in the high-water mark, whatever was asked for.
    assert!(waiting < 2_200_000, "{waiting}");
    let before = run.calls().len();
    assert!(before <= 3, "{before}");
    // And all are answered when the client reads.
    let mut answers = 0;
    let mut total = 0;
    for _ in 0..2000 {
        let sent = run.recorder.take_sent(1_000_000).unwrap();
        total += sent.len();
        answers += String::from_utf8(sent).unwrap().matches("HTTP/1.1 200").count();
        if total > 20_000_000 {
            break;
        }
    }
    assert!(answers >= 19, "{answers}");
}

#[test]
fn many_small_pipelined_answers_wait_for_the_client() {
    let mut run = self::run(server());
    run.recorder.receive(&GET.repeat(50_000)).unwrap();
    let waiting = run.recorder.with(|_, transport| transport.write_buffer_size()).unwrap();
    assert!(waiting < 300_000, "{waiting}");
    let mut sent = 0;
    loop {
        let some = run.recorder.take_sent(100_000).unwrap();
        if some.is_empty() {
            break;
        }
        sent += some.len();
    }
    assert_eq!(sent % "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".len(), 0);
}

#[test]
fn a_shutdown_answers_the_request_under_way() -> Result {
    MemoryNetwork::new().event_loop().run(async |event_loop| {
        let later = Rc::new(RefCell::new(None));
        let factory = {
            let later = Rc::clone(&later);
            server().serve_with(move || Script {
                calls: Calls::default(),
                later: Rc::clone(&later),
                is_echo: false,
            })
        };
        let server = event_loop.create_server(factory, "10.0.0.1:80").await?;
        let (mut busy, busy_writer) = event_loop.open_connection("10.0.0.1:80").await?;
        let (mut idle, idle_writer) = event_loop.open_connection("10.0.0.1:80").await?;
        busy_writer.write_all(b"GET /later HTTP/1.1\r\nHost: x\r\n\r\n").await?;
        idle_writer.write_all(GET).await?;
        idle.read_exactly(10).await?;
        event_loop.sleep(Duration::from_secs(1)).await;
        let shutdown = server.shutdown(Duration::from_secs(10));
        idle.read_to_end(1000).await?;
        later.take().unwrap().respond(200, &[], b"late")?;
        let answer = busy.read_to_end(1000).await?;
        let answer = String::from_utf8(answer)?;
        assert!(answer.contains("Connection: close") && answer.ends_with("late"), "{answer}");
        assert_eq!(shutdown.await?, 0);
        Ok(())
    })
}
