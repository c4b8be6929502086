//! `tee`: what comes from standard input goes to standard output, and to files and FIFOs.
//!
//! ```text
//! yes | head -1000000 | cargo run --release --example tee -- copy | tail -1
//! mkfifo fifo; cat fifo & date | cargo run --release --example tee -- fifo
//! ```
//!
//! Each of them is a transport, and the slowest sets the pace: standard input is read while nobody is
//! behind. An output that breaks is left out; with none left the program ends.
#![forbid(unsafe_code)]

#[path = "support/command_line.rs"]
mod command_line;

use std::cell::RefCell;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use lexopt::Arg;
use wharf::bytes::Bytes;
use wharf::{Error, EventLoop, LoopFuture, Promise, Protocol, Result, Transport, TransportHandle};

const USAGE: &str = "
Copies standard input to standard output and to files.

usage: tee [--append] [FILE]...    a FIFO among them is waited for until it is read
";

fn main() -> ExitCode {
    command_line::run(USAGE, |mut arguments| {
        let (mut paths, mut append) = (Vec::new(), false);
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("append") => append = true,
                Arg::Value(path) => paths.push(PathBuf::from(path)),
                other => return Err(other.unexpected().into()),
            }
        }
        EventLoop::new()?.run(async |event_loop| tee(event_loop, &paths, append).await)
    })
}

async fn tee(event_loop: EventLoop, paths: &[PathBuf], append: bool) -> Result {
    let joined = Rc::new(Joined::default());
    let mut ends = Vec::new();
    let (output, ended) = Output::new(&event_loop, &joined, "standard output");
    event_loop.connect_stdout(|| output).await?;
    ends.push(ended);
    for path in paths {
        let (output, ended) = Output::new(&event_loop, &joined, &path.display().to_string());
        let connecting = if is_fifo(path) {
            event_loop.connect_write_fifo(|| output, path).timeout(None)
        } else {
            let mut options = OpenOptions::new();
            let file = options.create(true).write(true).append(append).truncate(!append);
            event_loop.connect_write_pipe(|| output, file.open(path)?)
        };
        connecting.await.map_err(|error| format!("{}: {error:#}", path.display()))?;
        ends.push(ended);
    }
    let input = Input { joined: Rc::clone(&joined) };
    let input = event_loop.connect_stdin(|| input).await?;
    joined.input.replace(Some(input.handle().clone()));
    joined.pace();
    for ended in ends {
        ended.await?;
    }
    Ok(())
}

/// The input, and the outputs that are left.
#[derive(Default)]
struct Joined {
    input: RefCell<Option<TransportHandle>>,
    outputs: RefCell<Vec<TransportHandle>>,
}

impl Joined {
    /// Reads on if nobody is behind, and ends if nobody is left.
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

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        for output in &*self.joined.outputs.borrow() {
            output.close();
        }
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
        if let Some(error) =
            error.filter(|error| error.io_kind() != Some(io::ErrorKind::BrokenPipe))
        {
            // Standard error may be gone, too.
            let _ = writeln!(io::stderr(), "tee: {}: {error:#}", self.name);
        }
        if let Some(ending) = self.ending.take() {
            let _ = ending.set_result(());
        }
        Ok(())
    }
}

fn is_fifo(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}
