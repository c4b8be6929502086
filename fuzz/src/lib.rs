//! The bodies of the fuzz targets, apart from the fuzzer: the same checks run on stable Rust over
//! the seeds and over every input that once failed. `README.md` says how.
#![forbid(unsafe_code)]

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

pub mod handover;
pub mod line;
mod sides;
pub mod stream;
pub mod tls;

/// Runs a target over its seeds and the inputs that once failed, and returns how many there were.
///
/// # Panics
/// If any fails, naming each; if there are no seeds, or they cannot be read.
pub fn replay(target: &str, run: fn(&[u8])) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = files(&directory.join("corpus").join(target));
    assert!(!inputs.is_empty(), "no seeds for {target}");
    inputs.append(&mut files(&directory.join("crashers").join(target)));

    let failures: Vec<_> = inputs.iter().filter_map(|input| failure(input, run)).collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    inputs.len()
}

/// Runs a target over the files named on the command line, for a look with a debugger.
///
/// # Panics
/// If an input fails or cannot be read.
pub fn run_files(run: fn(&[u8])) {
    for path in std::env::args_os().skip(1) {
        run(&read(Path::new(&path)));
    }
}

/// The files of a directory, in order; none if there is no such directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name != ".gitkeep"));
    files.sort();
    files
}

fn failure(input: &Path, run: fn(&[u8])) -> Option<String> {
    let data = read(input);
    let panic = catch_unwind(AssertUnwindSafe(|| run(&data))).err()?;
    Some(format!("{}: {}", input.display(), message(&*panic)))
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic")
}
