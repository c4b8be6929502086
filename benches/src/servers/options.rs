//! What a server is told of which there are several.

use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::Result;
use crate::arguments::Arguments;

/// Where to listen, and how.
#[derive(Debug, Clone)]
pub struct Options<B = String> {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who serves, or how; each program has its own names.
    pub by: B,
}

impl<B: FromStr<Err: Display>> Options<B> {
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
