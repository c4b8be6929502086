//! hyper answers every request with the same text, on either loop.

use std::convert::Infallible;
use std::net::SocketAddr;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};

use crate::Result;
use crate::arguments::Arguments;

mod tokio;
mod wharf;

/// What the server can be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whose loop it runs on.
    pub by: String,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options =
            Self { listen: arguments.required("--listen")?, by: arguments.required("--by")? };
        arguments.finish()?;
        Ok(options)
    }
}

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
