//! Handlers, services and files that do what they should not.

use std::cell::Cell;
use std::fs::File;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Failure, Protocol, StreamReader, StreamWriter, Transport, WriteStatus};

use super::super::{Body, HttpService, RequestBody};
use super::*;

/// A handler that is a function of requests.
struct With<F>(F);

impl<F> HttpHandler for With<F>
where
    F: FnMut(&RequestHead<'_>, &mut Exchange<'_>) -> Result + 'static,
{
    fn request(&mut self, head: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        (self.0)(head, exchange)
    }
}

/// What is answered to `request`, and whether the connection is closed then.
fn answer_of(
    request: impl AsRef<[u8]>,
    handler: impl FnMut(&RequestHead<'_>, &mut Exchange<'_>) -> Result + 'static,
) -> (String, bool) {
    let mut handler = Some(With(handler));
    let mut recorder = Recorder::new(server().serve_with(|| handler.take().unwrap())).unwrap();
    recorder.receive(request.as_ref()).unwrap();
    let sent = String::from_utf8(recorder.sent().unwrap()).unwrap();
    (sent, recorder.is_closing())
}

/// A file of ten bytes, which is nowhere any more.
fn ten_bytes() -> File {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("wharf-http-faults-{}-{number}", std::process::id());
    let place = std::env::temp_dir().join(name);
    std::fs::write(&place, "0123456789").unwrap();
    let file = File::options().read(true).write(true).open(&place).unwrap();
    std::fs::remove_file(place).unwrap();
    file
}

/// Serves on a network in memory, with a client's connection.
fn serving<S: HttpService>(
    service: S,
    client: impl AsyncFnOnce(EventLoop, StreamReader, StreamWriter) -> Result,
) {
    MemoryNetwork::new()
        .event_loop()
        .run(async move |event_loop| {
            event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
            let (reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
            client(event_loop, reader, writer).await
        })
        .unwrap();
}

#[test]
fn a_handler_that_writes_until_it_is_told_to_stop_is_told() {
    let mut recorder = Recorder::new(server().serve_with(|| {
        With(|_: &RequestHead<'_>, exchange: &mut Exchange<'_>| {
            exchange.begin(200, &[], None)?;
            let mut written = 0;
            while exchange.write(&[b'x'; 1000])? == WriteStatus::Accepted {
                written += 1000;
                assert!(written < 10_000_000, "nobody says stop");
            }
            Ok(())
        })
    }))
    .unwrap();
    recorder.receive(GET).unwrap();
    let waiting = recorder.with(|_, transport| transport.write_buffer_size()).unwrap();
    assert!(waiting > 0 && waiting < 300_000, "{waiting}");
}

#[test]
fn a_file_that_is_shorter_than_announced_ends_the_connection() {
    let (sent, is_closing) = answer_of([GET, GET].concat(), |_, exchange| {
        exchange.begin(200, &[], Some(11))?;
        assert!(exchange.write_file(ten_bytes().into(), 0, 11).is_err());
        Ok(())
    });
    assert!(is_closing && sent.matches("HTTP/1.1").count() <= 1, "{sent}");

    // Cut shorter while it is sent.
    let file = Rc::new(ten_bytes());
    file.set_len(1_000_000).unwrap();
    let sending = Rc::clone(&file);
    let factory = server().serve_with(move || {
        let sending = Rc::clone(&sending);
        With(move |_: &RequestHead<'_>, exchange: &mut Exchange<'_>| {
            exchange.begin(200, &[], Some(1_000_000))?;
            exchange.write_file(Rc::clone(&sending), 0, 1_000_000)?;
            Ok(exchange.finish()?)
        })
    });
    let mut recorder = Recorder::with_capacity(1000, factory).unwrap();
    recorder.receive(&[GET, GET].concat()).unwrap();
    file.set_len(100_000).unwrap();
    let mut sent = Vec::new();
    loop {
        let some = recorder.take_sent(1000).unwrap();
        if some.is_empty() {
            break;
        }
        sent.extend(some);
    }
    assert!(sent.len() < 200_000 && recorder.is_closing(), "{}", sent.len());

    // A service has not announced anything yet.
    let service =
        async |_: http::Request<RequestBody>| http::Response::new(Body::file(ten_bytes(), 5, 6));
    serving(service, async |_, mut reader, writer| {
        writer.write_all(GET).await?;
        let answer = String::from_utf8(reader.read_to_end(1000).await?)?;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        Ok(())
    });
}

#[test]
fn an_answer_is_given_to_one() {
    let mut run = run(server());
    run.sends("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    run.later.take().unwrap().respond(200, &[], b"").unwrap();
    let (sent, _) = answer_of([GET, GET].concat(), |_, exchange| {
        let first = exchange.later()?;
        assert!(exchange.later().is_err());
        first.respond(200, &[], b"")?;
        assert!(exchange.later().is_err());
        Ok(())
    });
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(2));
}

struct Silent;

impl Protocol for Silent {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn nobody_is_switched_to_another_protocol_without_asking() {
    let (sent, _) = answer_of(GET, |_, exchange| {
        for status in [100, 101, 200, 204, 300] {
            assert!(exchange.upgrade(status, &[], Silent).is_err(), "{status}");
        }
        Ok(exchange.respond(200, &[], b"")?)
    });
    assert_eq!(sent, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let request = "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
    let (sent, _) = answer_of(request, |_, exchange| {
        assert!(exchange.upgrade(101, &[], Silent).is_err());
        Ok(exchange.respond(200, &[], b"")?)
    });
    assert!(sent.starts_with("HTTP/1.1 200 OK\r\n"), "{sent}");
    let request = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let (sent, _) = answer_of(request, |_, exchange| {
        assert!(exchange.upgrade(101, &[], Silent).is_err());
        // It would say how long what follows is.
        assert!(exchange.upgrade(200, &[("Content-Length", b"5")], Silent).is_err());
        Ok(exchange.upgrade(200, &[], Silent)?)
    });
    assert_eq!(sent, "HTTP/1.1 200 OK\r\n\r\n");
}

/// Whoever is told 2xx takes what follows for another protocol's: a service that answers everything would let its clients
/// past the proxy before it.
#[test]
fn an_answer_to_connect_is_no_tunnel() {
    let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    let (sent, _) =
        answer_of(format!("{connect}GET / HTTP/1.1\r\nHost: x\r\n\r\n"), |_, exchange| {
            if exchange.respond(200, &[], b"hello").is_err() {
                exchange.respond(405, &[], b"")?;
            }
            Ok(())
        });
    let [refused, served] = ["405 Method Not Allowed", "200 OK"].map(|status| sent.find(status));
    assert!(refused.is_some() && refused < served, "{sent}");

    let service = async |_: http::Request<RequestBody>| http::Response::new(Body::from("hello"));
    serving(service, async move |_, mut reader, writer| {
        writer.write_all(connect.as_bytes()).await?;
        writer.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let answers = String::from_utf8(reader.read_to_end(1000).await?)?;
        assert!(answers.starts_with("HTTP/1.1 501 ") && answers.ends_with("hello"), "{answers}");
        Ok(())
    });
}

#[test]
fn what_every_answer_has_says_nothing_of_lengths() {
    for field in [("Content-Length", &b"5"[..]), ("transfer-encoding", b"chunked")] {
        assert!(HttpServer::new().standard_fields(&[field]).is_err());
        let (sent, _) = answer_of(GET, move |_, exchange| {
            assert!(exchange.interim(103, &[field]).is_err());
            exchange.interim(103, &[("Link", b"</a>")])?;
            Ok(exchange.respond(200, &[], b"")?)
        });
        let expected = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
                        HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(sent, expected);
    }
}

#[test]
fn a_refusal_after_head_has_its_text() {
    let mut run = run(server());
    assert!(run.sends("HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").ends_with("\r\n\r\n"));
    let sent = run.sends("nonsense\r\n\r\n");
    let (head, text) = sent.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", text.len())), "{sent}");
    assert!(!text.is_empty());
}

#[test]
fn a_host_in_the_target_is_the_one_that_counts() {
    let service = async |request: http::Request<RequestBody>| {
        let hosts: Vec<_> = request.headers().get_all("host").iter().collect();
        http::Response::new(Body::from(format!("{hosts:?} {}", request.uri())))
    };
    serving(service, async |_, mut reader, writer| {
        let request = b"GET http://a:8/b HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n";
        writer.write_all(request).await?;
        let answer = String::from_utf8(reader.read_to_end(1000).await?)?;
        assert!(answer.ends_with(r#"["a:8"] http://a:8/b"#), "{answer}");
        Ok(())
    });
}

#[test]
fn content_that_is_read_after_the_answer_ends() {
    let outcome = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&outcome);
    let service = async move |request: http::Request<RequestBody>| {
        let (outcome, mut body) = (Rc::clone(&outcome), request.into_body());
        wharf::spawn(async move {
            while let Some(piece) = body.next().await {
                let text = piece.map_or("cut".to_owned(), |piece| format!("{piece:?}"));
                let is_cut = text == "cut";
                outcome.borrow_mut().push(text);
                if is_cut {
                    break;
                }
            }
        })
        .detach();
        wharf::sleep(Duration::from_secs(1)).await;
        http::Response::new(Body::from("early"))
    };
    serving(service, async move |event_loop, mut reader, writer| {
        let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234";
        writer.write_all(head).await?;
        event_loop.sleep(Duration::from_secs(5)).await;
        assert_eq!(*seen.borrow(), ["b\"01234\"", "cut"]);
        // What is still to come is discarded, and the next request served.
        writer.write_all(&[b"56789", GET].concat()).await?;
        event_loop.sleep(Duration::from_secs(5)).await;
        let answers = String::from_utf8(reader.read_chunk().await?.to_vec())?;
        assert_eq!(answers.matches("early").count(), 2, "{answers}");
        Ok(())
    });
}

/// A panic is the connection's own: what its client had of an answer cannot be taken for all of it, and others are served.
#[test]
fn panics_of_handlers_and_services_end_their_connection_only() {
    struct Panics;
    impl HttpHandler for Panics {
        fn request(&mut self, head: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
            match head.path() {
                "/fine" => return Ok(exchange.respond(200, &[], b"fine")?),
                "/begun" => exchange.begin(200, &[], None)?,
                "/data" => return Ok(()),
                _ => {}
            }
            panic!("asked to, in a request");
        }

        fn data(&mut self, _: &[u8], _: &mut Exchange<'_>) -> Result {
            panic!("asked to, by content");
        }
    }
    let ask = async |event_loop: &EventLoop, path: &str| {
        let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"
        );
        writer.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        while let Ok(piece) = reader.read_chunk().await
            && !piece.is_empty()
        {
            answer.extend_from_slice(piece);
        }
        Ok::<_, Failure>(String::from_utf8(answer)?)
    };
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            event_loop.set_exception_handler(|_, _| {});
            event_loop.create_server(server().serve_with(|| Panics), "10.0.0.1:80").await?;
            for path in ["/", "/begun", "/data"] {
                let answer = ask(&event_loop, path).await?;
                assert!(
                    !answer.contains("HTTP/1.1 2") && !answer.contains("0\r\n\r\n"),
                    "{answer}"
                );
                assert!(ask(&event_loop, "/fine").await?.ends_with("fine"));
            }
            Ok(())
        })
        .unwrap();

    let service = async |request: http::Request<RequestBody>| match request.uri().path() {
        "/fine" => http::Response::new(Body::from("fine")),
        "/writer" => http::Response::new(Body::from_writer(async |writer| {
            writer.write(b"some").await?;
            panic!("asked to, in a body");
        })),
        _ => panic!("asked to, in a service"),
    };
    MemoryNetwork::new()
        .event_loop()
        .run(async |event_loop| {
            event_loop.set_exception_handler(|_, _| {});
            event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
            assert!(ask(&event_loop, "/").await?.starts_with("HTTP/1.1 500 "));
            assert!(!ask(&event_loop, "/writer").await?.contains("0\r\n\r\n"));
            assert!(ask(&event_loop, "/fine").await?.ends_with("fine"));
            Ok(())
        })
        .unwrap();
}

struct Echo;

impl HttpHandler for Echo {
    fn request(&mut self, _: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        Ok(exchange.begin(200, &[], None)?)
    }

    fn data(&mut self, data: &[u8], exchange: &mut Exchange<'_>) -> Result {
        exchange.write(data)?;
        Ok(())
    }

    fn end(&mut self, exchange: &mut Exchange<'_>) -> Result {
        Ok(exchange.finish()?)
    }
}

/// The last of the content may be what makes too much of the answer: the end of the request needs no more input.
#[test]
fn an_answer_ends_also_where_its_last_piece_is_too_much() {
    for length in (100_000..250_000).step_by(2000) {
        let factory = server().serve_with(|| Echo);
        let mut recorder = Recorder::with_capacity(65_536, factory).unwrap();
        let mut request = b"POST / HTTP/1.1\r\nHost: x\r\n".to_vec();
        request.extend(format!("Content-Length: {length}\r\n\r\n").bytes());
        request.resize(request.len() + length, b'x');
        let (mut taken, mut sent) = (0, Vec::new());
        // The client takes little at a time, and sends when it has.
        while taken < request.len() || !sent.ends_with(b"\r\n0\r\n\r\n") {
            taken += recorder.receive(&request[taken..]).unwrap();
            let some = recorder.take_sent(10_000).unwrap();
            assert!(!some.is_empty(), "{length}: {taken} bytes are sent, {} answered", sent.len());
            sent.extend(some);
        }
    }
}

/// A client that takes all there is must not have the loop for itself; nor must what is written to one that is gone.
#[test]
fn an_endless_answer_leaves_others_their_turn() {
    let service = async |_: http::Request<RequestBody>| {
        http::Response::new(Body::from_writer(async |writer| {
            loop {
                writer.write(b"").await?;
            }
        }))
    };
    serving(service, async |_, mut reader, writer| {
        writer.write_all(GET).await?;
        assert!(reader.read_until(b"\r\n\r\n").await?.starts_with(b"HTTP/1.1 200 "));
        // Not `sleep`: time in memory passes when nothing is left to do.
        for _ in 0..10 {
            wharf::yield_now().await;
        }
        Ok(())
    });
}

/// Whatever a service waits for: it is dropped when its client is gone, and with it all that it holds.
#[test]
fn a_service_is_dropped_wherever_it_waits() {
    struct Held(Rc<Cell<usize>>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }
    let held = Rc::new(Cell::new(0));
    let seen = Rc::clone(&held);
    let service = async move |request: http::Request<RequestBody>| {
        held.set(held.get() + 1);
        let guard = Held(Rc::clone(&held));
        let (parts, mut body) = request.into_parts();
        match parts.uri.path() {
            "/content" => drop(body.read_to_end(100).await?),
            "/before" => wharf::sleep(Duration::from_secs(1000)).await,
            _ => {}
        }
        Ok::<_, Failure>(http::Response::new(Body::from_writer(async move |writer| {
            let _guard = guard;
            loop {
                writer.write(&[b'x'; 10_000]).await?;
                if parts.uri.path() == "/between" {
                    wharf::sleep(Duration::from_secs(1000)).await;
                }
            }
        })))
    };
    serving(service, async move |event_loop, reader, writer| {
        drop((reader, writer));
        for path in ["/content", "/before", "/between", "/drain"] {
            let (reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
            let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\na");
            writer.write_all(request.as_bytes()).await?;
            event_loop.sleep(Duration::from_secs(1)).await;
            assert_eq!(seen.get(), 1, "{path}");
            // Something is lost that way, so it is a reset.
            writer.write(&[b'x'; 1_000_000]);
            writer.abort();
            drop(reader);
            // While the client takes nothing, it is not read either: the reset is told when it may linger no longer.
            let patience = if path == "/drain" { 100 } else { 1 };
            event_loop.sleep(Duration::from_secs(patience)).await;
            assert_eq!(seen.get(), 0, "{path}");
        }
        Ok(())
    });
}
