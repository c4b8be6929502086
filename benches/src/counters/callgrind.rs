//! User-space instructions, counted by valgrind's callgrind.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// The command line to put before a program to have its instructions counted into `output`.
pub fn wrapper(output: &Path) -> Vec<OsString> {
    let mut output_option = OsString::from("--callgrind-out-file=");
    output_option.push(output);
    vec!["valgrind".into(), "-q".into(), "--tool=callgrind".into(), output_option]
}

/// The instructions that the program executed in all its threads, once it has ended.
///
/// # Errors
/// The file is missing or is not callgrind's.
pub fn instructions(output: &PathBuf) -> Result<u64> {
    parse(&fs::read_to_string(output)?)
}

/// The last total, because a file may have a part per dump.
fn parse(output: &str) -> Result<u64> {
    let mut totals = output.lines().filter_map(|line| line.strip_prefix("totals:"));
    Ok(totals.next_back().ok_or("callgrind wrote no totals")?.trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_total() {
        let output =
            "# callgrind format\nevents: Ir\nsummary: 71\n\nfn=(1) main\n1 5\n\ntotals: 71\n";
        assert_eq!(parse(output).unwrap(), 71);
        assert!(parse("events: Ir\n").is_err());
    }
}
