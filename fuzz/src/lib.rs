//! The bodies of the fuzz targets, apart from the fuzzer: the same checks run on stable Rust over
//! the seeds and over every input that once failed. `README.md` says how.
#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

use wharf_protocols::testing::{self, Mutations};

pub mod executor;
pub mod handover;
pub mod http;
pub mod length_prefix;
pub mod line;
pub mod nats;
pub mod netstring;
mod sides;
pub mod simulation;
pub mod stream;
pub mod tls;
pub mod websocket;
pub mod websocket_server;

/// Runs a target over its seeds and the inputs that once failed, and returns how many there were.
///
/// # Panics
/// If any fails, naming each; if there are no seeds, or they cannot be read.
pub fn replay(target: &str, run: fn(&[u8])) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds = testing::replay(directory.join("corpus").join(target), run);
    assert!(seeds > 0, "no seeds for {target}");
    let crashers = directory.join("crashers").join(target);
    seeds + if crashers.exists() { testing::replay(crashers, run) } else { 0 }
}

/// Changes of a target's seeds, with one of the dictionaries, or none.
///
/// # Panics
/// If they cannot be read.
pub fn mutations(target: &str, dictionary: &str) -> Mutations {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mutations = Mutations::of(directory.join("corpus").join(target)).max_length(400);
    if dictionary.is_empty() {
        return mutations;
    }
    mutations.dictionary(directory.join("dictionaries").join(dictionary).with_extension("dict"))
}

/// Runs a target over the files named on the command line, for a look with a debugger.
///
/// # Panics
/// If an input fails or cannot be read.
pub fn run_files(run: fn(&[u8])) {
    for path in std::env::args_os().skip(1) {
        let path = Path::new(&path);
        run(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
    }
}
