//! A shutdown of the server, with connections in each state; and many requests.

use wharf::testing::MemoryNetwork;
use wharf::{Failure, StreamWriter};

use super::super::{Body, RequestBody};
use super::*;

/// What becomes of a connection on which `before` was sent, when the server is shut down and then `after` is sent; and how
/// many connections the shutdown had to abort.
fn shut_down(before: &str, after: &str) -> (String, usize) {
    let service = async |request: http::Request<RequestBody>| {
        let path = request.uri().path().to_owned();
        match &*path {
            "/slow" => wharf::sleep(Duration::from_secs(5)).await,
            "/never" => std::future::pending().await,
            _ => {}
        }
        let mut body = request.into_body();
        let length = body.read_to_end(1000).await?.len();
        Ok::<_, Failure>(http::Response::new(match &*path {
            "/pieces" => Body::from_writer(async |writer| {
                for _ in 0..3 {
                    writer.write(b"piece").await?;
                    wharf::sleep(Duration::from_secs(1)).await;
                }
                Ok(())
            }),
            _ => Body::from(length.to_string()),
        }))
    };
    MemoryNetwork::new()
        .event_loop()
        .run(async move |event_loop| {
            let server = event_loop.create_server(server().serve(service), "10.0.0.1:80").await?;
            let (mut reader, writer) = event_loop.open_connection("10.0.0.1:80").await?;
            writer.write_all(before.as_bytes()).await?;
            event_loop.sleep(Duration::from_millis(500)).await;
            let shutdown = server.shutdown(Duration::from_secs(60));
            event_loop.sleep(Duration::from_millis(1)).await;
            send(&writer, after).await;
            let answer = reader.read_to_end(10_000).await.unwrap_or_default();
            Ok((String::from_utf8(answer)?, shutdown.await?))
        })
        .unwrap()
}

/// The connection may be closed by now.
async fn send(writer: &StreamWriter, text: &str) {
    let _ = writer.write_all(text.as_bytes()).await;
}

const CLOSED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn a_shutdown_ends_connections_in_each_state() {
    // Nothing has come.
    assert_eq!(shut_down("", GET), (String::new(), 0));
    // Between two requests.
    let open = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0";
    assert_eq!(shut_down(GET, GET), (open.to_owned(), 0));
    // In a head.
    assert_eq!(shut_down("GET / HT", &GET[8..]), (format!("{CLOSED}0"), 0));
    // In the content.
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(shut_down(head, "hello"), (format!("{CLOSED}5"), 0));
    // The answer is awaited, and another request is there, which is not answered any more.
    let slow = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(shut_down(&format!("{slow}{GET}"), GET), (format!("{CLOSED}0"), 0));
    // The answer has begun: all of it is sent, though its head has not said that it is the last.
    let (answer, aborted) = shut_down("GET /pieces HTTP/1.1\r\nHost: x\r\n\r\n", GET);
    assert_eq!((answer.matches("piece").count(), aborted), (3, 0));
    assert!(answer.ends_with("5\r\npiece\r\n0\r\n\r\n"), "{answer}");
    // A head that does not come on has its own time.
    let (answer, aborted) = shut_down("GET / HTTP/1.1\r\nHost: ", "");
    assert!(answer.starts_with("HTTP/1.1 408 ") && aborted == 0, "{answer} {aborted}");
    // An answer that does not come is given up when the time is over.
    let never = "GET /never HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(shut_down(never, ""), (String::new(), 1));
}
