//! The command line, as users run it.

mod options;
mod schedules;
mod submit;
mod support;
mod tasks;
mod top;
