use std::cell::Cell;

use wharf::testing::MemoryNetwork;

use super::super::{Body, RequestBody};
use super::*;

/// Asks `service` one thing, and gives all that it answers.
fn ask<S: super::super::HttpService>(service: S, request: &str) -> String {
    let request = request.to_owned();
    let answer = MemoryNetwork::new().event_loop().run(async move |event_loop| {
        event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
        let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
        writer.write_all(request.as_bytes()).await?;
        Ok(reader.read_to_end(10_000_000).await?)
    });
    String::from_utf8(answer.unwrap()).unwrap()
}

const CLOSE: &str = "Host: x\r\nConnection: close\r\n";

#[test]
fn requests_and_answers_are_of_the_http_crate() {
    let service = async |mut request: http::Request<RequestBody>| {
        let content = request.body_mut().read_to_end(100).await?;
        let trailers = request.body().trailers().cloned().unwrap_or_default();
        let text = format!("{} {} {content:?} {}", request.method(), request.uri(), trailers.len());
        let answer =
            http::Response::builder().status(201).header("x", "y").body(Body::from(text))?;
        Ok::<_, wharf::Failure>(answer)
    };
    let request = format!(
        "PUT /a?b HTTP/1.1\r\n{CLOSE}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\nT: u\r\n\r\n"
    );
    let expected = "HTTP/1.1 201 Created\r\nx: y\r\nContent-Length: 19\r\nConnection: close\r\n\r\nPUT /a?b [97, 98] 1";
    assert_eq!(ask(service, &request), expected);
}

#[test]
fn content_goes_at_the_clients_pace() {
    let written = Rc::new(Cell::new(0_usize));
    let seen = Rc::clone(&written);
    let service = async move |_: http::Request<RequestBody>| {
        let written = Rc::clone(&written);
        http::Response::new(Body::from_writer(async move |writer| {
            for _ in 0..100 {
                writer.write(&[b'x'; 10_000]).await?;
                written.set(written.get() + 10_000);
            }
            writer.trailers().insert("check", "sum".parse()?);
            Ok(())
        }))
    };
    MemoryNetwork::new()
        .event_loop()
        .run(async move |event_loop| {
            event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
            let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
            reader.set_limit(1000);
            writer.write_all(format!("GET / HTTP/1.1\r\n{CLOSE}\r\n").as_bytes()).await?;
            event_loop.sleep(Duration::from_secs(1)).await;
            // What is in the pipe and in the write buffer, no more.
            assert!(seen.get() < 250_000, "{}", seen.get());
            reader.set_limit(100_000);
            let answer = reader.read_to_end(2_000_000).await?;
            assert!(answer.ends_with(b"0\r\ncheck: sum\r\n\r\n"));
            assert!(answer.len() > 1_000_000);
            Ok(())
        })
        .unwrap();
}

/// What is above the mark in one step may all be taken by the system in the next, and then nothing resumes.
#[test]
fn content_goes_on_whatever_the_system_takes_at_once() {
    for (pieces, length) in [(100, 40_000), (100, 70_000), (20, 1_000_000)] {
        let service = async move |_: http::Request<RequestBody>| {
            http::Response::new(Body::from_writer(async move |writer| {
                for _ in 0..pieces {
                    writer.write(&vec![b'x'; length]).await?;
                }
                Ok(())
            }))
        };
        let event_loop = wharf::EventLoop::new().unwrap();
        let answer = event_loop.run(async move |event_loop| {
            let factory = server().serve(service);
            let server = event_loop.create_server(factory, "127.0.0.1:0").await?;
            let (mut reader, writer) = event_loop.open_connection(server.local_address()?).await?;
            writer.write_all(format!("GET / HTTP/1.1\r\n{CLOSE}\r\n").as_bytes()).await?;
            let answer = reader.read_to_end(2 * pieces * length);
            Ok(event_loop.timeout(Duration::from_secs(30), answer).await??.len())
        });
        assert!(answer.is_ok_and(|answer| answer > pieces * length), "{length}");
    }
}

#[test]
fn content_that_nobody_reads_is_not_read_from_the_client() {
    let service = async |request: http::Request<RequestBody>| {
        wharf::sleep(Duration::from_secs(10)).await;
        let mut body = request.into_body();
        let mut length = 0;
        while let Some(piece) = body.next().await {
            length += piece?.len();
        }
        Ok::<_, wharf::Failure>(http::Response::new(Body::from(length.to_string())))
    };
    MemoryNetwork::new()
        .event_loop()
        .run(async move |event_loop| {
            event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
            let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
            let head = format!("POST / HTTP/1.1\r\n{CLOSE}Content-Length: 1000000\r\n\r\n");
            writer.write(head.as_bytes());
            writer.write(&[b'x'; 1_000_000]);
            event_loop.sleep(Duration::from_secs(1)).await;
            // A pipe, a read and 64 KiB at the server.
            assert!(writer.write_buffer_size() > 600_000, "{}", writer.write_buffer_size());
            let answer = reader.read_to_end(1000).await?;
            assert!(answer.ends_with(b"\r\n\r\n1000000"));
            Ok(())
        })
        .unwrap();
}

/// The last read may be what makes it too much: the end needs no other.
#[test]
fn content_ends_also_where_its_last_read_is_too_much() {
    let service = async |mut request: http::Request<RequestBody>| {
        wharf::sleep(Duration::from_secs(1)).await;
        let content = request.body_mut().read_to_end(1_000_000).await?;
        Ok::<_, wharf::Failure>(http::Response::new(Body::from(content.len().to_string())))
    };
    MemoryNetwork::new()
        .event_loop()
        .run(async move |event_loop| {
            event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
            let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
            for length in (60_000_usize..140_000).step_by(2000) {
                let head =
                    format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
                writer.write(head.as_bytes());
                writer.write(&vec![b'x'; length]);
                let end = format!("\r\n\r\n{length}");
                let answer = event_loop.timeout(Duration::from_secs(5), async {
                    Ok::<_, wharf::Failure>(reader.read_until(end.as_bytes()).await?.len())
                });
                assert!(answer.await.is_ok(), "{length}");
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_failing_service_is_answered_by_500() {
    let service = async |_: http::Request<RequestBody>| {
        Err::<http::Response<Body>, wharf::Failure>("no".into())
    };
    let answer = ask(service, &format!("GET / HTTP/1.1\r\n{CLOSE}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
}

#[test]
fn content_above_a_services_limit_is_answered_by_413() {
    let service = async |mut request: http::Request<RequestBody>| {
        let content = request.body_mut().read_to_end(3).await?;
        Ok::<_, wharf::Failure>(http::Response::new(Body::from(content)))
    };
    let request = format!("POST / HTTP/1.1\r\n{CLOSE}Content-Length: 4\r\n\r\nabcd");
    let answer = MemoryNetwork::new().event_loop().run(async move |event_loop| {
        event_loop.set_exception_handler(|_, exception| panic!("{exception}"));
        event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
        let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
        writer.write_all(request.as_bytes()).await?;
        Ok(String::from_utf8(reader.read_to_end(1000).await?)?)
    });
    let answer = answer.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("content above the limit"),
        "{answer}"
    );
}

#[test]
fn a_service_can_go_on_with_a_stream() {
    let service = async |_: http::Request<RequestBody>| {
        let body = Body::upgrade(|mut stream| {
            wharf::spawn(async move {
                let (reader, writer) = stream.halves();
                let first = reader.read_exactly(4).await?;
                writer.write_all(first).await?;
                Ok::<_, wharf::Failure>(())
            })
            .detach();
        });
        http::Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", "echo")
            .body(body)
    };
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nabcd";
    let answer = ask(service, request);
    let expected =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nabcd";
    assert_eq!(answer, expected);
}

#[test]
fn a_client_that_is_gone_cancels_the_service() {
    struct Dropped(Rc<Cell<bool>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    let dropped = Rc::new(Cell::new(false));
    let seen = Rc::clone(&dropped);
    let service = async move |_: http::Request<RequestBody>| {
        let _dropped = Dropped(Rc::clone(&dropped));
        std::future::pending::<()>().await;
        http::Response::new(Body::empty())
    };
    MemoryNetwork::new()
        .event_loop()
        .run(async move |event_loop| {
            event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
            let (reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
            writer.write_all(GET).await?;
            event_loop.sleep(Duration::from_secs(1)).await;
            assert!(!seen.get());
            // Something is dropped that way, so it is a reset, which is told at once; an end of the client's side only
            // would be no reason not to answer.
            writer.write(&[b'x'; 1_000_000]);
            writer.abort();
            drop(reader);
            event_loop.sleep(Duration::from_secs(1)).await;
            assert!(seen.get());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_request_that_fails_is_not_the_last_of_its_connection() {
    let service = async |request: http::Request<RequestBody>| match request.uri().path() {
        "/fail" => Err::<http::Response<Body>, wharf::Failure>("no".into()),
        path => Ok(http::Response::new(Body::from(path.to_owned()))),
    };
    let get = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\n{fields}\r\n");
    let requests =
        [get("/a", "Host: x\r\n"), get("/fail", "Host: x\r\n"), get("/b", CLOSE)].concat();
    let answers = ask(service, &requests);
    let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "500", "200"]);
    assert!(answers.contains("\r\n\r\n/a") && answers.ends_with("\r\n\r\n/b"), "{answers}");
}

#[test]
fn a_connection_has_one_task_as_long_as_it_lasts() {
    let service = async |_: http::Request<RequestBody>| http::Response::new(Body::from("hi"));
    MemoryNetwork::new()
        .event_loop()
        .run(async move |event_loop| {
            event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
            let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
            let before = event_loop.statistics().tasks;
            for _ in 0..3 {
                writer.write_all(GET).await?;
                reader.read_until(b"hi").await?;
                assert_eq!(event_loop.statistics().tasks, before + 1);
            }
            drop((reader, writer));
            event_loop.sleep(Duration::from_secs(1)).await;
            assert_eq!(event_loop.statistics().tasks, before);
            Ok(())
        })
        .unwrap();
}
