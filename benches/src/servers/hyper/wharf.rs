//! On wharf's streams.

use std::net::SocketAddr;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use wharf::hyper::HyperStream;
use wharf::{EventLoop, StreamReader, StreamWriter};

use super::plaintext;
use crate::Result;
use crate::servers::prepare;
use crate::servers::wharf::serve_until_told;

pub(super) fn run(listen: SocketAddr) -> Result {
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
