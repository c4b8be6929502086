//! The client, in memory and in virtual time: against the server, and against scripts.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::super::{Body, HttpServer, RequestBody, Rule};
use super::*;

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

/// A server that counts its connections, and answers all with what it was asked.
async fn mirror(event_loop: &EventLoop) -> Result<Rc<Cell<usize>>> {
    let connections = Rc::new(Cell::new(0));
    let seen = Rc::clone(&connections);
    let service = async |request: http::Request<RequestBody>| {
        let (parts, mut body) = request.into_parts();
        let content = body.read_to_end(10_000_000).await?;
        let status = match parts.uri.path() {
            "/moved" => 302,
            "/kept" => 307,
            "/other" => 303,
            _ => 200,
        };
        let text = format!(
            "{} {} {} {:?}",
            parts.method,
            parts.uri,
            content.len(),
            parts.headers.get("authorization").is_some()
        );
        let to = if parts.uri.path() == "/kept" { "http://10.0.0.2:80/end" } else { "end" };
        let mut answer = http::Response::builder().status(status).header("location", to);
        if parts.uri.path() == "/close" {
            answer = answer.header("connection", "close");
        }
        Ok::<_, wharf::Failure>(answer.body(Body::from(text))?)
    };
    let mut factory = HttpServer::new().serve(service);
    let factory = move || {
        seen.set(seen.get() + 1);
        factory()
    };
    event_loop.create_server(factory, "10.0.0.1:80").await?;
    Ok(connections)
}

/// A server that says what it is told to each connection, and then ends it.
async fn script(
    event_loop: &EventLoop,
    address: &str,
    answers: &'static [&'static str],
) -> Result<Rc<RefCell<Vec<String>>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&asked);
    let next = Cell::new(0);
    let serve = async move |mut reader: StreamReader, writer: StreamWriter| {
        let answer = answers[next.get() % answers.len()];
        next.set(next.get() + 1);
        let request = reader.read_until(b"\r\n\r\n").await?.to_vec();
        seen.borrow_mut().push(String::from_utf8(request)?);
        writer.write_all(answer.as_bytes()).await?;
        Ok(())
    };
    event_loop.start_server(serve, address).await?;
    Ok(asked)
}

async fn text(mut response: http::Response<ResponseBody>) -> Result<String> {
    Ok(String::from_utf8(response.body_mut().read_to_end(10_000_000).await?)?)
}

#[test]
fn a_connection_is_used_again() {
    run(async |event_loop| {
        let connections = mirror(&event_loop).await?;
        let client = HttpClient::new(&event_loop);
        for number in 0..5 {
            let response = client.get(&format!("http://10.0.0.1/{number}?q")).await?;
            assert_eq!(text(response).await?, format!("GET /{number}?q 0 false"));
        }
        assert_eq!(connections.get(), 1);
        // Not one that the server closes, nor one whose answer was not read.
        text(client.get("http://10.0.0.1/close").await?).await?;
        drop(client.get("http://10.0.0.1/").await?);
        text(client.get("http://10.0.0.1/").await?).await?;
        assert_eq!(connections.get(), 3);
        // Nor one that has waited for too long.
        event_loop.sleep(Duration::from_secs(31)).await;
        text(client.get("http://10.0.0.1/").await?).await?;
        assert_eq!(connections.get(), 4);
        Ok(())
    });
}

#[test]
fn content_goes_both_ways_at_the_readers_pace() {
    run(async |event_loop| {
        mirror(&event_loop).await?;
        let client = HttpClient::new(&event_loop);
        let bytes = http::Request::post("http://10.0.0.1/").body(vec![b'x'; 1_000_000])?;
        assert_eq!(text(client.send(bytes).await?).await?, "POST / 1000000 false");
        let written = RequestContent::from_writer(async |writer| {
            for _ in 0..100 {
                writer.write(&[b'x'; 10_000]).await?;
            }
            writer.trailers().insert("check", "sum".parse()?);
            Ok(())
        });
        let request = http::Request::put("http://10.0.0.1/").body(written)?;
        assert_eq!(text(client.send(request).await?).await?, "PUT / 1000000 false");
        let short =
            RequestContent::from_writer(async |writer| writer.write(b"x").await).with_length(2);
        let request = http::Request::put("http://10.0.0.1/").body(short)?;
        assert!(client.send(request).await.is_err());
        Ok(())
    });
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_replaced() {
    run(async |event_loop| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let answers: &[&str] = &[answer];
        // Each connection ends after one answer, without a word of it.
        let asked = script(&event_loop, "10.0.0.1:80", Box::leak(answers.into())).await?;
        let client = HttpClient::new(&event_loop);
        for _ in 0..3 {
            assert_eq!(text(client.get("http://10.0.0.1/").await?).await?, "hi");
        }
        assert_eq!(asked.borrow().len(), 3);
        assert_eq!(asked.borrow()[0], "GET / HTTP/1.1\r\nhost: 10.0.0.1\r\n\r\n");
        Ok(())
    });
}

#[test]
fn redirects_are_followed_where_they_are_asked_for() {
    run(async |event_loop| {
        mirror(&event_loop).await?;
        let other =
            script(&event_loop, "10.0.0.2:80", &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"])
                .await?;
        let client = HttpClient::new(&event_loop);
        assert_eq!(client.get("http://10.0.0.1/moved").await?.status(), 302);
        let client = client.max_redirects(3);
        let post = |path: &str| {
            let request = http::Request::post(format!("http://10.0.0.1{path}"));
            request.header("authorization", "secret").body("content").unwrap()
        };
        assert_eq!(text(client.send(post("/moved")).await?).await?, "GET /end 0 true");
        assert_eq!(text(client.send(post("/other")).await?).await?, "GET /end 0 true");
        assert_eq!(text(client.send(post("/kept")).await?).await?, "hi");
        let asked = other.borrow()[0].clone();
        assert!(asked.starts_with("POST /end ") && !asked.contains("secret"), "{asked}");
        Ok(())
    });
}

#[test]
fn answers_that_break_rules_are_errors() {
    run(async |event_loop| {
        let answers: &[&str] = &[
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
            "SSH-2.0\r\n",
            "",
            "HTTP/1.1 200 OK\r\nA: ",
        ];
        script(&event_loop, "10.0.0.1:80", Box::leak(answers.into())).await?;
        let client = HttpClient::new(&event_loop);
        let rule = |error: &HttpClientError| match error {
            HttpClientError::Protocol(error) => Some(error.rule),
            _ => None,
        };
        let rules =
            [Some(Rule::ContentLengthRepeated), Some(Rule::Version), None, Some(Rule::Truncated)];
        for expected in rules {
            let error = client.get("http://10.0.0.1/").await.unwrap_err();
            assert_eq!(rule(&error), expected, "{error}");
            assert!(
                expected.is_some() || matches!(error, HttpClientError::NoResponse),
                "{error:?}"
            );
        }
        script(&event_loop, "10.0.0.2:80", &["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"])
            .await?;
        let error = text(client.get("http://10.0.0.2/").await?).await.unwrap_err();
        assert_eq!(error.downcast_ref().and_then(rule), Some(Rule::Truncated));
        for wrong in [
            "ftp://x/",
            "/path",
            "https://10.0.0.1/",
            "http://u:secret@10.0.0.1/",
            "ftp://u:secret@x/",
            "http://u:secret@ x/",
        ] {
            let error = client.get(wrong).await.unwrap_err();
            assert!(matches!(error, HttpClientError::Uri { .. }), "{wrong}: {error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        Ok(())
    });
}

#[test]
fn endless_interim_answers_are_refused() {
    run(async |event_loop| {
        let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
        let many: &[&str] = Box::leak(Box::new([&*many.leak()]));
        script(&event_loop, "10.0.0.1:80", Box::leak(many.into())).await?;
        assert!(HttpClient::new(&event_loop).get("http://10.0.0.1/").await.is_err());
        Ok(())
    });
}

#[test]
fn slow_servers_are_given_up() {
    run(async |event_loop| {
        let serve = async |mut reader: StreamReader, writer: StreamWriter| {
            let request = reader.read_until(b"\r\n\r\n").await?.to_vec();
            if request.starts_with(b"GET /body") {
                writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nh").await?;
            }
            wharf::sleep(Duration::from_secs(3600)).await;
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let client = HttpClient::new(&event_loop);
        let begin = event_loop.time();
        let error = client.get("http://10.0.0.1/head").await.unwrap_err();
        assert!(matches!(error, HttpClientError::TimedOut), "{error:?}");
        assert_eq!((event_loop.time() - begin).as_secs(), 60);
        let error = text(client.get("http://10.0.0.1/body").await?).await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(HttpClientError::TimedOut)), "{error:?}");
        assert_eq!((event_loop.time() - begin).as_secs(), 120);
        let hasty = client.total_timeout(Duration::from_secs(10));
        assert!(text(hasty.get("http://10.0.0.1/body").await?).await.is_err());
        assert_eq!((event_loop.time() - begin).as_secs(), 130);
        Ok(())
    });
}

#[test]
fn an_early_answer_is_heard() {
    run(async |event_loop| {
        let serve = async |mut reader: StreamReader, writer: StreamWriter| {
            reader.read_until(b"\r\n\r\n").await?;
            writer.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await?;
            wharf::sleep(Duration::from_secs(100)).await;
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let endless = RequestContent::from_writer(async |writer| {
            loop {
                writer.write(&[b'x'; 10_000]).await?;
            }
        });
        let request = http::Request::post("http://10.0.0.1/").body(endless)?;
        let response = HttpClient::new(&event_loop).send(request).await?;
        assert_eq!(response.status(), 413);
        assert_eq!(text(response).await?, "no");
        Ok(())
    });
}

#[test]
fn a_proxy_is_asked_to_connect() {
    run(async |event_loop| {
        mirror(&event_loop).await?;
        let to = event_loop.clone();
        let asked = Rc::new(RefCell::new(String::new()));
        let seen = Rc::clone(&asked);
        let proxy = async move |mut reader: StreamReader, writer: StreamWriter| {
            let request = reader.read_until(b"\r\n\r\n").await?.to_vec();
            *seen.borrow_mut() = String::from_utf8(request)?;
            let (mut from_server, to_server) = to.open_connection("10.0.0.1:80").await?;
            writer.write_all(b"HTTP/1.1 200 Connected\r\nContent-Length: 7\r\n\r\n").await?;
            let request = reader.read_chunk().await?.to_vec();
            to_server.write_all(&request).await?;
            let answer = from_server.read_chunk().await?.to_vec();
            writer.write_all(&answer).await?;
            Ok(())
        };
        event_loop.start_server(proxy, "10.0.0.9:3128").await?;
        let client = HttpClient::new(&event_loop).proxy("10.0.0.9:3128");
        assert_eq!(text(client.get("http://10.0.0.1/a").await?).await?, "GET /a 0 false");
        assert_eq!(*asked.borrow(), "CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n");
        Ok(())
    });
}

#[test]
fn an_upgrade_gives_a_stream() {
    run(async |event_loop| {
        let answer =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw";
        let answers: &[&str] = &[answer];
        script(&event_loop, "10.0.0.1:80", Box::leak(answers.into())).await?;
        let client = HttpClient::new(&event_loop);
        let request = http::Request::get("http://10.0.0.1/");
        let request = request.header("connection", "upgrade").header("upgrade", "x");
        let response = client.send(request.body(())?).await?;
        assert_eq!(response.status(), 101);
        let mut stream = response.into_body().into_stream().unwrap();
        assert_eq!(stream.reader().read_to_end(100).await?, b"raw");
        // Nobody asked for it.
        assert!(client.get("http://10.0.0.1/").await.is_err());
        Ok(())
    });
}

/// An idle connection is closed in time, whether or not another request comes.
#[test]
fn idle_connections_are_closed() {
    run(async |event_loop| {
        let open = Rc::new(Cell::new(0_i32));
        let serving = Rc::clone(&open);
        let serve = move |mut reader: StreamReader, writer: StreamWriter| {
            let open = Rc::clone(&serving);
            async move {
                open.set(open.get() + 1);
                while reader.read_until(b"\r\n\r\n").await.is_ok() {
                    writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await?;
                }
                open.set(open.get() - 1);
                Ok(())
            }
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let client = HttpClient::new(&event_loop);
        for pause in [0, 20] {
            event_loop.sleep(Duration::from_secs(pause)).await;
            text(client.get("http://10.0.0.1/").await?).await?;
        }
        event_loop.sleep(Duration::from_secs(29)).await;
        assert_eq!(open.get(), 1);
        event_loop.sleep(Duration::from_secs(2)).await;
        assert_eq!(open.get(), 0);
        // With the last client they go at once.
        text(client.get("http://10.0.0.1/").await?).await?;
        drop(client);
        event_loop.sleep(Duration::from_secs(1)).await;
        assert_eq!(open.get(), 0);
        Ok(())
    });
}

#[test]
fn options_hold_in_any_order() {
    run(async |event_loop| {
        let connections = mirror(&event_loop).await?;
        let secure = async |stream, _: String| Ok(stream);
        let client = HttpClient::new(&event_loop).max_idle(0, 0).secure_with(secure);
        for _ in 0..2 {
            text(client.get("http://10.0.0.1/").await?).await?;
        }
        assert_eq!(connections.get(), 2);
        // A clone's options are its own.
        let other = client.clone().max_idle(8, 8);
        for client in [&client, &other, &other, &client, &client] {
            text(client.get("http://10.0.0.1/").await?).await?;
        }
        assert_eq!(connections.get(), 5);
        Ok(())
    });
}

#[test]
fn a_deadline_may_be_as_far_as_one_likes() {
    run(async |event_loop| {
        mirror(&event_loop).await?;
        let client = HttpClient::new(&event_loop)
            .connect_timeout(Duration::MAX)
            .head_timeout(Duration::MAX)
            .body_timeout(Duration::MAX)
            .total_timeout(Duration::MAX);
        text(client.get("http://10.0.0.1/").await?).await?;
        Ok(())
    });
}
