//! Child processes.
//!
//! `builder` and `run` are what users call; `prepare` gets all that a child needs from its `settings`
//! and starts it; `exit` learns of its end. For a protocol, `spawn` makes a process of it, whose
//! `pipes` are streams like any other, and pass what they bring to the process's protocol
//! (`deliver`). All of them work on `state`. For what a program writes until its end, `collect` reads
//! the pipes directly.

mod access;
mod builder;
mod collect;
mod deliver;
mod exit;
mod extra;
mod handle;
mod owned;
mod partial_output;
mod pipes;
mod prepare;
mod protocol;
mod run;
mod settings;
mod signals;
mod spawn;
mod state;
mod stdio;
mod table;
mod transport;

pub use self::builder::SubprocessBuilder;
pub use self::handle::ProcessHandle;
pub use self::owned::Process;
pub use self::partial_output::PartialOutput;
pub use self::protocol::{ChildFd, ProcessProtocol};
pub use self::run::RunBuilder;
pub use self::stdio::Stdio;
pub use self::transport::ProcessTransport;

pub(crate) use self::table::ProcessTable;

#[cfg(test)]
mod tests;
