//! What the servers and clients of others have in common: a command line of `--name value` pairs, and tokio's
//! `current_thread` runtime, as in the contenders of `wharf-benches`.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::SIGTERM;

/// What fallible functions here return: these programs print it and exit.
pub type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// The command line.
pub struct Arguments(HashMap<String, String>);

impl Arguments {
    /// Reads it.
    ///
    /// # Errors
    /// A value is missing, or a name does not begin with `--`.
    pub fn from_environment() -> Result<Self> {
        let mut words = std::env::args().skip(1);
        let mut values = HashMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("what is {word}?"))?;
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Self(values))
    }

    /// The value of `--name`.
    ///
    /// # Errors
    /// It is missing.
    pub fn required(&self, name: &str) -> Result<&str> {
        Ok(self.0.get(name).ok_or_else(|| format!("--{name} is missing"))?)
    }

    /// The value of `--name` as a number, or another one.
    ///
    /// # Errors
    /// It is no number.
    pub fn number(&self, name: &str, otherwise: u64) -> Result<u64> {
        self.0.get(name).map_or(Ok(otherwise), |value| Ok(value.parse()?))
    }
}

/// Runs what is asynchronous on one thread, until it ends or SIGTERM ends the process. It has as many files as the
/// system grants.
///
/// # Errors
/// The system refuses, or `running` fails.
pub fn run<T>(running: impl Future<Output = Result<T>>) -> Result<T> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(SIGTERM, sender)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let receiver = tokio::net::UnixStream::from_std(receiver)?;
        tokio::spawn(async move {
            if receiver.readable().await.is_ok() {
                std::process::exit(0);
            }
        });
        running.await
    })
}

/// Prints a line that whoever started the program waits for.
///
/// # Errors
/// Standard output is gone.
pub fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}

/// Waits for a line on standard input, or its end.
///
/// # Errors
/// Reading fails.
pub fn wait_for_a_line() -> io::Result<()> {
    io::stdin().read_line(&mut String::new()).map(drop)
}

/// The CPU time of all threads.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
