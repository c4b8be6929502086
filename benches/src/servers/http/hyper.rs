//! hyper, on tokio's `current_thread` runtime as its documentation has it, and on wharf's streams.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use wharf::hyper::HyperStream;
use wharf::{EventLoop, StreamReader, StreamWriter};

use super::TEXT;
use crate::Result;
use crate::servers::wharf::serve_until_told;
use crate::servers::{on_tokio, prepare};

pub(super) fn on_tokio(listen: SocketAddr) -> Result {
    on_tokio::serve(listen, |stream| async {
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        let serving = http1::Builder::new().serve_connection(io, service_fn(plaintext));
        serving.await.map_err(io::Error::other)
    })
}

pub(super) fn on_wharf(listen: SocketAddr) -> Result {
    prepare()?;
    EventLoop::new()?.run(async |event_loop| {
        let server = event_loop.start_server(serve, listen).await?;
        serve_until_told(&event_loop, &server).await
    })
}

async fn serve(reader: StreamReader, writer: StreamWriter) -> Result {
    let io = HyperStream::join(reader, writer);
    Ok(http1::Builder::new().serve_connection(io, service_fn(plaintext)).await?)
}

async fn plaintext(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(TEXT.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
