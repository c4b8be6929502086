//! Servers of HTTP/1.1 that answer every request with the same text.

use super::Options;
use crate::Result;

mod hyper;
pub(crate) mod nginx;
mod raw_mio;
mod wharf;

/// Serves until SIGTERM.
///
/// # Errors
/// Listening or accepting fails, or nobody has such a server.
pub fn run(options: Options) -> Result {
    match options.by.as_str() {
        "hyper-tokio" => hyper::on_tokio(options.listen),
        "hyper-wharf" => hyper::on_wharf(options.listen),
        "nginx" => nginx::run(options.listen),
        "raw-mio" => raw_mio::run(options.listen),
        "wharf" => wharf::by_callbacks(options.listen),
        "wharf-async" => wharf::by_async_functions(options.listen),
        other => Err(format!("there is no server of HTTP by {other}").into()),
    }
}

/// What every answer says.
const TEXT: &str = "Hello, World!";
