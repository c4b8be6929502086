//! The executor while it is measured: its binary with a function that does nothing, and a client that submits tasks and
//! awaits their results.

mod load;

use std::process::ExitCode;

pub use load::run;

/// What the tasks are called that do nothing, by a function on the worker's loop.
pub const NOTHING: &str = "nothing";
/// The same, by a function on a thread of the slot.
pub const NOTHING_ON_A_THREAD: &str = "nothing-on-a-thread";

/// The executor's binary, whose workers can do nothing.
pub fn main() -> ExitCode {
    let mut functions = wharf_executor::work::Functions::new();
    let added = functions
        .add_async(NOTHING, async |(): (), _| Ok::<_, String>(()))
        .and_then(|functions| functions.add(NOTHING_ON_A_THREAD, |(): (), _| Ok::<_, String>(())))
        .map(drop);
    match added {
        Ok(()) => wharf_executor::commands::main(functions),
        Err(error) => crate::exit_code(Err(error.into())),
    }
}
