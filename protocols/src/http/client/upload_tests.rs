//! Requests whose answer comes before they are sent, and others with content that is on its way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result, StreamReader, StreamWriter};

use super::super::{Exchange, Headers, HttpHandler, HttpServer, RequestHead};
use super::*;

fn run(test: impl AsyncFnOnce(EventLoop) -> Result) {
    MemoryNetwork::new().event_loop().run(test).unwrap();
}

/// Begins to answer at once, and sends back what comes.
struct Echo;

impl HttpHandler for Echo {
    fn request(&mut self, _: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        Ok(exchange.begin(200, &[], None)?)
    }

    fn data(&mut self, data: &[u8], exchange: &mut Exchange<'_>) -> Result {
        exchange.write(data)?;
        Ok(())
    }

    fn trailers(&mut self, trailers: Headers<'_>, exchange: &mut Exchange<'_>) -> Result {
        let check = trailers.get("check").unwrap_or(b"none");
        Ok(exchange.finish_with(&[("Checked", check)])?)
    }

    fn end(&mut self, exchange: &mut Exchange<'_>) -> Result {
        // An answer that is complete needs no other end.
        let _ = exchange.finish();
        Ok(())
    }
}

fn pieces(count: usize, pause: Duration) -> RequestContent {
    RequestContent::from_writer(async move |writer| {
        for _ in 0..count {
            writer.write(&[b'x'; 10_000]).await?;
            wharf::sleep(pause).await;
        }
        Ok(())
    })
}

#[test]
fn content_is_sent_on_while_the_answer_comes() {
    run(async |event_loop| {
        event_loop.create_server(HttpServer::new().serve_with(|| Echo), "10.0.0.1:80").await?;
        let client = HttpClient::new(&event_loop);
        for content in [
            pieces(200, Duration::ZERO),
            pieces(5, Duration::from_secs(10)),
            vec![b'x'; 1_000_000].into(),
        ] {
            let request = http::Request::post("http://10.0.0.1/").body(content)?;
            let mut response = client.send(request).await?;
            let mut length = 0;
            while let Some(piece) = response.body_mut().next().await {
                length += piece?.len();
            }
            assert!([50_000, 1_000_000, 2_000_000].contains(&length), "{length}");
        }
        Ok(())
    });
}

#[test]
fn trailers_go_both_ways() {
    run(async |event_loop| {
        event_loop.create_server(HttpServer::new().serve_with(|| Echo), "10.0.0.1:80").await?;
        let content = RequestContent::from_writer(async |writer| {
            writer.write(b"content").await?;
            writer.trailers().insert("check", "sum".parse()?);
            Ok(())
        });
        let request = http::Request::post("http://10.0.0.1/").body(content)?;
        let mut response = HttpClient::new(&event_loop).send(request).await?;
        assert!(response.body().trailers().is_none());
        assert_eq!(response.body_mut().read_to_end(100).await?, b"content");
        assert_eq!(response.body().trailers().expect("trailers")["checked"], "sum");
        Ok(())
    });
}

#[test]
fn a_connection_whose_request_is_not_all_sent_is_not_used_again() {
    run(async |event_loop| {
        let connections = Rc::new(Cell::new(0));
        let seen = Rc::clone(&connections);
        let serve = async move |mut reader: StreamReader, writer: StreamWriter| {
            seen.set(seen.get() + 1);
            reader.read_until(b"\r\n\r\n").await?;
            writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await?;
            reader.read_to_end(10_000_000).await?;
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.1:80").await?;
        let client = HttpClient::new(&event_loop);
        for _ in 0..2 {
            let content = pieces(1000, Duration::from_secs(1));
            let request = http::Request::post("http://10.0.0.1/").body(content)?;
            let mut response = client.send(request).await?;
            assert_eq!(response.body_mut().read_to_end(10).await?, b"hi");
        }
        assert_eq!(connections.get(), 2);
        Ok(())
    });
}

#[test]
fn content_that_fails_under_way_fails_the_answer() {
    run(async |event_loop| {
        event_loop.create_server(HttpServer::new().serve_with(|| Echo), "10.0.0.1:80").await?;
        let content = RequestContent::from_writer(async |writer| {
            writer.write(b"x").await?;
            wharf::sleep(Duration::from_secs(1)).await;
            Err("the disk is gone".into())
        });
        let request = http::Request::post("http://10.0.0.1/").body(content)?;
        let mut response = HttpClient::new(&event_loop).send(request).await?;
        let error = response.body_mut().read_to_end(100).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(told.contains("the disk is gone"), "{told}");
        assert!(response.body_mut().next().await.is_none());
        Ok(())
    });
}

/// A server that notes when the content comes, and what it answers to the head.
async fn expecting(
    event_loop: &EventLoop,
    address: &str,
    answer: &'static str,
) -> Result<Rc<RefCell<Vec<(u64, String)>>>> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&seen);
    let clock = event_loop.clone();
    let serve = async move |mut reader: StreamReader, writer: StreamWriter| {
        let head = String::from_utf8(reader.read_until(b"\r\n\r\n").await?.to_vec())?;
        assert!(head.contains("expect: 100-continue\r\n"), "{head}");
        let begin = clock.time();
        writer.write_all(answer.as_bytes()).await?;
        let content = reader.read_chunk().await?.to_vec();
        let after = (clock.time() - begin).as_secs();
        noted.borrow_mut().push((after, String::from_utf8(content)?));
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
        Ok(())
    };
    event_loop.start_server(serve, address).await?;
    Ok(seen)
}

fn expect(host: &str) -> http::Request<&'static str> {
    let request = http::Request::put(format!("http://{host}/"));
    request.header("expect", "100-continue").body("content").unwrap()
}

#[test]
fn content_is_held_back_until_the_server_wants_it() {
    run(async |event_loop| {
        let client = HttpClient::new(&event_loop);
        let wanted = expecting(&event_loop, "10.0.0.1:80", "HTTP/1.1 100 Continue\r\n\r\n").await?;
        assert_eq!(client.send(expect("10.0.0.1")).await?.status(), 200);
        assert_eq!(*wanted.borrow(), [(0, "content".to_owned())]);
        // Not every server knows that it is asked; another interim answer says nothing of it.
        for (host, answer) in [("10.0.0.2", ""), ("10.0.0.3", "HTTP/1.1 102 Processing\r\n\r\n")] {
            let silent = expecting(&event_loop, &format!("{host}:80"), answer).await?;
            assert_eq!(client.send(expect(host)).await?.status(), 200);
            assert_eq!(*silent.borrow(), [(1, "content".to_owned())]);
        }
        // Without content there is nothing to hold back.
        let empty = http::Request::get("http://10.0.0.4/").header("expect", "100-continue");
        let serve = async move |mut reader: StreamReader, writer: StreamWriter| {
            let head = reader.read_until(b"\r\n\r\n").await?.to_vec();
            assert!(!String::from_utf8(head)?.contains("expect"));
            writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
            Ok(())
        };
        event_loop.start_server(serve, "10.0.0.4:80").await?;
        assert_eq!(client.send(empty.body(())?).await?.status(), 204);
        Ok(())
    });
}

/// golang/go CVE-2024-24791: after a final answer in place of 100 the connection is in no known state.
#[test]
fn content_that_the_server_does_not_want_is_not_sent() {
    run(async |event_loop| {
        let client = HttpClient::new(&event_loop);
        for (host, status) in [("10.0.0.1", 417), ("10.0.0.2", 401), ("10.0.0.3", 200)] {
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno");
            let answer: &str = answer.leak();
            let seen = expecting(&event_loop, &format!("{host}:80"), answer).await?;
            for _ in 0..2 {
                let mut response = client.send(expect(host)).await?;
                assert_eq!(response.status(), status);
                assert_eq!(response.body_mut().read_to_end(10).await?, b"no");
            }
            event_loop.sleep(Duration::from_secs(5)).await;
            // Two connections, which ended without content.
            assert_eq!(*seen.borrow(), [(0, String::new()), (0, String::new())], "{host}");
        }
        Ok(())
    });
}
