//! The server of `wharf-protocols`.

use std::net::SocketAddr;

use http::header::CONTENT_TYPE;
use wharf::EventLoop;
use wharf_protocols::http::{Body, Exchange, HttpHandler, HttpServer, RequestBody, RequestHead};

use super::TEXT;
use crate::Result;
use crate::servers::prepare;
use crate::servers::wharf::serve_until_told;

pub(super) fn by_callbacks(listen: SocketAddr) -> Result {
    prepare()?;
    EventLoop::new()?.run(async |event_loop| {
        let factory = HttpServer::new().serve_with(|| Plaintext);
        let server = event_loop.create_server(factory, listen).await?;
        serve_until_told(&event_loop, &server).await
    })
}

struct Plaintext;

impl HttpHandler for Plaintext {
    fn request(&mut self, _: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> wharf::Result {
        exchange.respond(200, &[("Content-Type", b"text/plain")], TEXT.as_bytes())?;
        Ok(())
    }
}

pub(super) fn by_async_functions(listen: SocketAddr) -> Result {
    prepare()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.create_server(HttpServer::new().serve(plaintext), listen).await?;
        serve_until_told(&event_loop, &server).await
    })
}

async fn plaintext(_: http::Request<RequestBody>) -> http::Result<http::Response<Body>> {
    http::Response::builder().header(CONTENT_TYPE, "text/plain").body(Body::from(TEXT))
}
