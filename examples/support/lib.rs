//! What the examples have in common: their command lines, how they begin and end, and standard streams
//! that never stop a loop.
#![forbid(unsafe_code)]

pub mod command_line;
pub mod endpoint;
pub mod http;
pub mod output;
pub mod race;
pub mod serving;
pub mod stopping;
pub mod text;
pub mod tls;
