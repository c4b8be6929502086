//! Draws `docs/numbers.svg`, the picture in the README, from the tables of `docs/numbers.md`.
//!
//! ```text
//! cargo run -p wharf-benches --bin plot
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "it says where the picture is")]

use std::fs;
use std::process::ExitCode;

use wharf_benches::plot::{PICTURE, TABLES, draw};

fn main() -> ExitCode {
    wharf_benches::exit_code(draw_picture())
}

fn draw_picture() -> wharf_benches::Result {
    let tables = fs::read_to_string(TABLES).map_err(|error| format!("{TABLES}: {error}"))?;
    fs::write(PICTURE, draw(&tables)?).map_err(|error| format!("{PICTURE}: {error}"))?;
    println!("{PICTURE}");
    Ok(())
}
