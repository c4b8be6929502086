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
