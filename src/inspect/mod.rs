//! What a loop has to do, for whoever wants to know why nothing happens.

mod dump;
mod text;

pub use self::dump::{ConnectionDump, ListenerDump, LoopDump, TaskDump};
