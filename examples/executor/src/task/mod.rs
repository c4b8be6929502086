//! What a task is, and what became of it. All of it is JSON on the wire and in the store.

mod id;
mod input;
mod output;
mod phase;
mod record;
mod spec;
mod text;
mod time;

pub(crate) use id::is_name;
pub use id::{InvalidName, Kind, TaskId};
pub use output::{Piece, Progress};
pub use phase::Phase;
pub(crate) use record::{MOST_LOSSES, check_result};
pub use record::{MOST_RESULT, Outcome, Record, State};
pub(crate) use spec::MOST_ARGUMENTS;
pub use spec::{Backoff, Input, InvalidSpec, Priority, Spec};
pub(crate) use text::{beginning, kept_error, parts};
pub(crate) use time::milliseconds;
pub use time::{Now, Timestamp};
