//! What a proxy needs: content and fields that are passed on.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

use super::{Body, RequestBody, RequestContent, ResponseBody};

/// Takes out the fields that are about one connection and not about the message, as whoever passes a message on has to:
/// Connection and what it names, Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding and Upgrade
/// (RFC 9110, 7.6.1). Host and Content-Length stay, whoever names them.
///
/// A request's content is that of another request as it is, and an answer's that of another answer, at the pace of whoever
/// is slower, with trailers. So this is a proxy in front of one server:
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf_protocols::http::{
///     HttpClient, HttpServer, RequestBody, ResponseBody, remove_hop_by_hop,
/// };
///
/// async fn pass_on(
///     client: &HttpClient,
///     request: http::Request<RequestBody>,
/// ) -> wharf::Result<http::Response<ResponseBody>> {
///     let (mut head, content) = request.into_parts();
///     remove_hop_by_hop(&mut head.headers);
///     let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
///     head.uri = format!("http://10.0.0.1{target}").parse()?;
///     let mut response = client.send(http::Request::from_parts(head, content)).await?;
///     remove_hop_by_hop(response.headers_mut());
///     Ok(response)
/// }
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let service = async |mut request: http::Request<RequestBody>| {
///         let content = request.body_mut().read_to_end(1000).await?;
///         Ok::<_, wharf::Failure>(http::Response::new(content))
///     };
///     event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
///
///     let client = HttpClient::new(&event_loop);
///     let proxy = async move |request| pass_on(&client, request).await;
///     event_loop.create_server(HttpServer::new().serve(proxy), "10.0.0.2:80").await?;
///
///     let client = HttpClient::new(&event_loop);
///     let request = http::Request::post("http://10.0.0.2/").body("hello")?;
///     let mut response = client.send(request).await?;
///     assert_eq!(response.body_mut().read_to_end(1000).await?, b"hello");
///     Ok(())
/// })
/// # }
/// ```
pub fn remove_hop_by_hop(fields: &mut HeaderMap) {
    let lists = fields.get_all(CONNECTION).iter().filter_map(|list| list.to_str().ok());
    let named = lists.flat_map(|list| list.split(','));
    let named = named.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
    // They say where the message goes and where it ends.
    let named: Vec<_> = named.filter(|name| *name != HOST && *name != CONTENT_LENGTH).collect();
    for name in named {
        fields.remove(name);
    }
    for name in [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        fields.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        fields.remove(name);
    }
}

/// Passes content on, at the server's pace, with its trailers. How long it is says the request's Content-Length; without
/// one it goes in chunks.
impl From<RequestBody> for RequestContent {
    fn from(mut content: RequestBody) -> Self {
        if content.at_eof() {
            return Self::from(());
        }
        Self::from_writer(async move |writer| {
            while let Some(piece) = content.next().await {
                writer.write(&piece?).await?;
            }
            if let Some(trailers) = content.trailers() {
                writer.trailers().clone_from(trailers);
            }
            Ok(())
        })
    }
}

/// Passes content on, at the client's pace, with its trailers. How long it is says the answer's Content-Length; without one
/// it goes in chunks. If it is cut off, so is the answer.
impl From<ResponseBody> for Body {
    fn from(mut content: ResponseBody) -> Self {
        Self::from_writer(async move |writer| {
            while let Some(piece) = content.next().await {
                writer.write(&piece?).await?;
            }
            if let Some(trailers) = content.trailers() {
                writer.trailers().clone_from(trailers);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use wharf::testing::MemoryNetwork;
    use wharf::{EventLoop, Result};

    use super::*;
    use crate::http::{HttpClient, HttpServer};

    #[test]
    fn fields_of_one_connection_are_taken_out() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-One"),
            ("connection", "x-two,host,Content-Length,,"),
            ("x-one", "1"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("host", "x"),
            ("content-length", "3"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
        ] {
            fields.append(name, value.parse().unwrap());
        }
        remove_hop_by_hop(&mut fields);
        let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "host", "x-three"]);
    }

    /// A server at 10.0.0.1 that says `answer` and notes what it gets, and a proxy in front of it at 10.0.0.2.
    async fn behind_a_proxy(
        event_loop: &EventLoop,
        answer: &'static [u8],
    ) -> Result<Rc<RefCell<Vec<u8>>>> {
        let got = Rc::new(RefCell::new(Vec::new()));
        let noting = Rc::clone(&got);
        let origin = move |mut reader: wharf::StreamReader, writer: wharf::StreamWriter| {
            let noting = Rc::clone(&noting);
            async move {
                let mut has_answered = false;
                loop {
                    let chunk = reader.read_chunk().await?.to_vec();
                    if chunk.is_empty() {
                        return Ok(());
                    }
                    noting.borrow_mut().extend_from_slice(&chunk);
                    if !has_answered && noting.borrow().ends_with(b"\r\n\r\n") {
                        has_answered = true;
                        writer.write_all(answer).await?;
                    }
                }
            }
        };
        event_loop.start_server(origin, "10.0.0.1:80").await?;
        let client = HttpClient::new(event_loop);
        let proxy = async move |request: http::Request<RequestBody>| {
            let (mut head, content) = request.into_parts();
            remove_hop_by_hop(&mut head.headers);
            head.uri = http::Uri::from_static("http://10.0.0.1/");
            client.send(http::Request::from_parts(head, content)).await
        };
        let server = HttpServer::new().date(false).standard_fields(&[])?;
        event_loop.create_server(server.serve(proxy), "10.0.0.2:80").await?;
        Ok(got)
    }

    /// What the origin got, and what the client got.
    fn exchange(request: &'static [u8], answer: &'static [u8]) -> (String, String) {
        let mut outcome = None;
        let run = async |event_loop: EventLoop| {
            let got = behind_a_proxy(&event_loop, answer).await?;
            let (mut reader, writer) = event_loop.open_connection("10.0.0.2:80").await?;
            writer.write_all(request).await?;
            let said = reader.read_to_end(10_000).await?;
            let got = String::from_utf8_lossy(&got.borrow()).into_owned();
            outcome = Some((got, String::from_utf8_lossy(&said).into_owned()));
            Ok::<_, wharf::Failure>(())
        };
        MemoryNetwork::new().event_loop().run(run).unwrap();
        outcome.unwrap()
    }

    #[test]
    fn no_content_stays_none_and_a_length_a_length() {
        let (got, said) = exchange(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        );
        assert_eq!(got, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(said, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        let (got, _) = exchange(
            b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\n\r\n",
        );
        assert_eq!(got, "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n\r\n\r\n");
    }

    #[test]
    fn chunks_and_trailers_go_on_as_such() {
        let (got, said) = exchange(
            b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
              2\r\nab\r\n0\r\nX-Sum: 7\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 8\r\n\r\n",
        );
        assert!(got.ends_with("\r\n\r\n2\r\nab\r\n0\r\nx-sum: 7\r\n\r\n"), "{got}");
        assert!(said.ends_with("\r\n\r\n2\r\nok\r\n0\r\nx-sum: 8\r\n\r\n"), "{said}");
    }

    #[test]
    fn answers_without_content_say_the_length_that_it_would_have() {
        let (_, said) = exchange(
            b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        );
        assert_eq!(said, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
        let (_, said) = exchange(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 2\r\n\r\n",
        );
        assert!(said.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{said}");
        assert!(said.ends_with("\r\n\r\n"), "{said}");
    }

    #[test]
    fn what_is_cut_off_stays_cut_off() {
        let failed = std::panic::catch_unwind(|| {
            exchange(
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz",
            )
        });
        assert!(failed.is_err());
    }
}
