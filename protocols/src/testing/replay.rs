use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Runs a function over every file of a directory, in order of names, and returns how many there were: the corpus of a
/// fuzz target as an ordinary test.
///
/// ```
/// use wharf_protocols::testing::replay;
///
/// # let directory = std::env::temp_dir().join(format!("wharf-replay-{}", std::process::id()));
/// # std::fs::create_dir_all(&directory).unwrap();
/// # std::fs::write(directory.join("hello"), "5:hello,").unwrap();
/// // In a package: concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/decode")
/// let count = replay(&directory, |data| assert!(data.len() < 1000));
/// assert_eq!(count, 1);
/// # std::fs::remove_dir_all(&directory).unwrap();
/// ```
///
/// # Panics
/// If the function panics for any file: all of them are named, each with its panic. If the directory cannot be read.
pub fn replay(directory: impl AsRef<Path>, mut run: impl FnMut(&[u8])) -> usize {
    let files = files(directory.as_ref());
    let failures: Vec<_> = files.iter().filter_map(|file| failure(file, &mut run)).collect();
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    files.len()
}

/// The files of a directory, in order; not those whose names begin with a dot.
pub(super) fn files(directory: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_hidden = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    files.retain(|path| path.is_file() && !is_hidden(path));
    files.sort();
    files
}

fn failure(file: &Path, run: &mut impl FnMut(&[u8])) -> Option<String> {
    let data = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let panic = catch_unwind(AssertUnwindSafe(|| run(&data))).err()?;
    Some(format!("{}: {}", file.display(), message(&*panic)))
}

pub(super) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic")
}
