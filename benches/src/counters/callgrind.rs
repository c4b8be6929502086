//! User-space instructions and allocations, counted by valgrind's callgrind.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::Result;

/// The C library's functions that allocate; Rust's go through them.
const ALLOCATING: [&str; 6] =
    ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign"];

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
pub fn instructions(output: &Path) -> Result<u64> {
    total(&fs::read_to_string(output)?)
}

/// How often the program allocated, or made an allocation larger or smaller.
///
/// # Errors
/// The file is missing or is not callgrind's.
pub fn allocations(output: &Path) -> Result<u64> {
    allocating_calls(&fs::read_to_string(output)?)
}

/// The last total, because a file may have a part per dump.
fn total(output: &str) -> Result<u64> {
    let mut totals = output.lines().filter_map(|line| line.strip_prefix("totals:"));
    Ok(totals.next_back().ok_or("callgrind wrote no totals")?.trim().parse()?)
}

/// Calls of the allocating functions by anybody else: `realloc` may call `malloc`.
///
/// Functions are written `(number) name` where they come first, and `(number)` after that. `fn=`
/// says whose lines follow, `cfn=` whom the next `calls=` is of.
fn allocating_calls(output: &str) -> Result<u64> {
    let mut names = HashMap::new();
    let (mut caller_allocates, mut callee_allocates) = (false, false);
    let mut calls = 0;
    for line in output.lines() {
        if let Some(function) = line.strip_prefix("fn=") {
            caller_allocates = allocates(function, &mut names)?;
        } else if let Some(function) = line.strip_prefix("cfn=") {
            callee_allocates = allocates(function, &mut names)?;
        } else if let Some(call) = line.strip_prefix("calls=")
            && callee_allocates
            && !caller_allocates
        {
            let count = call.split(' ').next().unwrap_or_default();
            calls += count.parse::<u64>()?;
        }
    }
    if names.is_empty() { Err("callgrind wrote no functions".into()) } else { Ok(calls) }
}

fn allocates<'a>(function: &'a str, names: &mut HashMap<&'a str, &'a str>) -> Result<bool> {
    let (number, name) = function.split_once(' ').unwrap_or((function, ""));
    if !name.is_empty() {
        names.insert(number, name);
    }
    let name = names.get(number).ok_or_else(|| format!("callgrind names no {number}"))?;
    Ok(ALLOCATING.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_total() {
        let output =
            "# callgrind format\nevents: Ir\nsummary: 71\n\nfn=(1) main\n1 5\n\ntotals: 71\n";
        assert_eq!(total(output).unwrap(), 71);
        assert!(total("events: Ir\n").is_err());
    }

    #[test]
    fn counts_who_is_called_to_allocate_but_by_whoever_does() {
        let output = "\
fn=(1) main
1 5
cfn=(2) malloc
calls=3 100
2 90
cfn=(3) free
calls=4 200
3 80

fn=(4) realloc
cfn=(2)
calls=7 100
4 60

fn=(5) work
cfn=(4)
calls=2 300
5 50
cfn=(2)
calls=1 100
5 40

totals: 71
";
        assert_eq!(allocating_calls(output).unwrap(), 6);
        assert!(allocating_calls("totals: 71\n").is_err());
        assert!(allocating_calls("fn=(9)\n").is_err());
    }
}
