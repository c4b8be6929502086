//! HTTP/1.1 (RFC 9110 and 9112), as server and client.
//!
//! # The codec
//! [`RequestDecoder`] and [`ResponseDecoder`] take messages apart, into heads that are lent, data, trailers and ends;
//! [`RequestEncoder`] and [`ResponseEncoder`] write them. [`ChunkedDecoder`] is the one of chunked content. They know
//! nothing of sockets.
//!
//! They are strict: each [`Rule`] is one of those by which a request could be smuggled past a program that reads it
//! differently, or keeps a server busy. Nothing is repaired, and [`HttpError`] says which rule was broken at which byte.
//! [`Limits`] bound everything.
//!
//! # The server
//! [`HttpServer`] makes factories for `create_server`: of a function of requests, or of [`HttpHandler`]s, which are called
//! with what is lent and allocate nothing.
//!
//! [`Files`] answers with the files of a directory, [`ServerSentEvent`] is one of a stream of events, which
//! [`ServerSentEventDecoder`] takes out of it again.
//!
//! # The client
//! [`HttpClient`] has a pool, deadlines, redirects and a proxy; [`HttpClientConnection`] is one connection.
//!
//! # Both
//! A proxy passes the content of requests and answers on as it is: see [`remove_hop_by_hop`].
//!
//! Both at work, in memory; the same code serves `0.0.0.0:80`, and fetches from it:
//!
//! ```
//! use wharf::testing::MemoryNetwork;
//! use wharf_protocols::http::{Body, HttpClient, HttpServer, RequestBody};
//!
//! # fn main() -> wharf::Result {
//! MemoryNetwork::new().event_loop().run(async |event_loop| {
//!     let service = async |request: http::Request<RequestBody>| match request.uri().path() {
//!         "/hello" => http::Response::new(Body::from("Hello, World!")),
//!         _ => {
//!             let mut response = http::Response::new(Body::from("there is no such page"));
//!             *response.status_mut() = http::StatusCode::NOT_FOUND;
//!             response
//!         }
//!     };
//!     event_loop.create_server(HttpServer::new().serve(service), "10.0.0.1:80").await?;
//!
//!     let client = HttpClient::new(&event_loop);
//!     let mut response = client.get("http://10.0.0.1/hello").await?;
//!     assert_eq!(response.body_mut().read_to_end(1000).await?, b"Hello, World!");
//!     assert_eq!(client.get("http://10.0.0.1/other").await?.status(), 404);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # Limits
//!
//! | [`Limits`] | default | answer of the server |
//! |---|---|---|
//! | `max_head`: bytes of a head | 16 KiB | 431 |
//! | `max_fields`: fields of a head, or of trailers | 100 | 431 |
//! | `max_content`: bytes of content | 2 MiB in requests, none in responses | 413 |
//! | `max_chunk_extensions`: bytes in one content | 16 KiB | 400 |
//! | `max_trailers`: bytes of trailers | 8 KiB | 431 |
//!
//! The tables of [`HttpServer`] and [`HttpClient`] have the deadlines.
//!
//! # What is refused
//!
//! Of RFC 9112: lines that do not end with CR LF (2.2), other versions than 1.0 and 1.1 (2.3), targets in a form that their
//! method has not (3.2), a missing or second `Host` (3.2), space before a colon (5.1), folded fields (5.2), a length beside a
//! transfer coding, or two lengths (6), codings other than `chunked` (6.1), chunk sizes and extensions that are not as written
//! there (7.1), and a message that is cut off (8). Of RFC 9110: control characters in fields (5.5), trailers that say how
//! the message is taken apart (6.5.1), and expectations other than `100-continue` (10.1.1). [`Rule`] has each by itself.
//! Encoders refuse the same: no text of a field, a target or a reason can begin another message.
//!
//! # httparse
//! It reads heads, when they are whole. What it takes and this module does not: lines that end with LF alone, targets with
//! other than visible ASCII, more than one empty line before a request, and everything that fields say together. Most requests
//! are read without it, in one pass that checks all of this and takes nothing else; the tests hold both against each other.

mod body;
mod body_encoder;
mod chars;
mod chunked_decoder;
mod client;
mod diagnose;
mod error;
mod event_decoder;
mod events;
mod facts;
mod files;
mod head;
mod headers;
mod limits;
mod parse;
mod pass_on;
mod request_decoder;
mod request_encoder;
mod response_decoder;
mod response_encoder;
mod scan;
mod section;
mod server;
#[cfg(test)]
mod tests;
mod whole;

pub use chunked_decoder::{ChunkedDecoder, ChunkedEvent};
pub use client::{
    HttpClient, HttpClientConnection, HttpClientError, RequestContent, RequestWriter, ResponseBody,
};
pub use error::{HttpError, Rule};
pub use event_decoder::{MessageEvent, ServerSentEventDecoder, ServerSentEvents};
pub use events::ServerSentEvent;
pub use files::Files;
pub use head::{ContentLength, RequestHead, ResponseHead, Version};
pub use headers::{Headers, HeadersIter};
pub use limits::Limits;
pub use pass_on::remove_hop_by_hop;
pub use request_decoder::{RequestDecoder, RequestEvent};
pub use request_encoder::RequestEncoder;
pub use response_decoder::{ResponseDecoder, ResponseEvent};
pub use response_encoder::ResponseEncoder;
pub use server::{
    Answer, AsyncHandler, Body, BodyWriter, Exchange, HttpConnection, HttpHandler, HttpServer,
    HttpService, IntoAnswer, RequestBody,
};
