//! Child processes.

mod creation;
mod endings;
#[cfg(feature = "extra-fds")]
mod extra_fds;
mod flow_control;
mod ownership;
mod pipes;
mod running;
mod signalling;
mod waiting;
