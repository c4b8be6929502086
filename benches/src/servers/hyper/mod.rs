//! hyper answers every request with the same text, on either loop.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};

use super::Options;
use crate::Result;

mod tokio;
mod wharf;

/// Serves until SIGTERM.
///
/// # Errors
/// Listening or accepting fails, or the loop is nobody's.
pub fn run(options: Options) -> Result {
    match options.by.as_str() {
        "tokio" => tokio::run(options.listen),
        "wharf" => wharf::run(options.listen),
        other => Err(format!("there is no hyper on {other}").into()),
    }
}

async fn plaintext(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
