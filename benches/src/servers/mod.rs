//! The contenders written in Rust, and what they share.
//!
//! Each is the same program: `--listen ADDRESS`, first line `listening on ADDRESS`, `TCP_NODELAY`
//! on, every received byte sent back, exit on SIGTERM.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, getrlimit, setrlimit};

pub mod files;
pub mod http;
pub mod messages;
pub(crate) mod on_tokio;
mod options;
pub mod raw_mio;
pub mod smol;
pub mod streams;
pub mod tls;
pub mod tokio;
pub mod udp_raw_mio;
pub mod udp_tokio;
pub mod udp_wharf;
pub mod wharf;

pub use options::Options;

/// The size of the read buffer that every contender uses unless told otherwise, in bytes.
pub const READ_BUFFER_SIZE: usize = 64 * 1024;

/// Prints the line that whoever started the server waits for.
///
/// # Errors
/// Standard output is gone.
pub fn announce(address: impl Display) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "listening on {address}")?;
    output.flush()
}

/// What every server does first: it allows itself as many files as the system grants, and dies with
/// the process that started it.
///
/// # Errors
/// The system refuses.
pub fn prepare() -> io::Result<()> {
    raise_open_file_limit();
    end_with_parent()
}

/// A non-blocking stream that becomes readable on SIGTERM.
///
/// # Errors
/// The system refuses the signal handler or the socket pair.
pub fn termination() -> io::Result<UnixStream> {
    let (receiver, sender) = UnixStream::pair()?;
    receiver.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGTERM, sender)?;
    Ok(receiver)
}

/// Raises the soft limit of open files to the hard one. A refusal is left to show itself when files
/// run out.
pub fn raise_open_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Makes a server die with `numbers` even when that is killed outright.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn end_with_parent() -> io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::TERM))?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn end_with_parent() -> io::Result<()> {
    Ok(())
}
