//! A binary with functions of its own: it counts the words of files, each in a task, and adds up in another.
//!
//! ```sh
//! word_count serve --data tasks                       # the commands of wharf-executor, in three terminals
//! word_count work
//! word_count count README.md CONTRIBUTING.md
//! ```
//!
//! The coordinator hands over what the tasks return, so that the sum is made whatever becomes of who asked for it.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::ExitCode;

use wharf::Result;
use wharf_executor::client::{Client, ClientOptions};
use wharf_executor::work::{Failure, Functions};
use wharf_executor::{Function, commands, functions};

type Counts = BTreeMap<String, u64>;
type Words = Vec<(String, u64)>;

const COUNT: Function<String, Counts> = Function::new("count-words");
const ADD_UP: Function<(Vec<Counts>, usize), Words> = Function::new("add-up");

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("count") {
        return commands::main(with_own_functions());
    }
    match count(arguments.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What its workers can do.
fn with_own_functions() -> Functions {
    let mut functions = functions::built_in().expect("these are names");
    functions.define(&COUNT, |path, _| count_words(&path));
    functions.define(&ADD_UP, |(counts, most), _| Ok::<_, Failure>(add_up(counts, most)));
    functions
}

fn count(files: Vec<String>) -> Result {
    let address = std::env::var("WHARF_EXECUTOR").unwrap_or_else(|_| "127.0.0.1:7070".to_owned());
    wharf::run(async move |event_loop| {
        let client = Client::start(&event_loop, [address], ClientOptions::default())?;
        let group = client.group(&COUNT).submit(files).await?;
        for (word, count) in group.then_with(&ADD_UP, &10).await? {
            writeln!(io::stdout(), "{count:7} {word}")?;
        }
        Ok(())
    })
}

/// A file that is not there will not be there next time either.
fn count_words(path: &str) -> Result<Counts, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let text = format!("{path}: {error}");
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        if is_missing { Failure::permanent(text) } else { Failure::retryable(text) }
    })?;
    let mut counts = Counts::new();
    for word in text.split(|letter: char| !letter.is_alphabetic()).filter(|word| word.len() > 3) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    Ok(counts)
}

/// The words that are there most often.
fn add_up(all: Vec<Counts>, most: usize) -> Words {
    let mut sum = Counts::new();
    for (word, count) in all.into_iter().flatten() {
        *sum.entry(word).or_default() += count;
    }
    let mut sum: Words = sum.into_iter().collect();
    sum.sort_by_key(|(word, count)| (std::cmp::Reverse(*count), word.clone()));
    sum.truncate(most);
    sum
}
