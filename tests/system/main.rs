//! Whole programs: the examples as processes, and the chat in virtual time.

mod chat;
mod examples;
mod program;
