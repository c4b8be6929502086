//! Child processes.

mod creation;
mod endings;
mod flow_control;
mod ownership;
mod pipes;
mod running;
mod signalling;
mod waiting;
