//! A process that is measured, and what it says to the one who measures: a line, and then it waits for one.

use std::io::{self, BufRead as _, Write as _};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::Result;

/// What this process has used until now, in all its threads. The C library's: valgrind does not bear rustix's.
pub(crate) fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// Prints a line at once.
pub(crate) fn say(line: &str) -> Result {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}

pub(crate) fn wait_for_a_line() -> Result {
    io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}
