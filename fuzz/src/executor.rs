//! The task executor, over a network in memory: what its coordinator hears, and what its workers and clients hear. Whatever
//! that is, nothing panics, and those who talk sense get their work done. And without a network: what a coordinator
//! decides.
//!
//! Where there is a network, an input is a byte of options and lines. The first byte of a line is whom it is about, the
//! second what happens, and the rest a text, as the tables of [`coordinator`] and [`peers`] say. Real messages are short to
//! write that way, and hold what only the other side knows.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::MemoryNetwork;
use wharf::{EventLoop, Result};
use wharf_executor::Function;
use wharf_executor::work::{Functions, WorkerOptions};

use self::ear::Ear;

mod coordinator;
mod decisions;
mod ear;
mod peers;
mod texts;

pub use coordinator::run as coordinator;
pub use decisions::run as decisions;
pub use peers::run as peers;
pub use texts::run as texts;

const ADDRESS: &str = "192.0.2.1:7000";

/// Who knows this may do everything.
const TOKEN: &str = "all";

/// What tells that sense is still talked. No input has its name, nor those of its tasks.
const DOUBLE: Function<u64, u64> = Function::new("double-4d5cbe1c09c3");

/// How many tasks the worker takes, two of which run at once.
const MOST_TASKS: usize = 3;

/// The longest time that passes in a script.
const LONGEST: Duration = Duration::from_secs(120);

/// A line of a script.
#[derive(Clone, Copy)]
struct Line<'a> {
    who: u8,
    what: u8,
    text: &'a [u8],
}

fn lines(script: &[u8]) -> impl Iterator<Item = Line<'_>> {
    script.split(|byte| *byte == b'\n').filter_map(|line| {
        let (&[who, what], text) = line.split_first_chunk::<2>()?;
        Some(Line { who, what, text })
    })
}

/// A message behind its length.
fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

/// A number in decimal digits, or 1.
fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Runs a script in virtual time.
///
/// # Panics
/// If anything panics, though the loop would go on, or the script fails.
fn play(script: impl AsyncFnOnce(EventLoop) -> Result) {
    let event_loop = MemoryNetwork::new().event_loop();
    let panics = Rc::new(RefCell::new(Vec::new()));
    let told = Rc::clone(&panics);
    event_loop.set_exception_handler(move |_, exception| {
        told.borrow_mut().push(exception.to_string());
    });
    let played = event_loop.run(script);
    assert_eq!(*panics.borrow(), Vec::<String>::new());
    played.unwrap_or_else(|error| panic!("{error}"));
}

/// Sends bytes in parts, each in a turn of the loop of its own.
async fn say(event_loop: &EventLoop, ear: &Ear, bytes: &[u8], part: usize) {
    for part in bytes.chunks(part.max(1)) {
        ear.say(part);
        event_loop.sleep(Duration::ZERO).await;
    }
}

/// What can be done.
fn functions() -> Functions {
    let mut functions = Functions::new();
    functions.define_async(&DOUBLE, async |number, _| Ok::<_, String>(2 * number));
    functions
}

fn worker_options() -> WorkerOptions {
    let (token, prefetch) = (Some(TOKEN.into()), MOST_TASKS - 2);
    WorkerOptions { name: "good".into(), slots: 2, prefetch, token, ..WorkerOptions::default() }
}
