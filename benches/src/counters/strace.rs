//! System calls, counted by strace.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::Result;

/// Calls by name.
pub type Calls = BTreeMap<String, u64>;

/// The command line to put before a program to have its calls counted into `output`.
pub fn wrapper(output: &Path) -> Vec<OsString> {
    vec!["strace".into(), "-f".into(), "-c".into(), "-o".into(), output.into()]
}

/// The calls that the program made in all its threads, once it has ended.
///
/// # Errors
/// The file is missing or is not strace's.
pub fn calls(output: &Path) -> Result<Calls> {
    parse(&fs::read_to_string(output)?)
}

/// Rows are share, seconds, microseconds per call, calls, errors (which may be blank), name.
fn parse(summary: &str) -> Result<Calls> {
    let mut calls = Calls::new();
    for line in summary.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [share, _, _, count, .., name] = columns[..] else { continue };
        if share.parse::<f64>().is_ok() && name != "total" {
            calls.insert(name.to_owned(), count.parse()?);
        }
    }
    if calls.is_empty() {
        return Err("strace wrote no summary".into());
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_summary() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 90.91    0.000010           0        31        12 read
  9.09    0.000001           1         1           epoll_create1
  0.00    0.000000           0       206           write
------ ----------- ----------- --------- --------- ----------------
100.00    0.000011           0       238        12 total
";
        let expected = [("epoll_create1", 1), ("read", 31), ("write", 206)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(parse(summary).unwrap(), Calls::from(expected));
        assert!(parse("strace: not found\n").is_err());
    }
}
