//! `tee`: what comes from standard input goes to standard output, and to files and FIFOs.
//!
//! ```text
//! yes | head -1000000 | cargo run --release --example tee -- copy | tail -1
//! mkfifo fifo; cat fifo & date | cargo run --release --example tee -- fifo
//! ```
//!
//! Each of them is a transport, and the slowest sets the pace: standard input is read while nobody is
//! behind. An output that breaks is named and left out; with none left the program ends.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use wharf::bytes::Bytes;
use wharf::{Error, EventLoop, LoopFuture, Promise, Protocol, Result, Transport, TransportHandle};

use wharf_examples::command_line::{path, run};

const USAGE: &str = "
Copies standard input to standard output and to files.

usage: tee [--append] [FILE]...    a FIFO among them is waited for until it is read

exit code: 0 if all was copied, also when a reader has left early; 1 if something went wrong
";

/// After this time it says which FIFO nobody reads.
const SILENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    run(USAGE, |mut arguments| {
        let (mut paths, mut append) = (Vec::new(), false);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("append") => append = true,
                Arg::Value(value) => paths.push(value.parse_with(path)?),
                other => return Err(other.unexpected().into()),
            }
        }
        EventLoop::new()?.run(async |event_loop| tee(&event_loop, &paths, append).await)
    })
}

async fn tee(event_loop: &EventLoop, paths: &[PathBuf], append: bool) -> Result<ExitCode> {
    let joined = Rc::new(Joined::default());
    let mut ends = Vec::new();
    let (output, ended) = Output::new(event_loop, &joined, "standard output");
    match event_loop.connect_stdout(|| output).await {
        Ok(_) => ends.push(ended),
        Err(error) => joined.failed("standard output", &error),
    }
    for path in paths {
        let name = path.display().to_string();
        let (output, ended) = Output::new(event_loop, &joined, &name);
        match open(event_loop, output, path, append).await {
            Ok(()) => ends.push(ended),
            Err(error) => joined.failed(&name, &error),
        }
    }
    if !ends.is_empty() {
        let input = Input { joined: Rc::clone(&joined) };
        match event_loop.connect_stdin(|| input).await {
            Ok(input) => {
                joined.input.replace(Some(input.handle().clone()));
                joined.pace();
            }
            Err(error) => {
                joined.failed("standard input", &error);
                joined.close_outputs();
            }
        }
    }
    for ended in ends {
        ended.await?;
    }
    Ok(if joined.has_failed.get() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Opens one of the files.
async fn open(event_loop: &EventLoop, output: Output, path: &Path, append: bool) -> Result {
    if !is_fifo(path) {
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).append(append).truncate(!append).open(path)?;
        event_loop.connect_write_pipe(|| output, file).await?;
        return Ok(());
    }
    let waiting = format!("waiting for somebody to read {}", path.display());
    let notice = event_loop.call_later(SILENCE, move || say(&waiting));
    event_loop.connect_write_fifo(|| output, path).timeout(None).await?;
    notice.cancel();
    Ok(())
}

fn is_fifo(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn say(what: &str) {
    // Standard error may be closed; there is nobody left to tell then.
    let _ = writeln!(io::stderr(), "tee: {what}");
}

/// The input, and the outputs that are left.
#[derive(Default)]
struct Joined {
    input: RefCell<Option<TransportHandle>>,
    outputs: RefCell<Vec<TransportHandle>>,
    has_failed: Cell<bool>,
}

impl Joined {
    /// Says what is wrong with one of them; the others go on.
    fn failed(&self, name: &str, error: &dyn Display) {
        self.has_failed.set(true);
        say(&format!("{name}: {error:#}"));
    }

    /// Reads on if no output is behind, and ends if none is left.
    fn pace(&self) {
        let Some(input) = &*self.input.borrow() else { return };
        let outputs = self.outputs.borrow();
        let is_behind = |output: &TransportHandle| {
            output.write_buffer_size() > output.write_buffer_limits().high
        };
        if outputs.is_empty() {
            input.close();
        } else if outputs.iter().any(is_behind) {
            input.pause_reading();
        } else {
            input.resume_reading();
        }
    }

    /// Closes the outputs once all that came is written.
    fn close_outputs(&self) {
        self.outputs.borrow().iter().for_each(Transport::close);
    }
}

struct Input {
    joined: Rc<Joined>,
}

impl Protocol for Input {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        // One piece of memory for all of them.
        let data = Bytes::copy_from_slice(data);
        for output in &*self.joined.outputs.borrow() {
            output.write_bytes(data.clone());
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        if let Some(error) = error {
            self.joined.failed("standard input", error);
        }
        self.joined.close_outputs();
        Ok(())
    }
}

struct Output {
    joined: Rc<Joined>,
    name: String,
    ending: Option<Promise<()>>,
}

impl Output {
    fn new(event_loop: &EventLoop, joined: &Rc<Joined>, name: &str) -> (Self, LoopFuture<()>) {
        let (ending, ended) = event_loop.create_future();
        (Self { joined: Rc::clone(joined), name: name.to_owned(), ending: Some(ending) }, ended)
    }
}

impl Protocol for Output {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.joined.outputs.borrow_mut().push(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("an output is not read".into())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.joined.pace();
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.joined.pace();
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        self.joined.outputs.borrow_mut().retain(|output| output.id() != transport.id());
        self.joined.pace();
        match error {
            // A reader that leaves has what it wants.
            Some(error) if error.io_kind() == Some(io::ErrorKind::BrokenPipe) => {}
            Some(error) => self.joined.failed(&self.name, error),
            None => {}
        }
        if let Some(ending) = self.ending.take() {
            // Refused when nobody waits for it any more, which is fine.
            let _ = ending.set_result(());
        }
        Ok(())
    }
}
