//! Child processes.
//!
//! `builder` and `run` are what users call; `spawn` starts the child from its `settings`; `exit`
//! learns of its end; `pipes` are streams like any other, whose protocol hands what they bring to
//! the process's (`deliver`); `state` is what all of them work on.

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
