//! The executor: `wharf-executor --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use wharf_executor::commands;
use wharf_executor::functions::built_in;

fn main() -> ExitCode {
    match built_in() {
        Ok(functions) => commands::main(functions),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
