//! On tokio's `current_thread` runtime, as hyper's documentation has it.

use std::io;
use std::net::SocketAddr;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::plaintext;
use crate::Result;
use crate::servers::on_tokio;

pub(super) fn run(listen: SocketAddr) -> Result {
    on_tokio::serve(listen, |stream| async {
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        let serving = http1::Builder::new().serve_connection(io, service_fn(plaintext));
        serving.await.map_err(io::Error::other)
    })
}
