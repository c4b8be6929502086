//! Pipes, FIFOs, terminals, files and the standard streams as transports.

mod builder;
mod fifo;
mod host;
mod open;

pub use self::builder::PipeBuilder;

pub(crate) use self::open::{Pipe, open};
