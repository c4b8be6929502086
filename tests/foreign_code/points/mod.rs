//! The points, by what they belong to.

mod actor;
mod datagrams;
mod groups;
mod loops;
mod pipes;
mod processes;
mod reaching;
mod streams;
mod streams_of_tasks;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(feature = "tls")]
mod tls_layers;
