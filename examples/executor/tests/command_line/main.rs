//! The command line, as users run it.

mod options;
mod submit;
mod support;
mod tasks;
