//! The command line, as users run it.
#![forbid(unsafe_code)]

mod options;
mod schedules;
mod submit;
mod support;
mod tasks;
mod top;
