//! What coordinators, workers and clients say to each other.
//!
//! A message is JSON behind its length, four bytes with the highest first. Both sides begin with a greeting: a peer that
//! speaks another version, or has no right to talk, gets one answer. Fields that a peer does not know are an error.
//!
//! ```text
//! worker or client                     coordinator
//!   {"hello": {"version": 1, …}}  →
//!                                 ←    {"welcome": {"lease": 15000}}, or {"refused": "…"} and the end
//! client
//!   {"request": {"number": 1, …}} →
//!                                 ←    {"answer": {"number": 1, …}}
//! worker
//!                                 ←    {"assign": {"fence": 7, …}}
//!   {"report": {"fence": 7, …}}   →
//!                                 ←    {"recorded": 7}
//!   {"output": {"fence": 7, …}}   →
//!                                 ←    {"kept": 7}
//! ```

mod codec;
mod ended;
mod line;
mod messages;
mod outbox;
mod output;
mod schedules;
#[cfg(test)]
mod tests;

pub use codec::{MAX_LENGTH, WireError, decode, encode};
pub use ended::Ended;
pub(crate) use line::{Line, WELCOME_TWICE, greet};
pub use messages::{
    Answer, Ask, Asked, AskedList, Assign, FromCoordinator, Hello, Replied, Reported, Role,
    TaskStatus, ToCoordinator, VERSION,
};
pub use outbox::Outbox;
pub use output::{AskOutput, OutputPage, OutputPart, Written};
pub use schedules::{AskedSchedule, ListedSchedules};
