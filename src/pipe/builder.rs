//! `connect_read_pipe`, `connect_write_pipe` and similar methods, and their options.

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::fifo::open_fifo;
use super::open;
use super::open::{DRIVE_DESCRIPTORS, Pipe, open_joined};
use crate::driver::{Direction, open_other_end, own_description};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop, Guarded};
use crate::fence::{self, Panic};
use crate::protocol::Protocol;
use crate::task::{LoopFuture, operation};
use crate::timeout::Timeout;
use crate::transport::{Connection, StreamOptions, TransportHandle};

/// How long a FIFO's reader is waited for, unless set.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// A pipe to be made a transport: what [`EventLoop::connect_read_pipe`] and its kin return.
///
/// Await it, or [`start`](Self::start) it. Nothing happens before. It gives a `T`: a [`Connection`], or what the
/// method that made the builder says.
///
/// ```
/// use std::io::Write;
/// use wharf::testing::Record;
/// use wharf::{EventLoop, Result};
///
/// # fn main() -> Result {
/// EventLoop::new()?.run(async |event_loop| {
///     let (reader, mut writer) = std::io::pipe()?;
///     let record = Record::new();
///     event_loop.connect_read_pipe(record.factory(), reader).await?;
///     writer.write_all(b"hello")?;
///     drop(writer);
///     record.connection_lost().await;
///     assert_eq!(record.received(), b"hello");
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "nothing is connected before it is awaited or started"]
pub struct PipeBuilder<P, T = Connection<P>> {
    core: Rc<Core>,
    factory: Box<dyn FnOnce() -> P>,
    /// Makes what the future gives. One that keeps nothing is no allocation.
    finish: Box<dyn FnOnce(Connection<P>) -> T>,
    source: Source,
    direction: Direction,
    keep_open: bool,
    timeout: Option<Duration>,
    stream_options: StreamOptions,
}

enum Source {
    Descriptor(OwnedFd),
    /// One that is read, and one that is written.
    Joined(OwnedFd, OwnedFd),
    /// Standard input and output.
    Standards,
    Standard(Standard),
    Fifo(PathBuf),
}

/// What a transport is made of.
enum Ends {
    One(Pipe),
    Two(Pipe, Pipe),
}

#[derive(Clone, Copy)]
enum Standard {
    Input,
    Output,
    Error,
}

/// # Pipes, terminals and standard streams
impl EventLoop {
    /// Runs the protocol that `factory` makes on the read end of a pipe.
    ///
    /// `pipe` is anything that owns a descriptor: a `PipeReader`, a `ChildStdout`, a FIFO, a
    /// terminal, one end of a pair of Unix sockets, a `File`. It is owned from here on, and closed
    /// with the transport. Files, and devices that the poll cannot watch (`/dev/null`), are read on
    /// the loop's threads. For standard input see [`connect_stdin`](Self::connect_stdin).
    ///
    /// The transport reads only: writes are refused as `Closed`, and the end of the pipe
    /// (`eof_received`) closes it, whatever that returns. The end of a terminal's other side is an
    /// end, too.
    ///
    /// ```
    /// use std::io::Write;
    /// use wharf::testing::Record;
    /// use wharf::{EventLoop, Result};
    ///
    /// # fn main() -> Result {
    /// let (reader, mut writer) = std::io::pipe()?;
    /// writer.write_all(b"one\ntwo\n")?;
    /// drop(writer);
    /// EventLoop::new()?.run(async |event_loop| {
    ///     // A protocol that records what it is told.
    ///     let record = Record::new();
    ///     event_loop.connect_read_pipe(record.factory(), reader).await?;
    ///     assert!(record.connection_lost().await.is_none());
    ///     assert_eq!(record.received(), b"one\ntwo\n");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// What the operating system says; `InvalidInput` for a descriptor that is not open for
    /// reading, or a socket that is no stream; `IsADirectory`;
    /// [`is_unsupported`](Error::is_unsupported) on a loop in memory; a panic of the factory.
    pub fn connect_read_pipe<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        pipe: impl Into<OwnedFd>,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Descriptor(pipe.into()), Direction::Read)
    }

    /// Runs the protocol that `factory` makes on the write end of a pipe.
    ///
    /// `pipe` is anything that owns a descriptor, as for
    /// [`connect_read_pipe`](Self::connect_read_pipe): a `PipeWriter`, a `ChildStdin`, a `File`.
    ///
    /// The transport writes only: it is never reading, and `write_eof` closes it. When the reader
    /// is gone `connection_lost` is told: `BrokenPipe` if something was still to be written,
    /// else no error. A reader that is only slow, or stopped, is waited for as long as it takes: a
    /// pipe has no linger and no write-stall deadline unless one is set. (The signal `SIGPIPE` is ignored in programs in Rust, unless they ask for it;
    /// where it is not, writing to a pipe without a reader ends the process.)
    ///
    /// # Errors
    /// As [`connect_read_pipe`](Self::connect_read_pipe).
    pub fn connect_write_pipe<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        pipe: impl Into<OwnedFd>,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Descriptor(pipe.into()), Direction::Write)
    }

    /// Runs the protocol that `factory` makes on a device that is both read and written: a serial
    /// line, a terminal, the master's side of a pseudoterminal.
    ///
    /// Its sides cannot end one by one: `can_write_eof` is false, and after `write_eof` writes are
    /// refused while reading goes on. Settings of the line (speed, echo) are the caller's.
    ///
    /// # Errors
    /// As [`connect_read_pipe`](Self::connect_read_pipe); `InvalidInput` for what is no device that
    /// the poll can watch.
    pub fn connect_device<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        device: impl Into<OwnedFd>,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Descriptor(device.into()), Direction::Both)
    }

    /// Runs the protocol that `factory` makes on two pipes at once: what comes from `reader` is its
    /// input, and what it writes goes to `writer`.
    ///
    /// For what speaks over a pair of pipes: a child's standard output and input, a `ProxyCommand`.
    /// Each can be anything that [`connect_read_pipe`](Self::connect_read_pipe) and
    /// [`connect_write_pipe`](Self::connect_write_pipe) take. The transport is as one on a socket:
    /// the end of `reader` is `eof_received`, `write_eof` closes `writer`, and TLS can be started on
    /// it. When nobody reads from `writer` any more, the next write fails. As a pipe it has no linger
    /// and no write-stall deadline unless one is set.
    ///
    /// ```
    /// use std::process::{Command, Stdio};
    ///
    /// # use wharf::{EventLoop, Protocol, Result, Transport};
    /// struct Ask;
    ///
    /// impl Protocol for Ask {
    ///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
    ///         transport.write(b"hello");
    ///         transport.write_eof();
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
    ///         assert_eq!(data, b"hello");
    ///         transport.close();
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn main() -> Result {
    /// let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    /// let (output, input) = (child.stdout.take().ok_or("")?, child.stdin.take().ok_or("")?);
    /// let event_loop = EventLoop::new()?;
    /// event_loop.run(async |event_loop| {
    ///     event_loop.connect_pipes(|| Ask, output, input).await?.wait_closed().await?;
    ///     Ok(())
    /// })?;
    /// child.wait()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`connect_read_pipe`](Self::connect_read_pipe).
    pub fn connect_pipes<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        reader: impl Into<OwnedFd>,
        writer: impl Into<OwnedFd>,
    ) -> PipeBuilder<P> {
        let source = Source::Joined(reader.into(), writer.into());
        self.pipe(factory, source, Direction::Joined)
    }

    /// Runs the protocol that `factory` makes on standard input and output at once, as
    /// [`connect_pipes`](Self::connect_pipes): for a program that another one speaks to.
    ///
    /// See [`connect_stdin`](Self::connect_stdin) for what stays as it is. If they are a socket,
    /// [`close`](crate::Transport::close) ends the connection for everybody who shares it.
    ///
    /// # Errors
    /// As [`connect_read_pipe`](Self::connect_read_pipe).
    #[doc(alias("StandardIO"))]
    pub fn connect_stdio<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Standards, Direction::Joined)
    }

    /// Runs the protocol that `factory` makes on standard input: a pipe, a terminal, a file, a
    /// socket, or nothing at all.
    ///
    /// What the process shares with others stays as it is: a pipe or a terminal is opened once more
    /// for the transport, so that the shell's does not become non-blocking, however the process
    /// ends. Where the system does not allow that it is set while the transport lives, and
    /// set back when it ends (but not when a signal kills the process). Standard input itself stays
    /// open when the transport closes. Bytes that `std::io::stdin` has buffered are not seen.
    ///
    /// # Errors
    /// As [`connect_read_pipe`](Self::connect_read_pipe).
    pub fn connect_stdin<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Standard(Standard::Input), Direction::Read)
    }

    /// Runs the protocol that `factory` makes on standard output.
    ///
    /// See [`connect_stdin`](Self::connect_stdin) for what stays as it is. Closing the transport
    /// writes what is queued and leaves standard output open; its reader sees the end when the
    /// process has ended. What `println!` writes meanwhile comes in between.
    ///
    /// # Errors
    /// As [`connect_read_pipe`](Self::connect_read_pipe).
    pub fn connect_stdout<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Standard(Standard::Output), Direction::Write)
    }

    /// As [`connect_stdout`](Self::connect_stdout), for standard error.
    ///
    /// # Errors
    /// As [`connect_read_pipe`](Self::connect_read_pipe).
    pub fn connect_stderr<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Standard(Standard::Error), Direction::Write)
    }

    /// Opens the FIFO at `path` for reading and runs the protocol that `factory` makes on it.
    ///
    /// It needs no writer yet. When the last writer has closed, that is the end; with
    /// [`keep_open`](PipeBuilder::keep_open) the next writer is waited for.
    ///
    /// # Errors
    /// As [`connect_read_pipe`](Self::connect_read_pipe); `InvalidInput` for what is no FIFO.
    pub fn connect_read_fifo<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        path: impl AsRef<Path>,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Fifo(path.as_ref().to_owned()), Direction::Read)
    }

    /// Opens the FIFO at `path` for writing, once a process has it open for reading, and runs the
    /// protocol that `factory` makes on it.
    ///
    /// A reader is waited for 30 s (see [`PipeBuilder::timeout`]), without blocking the loop. When
    /// the last reader has closed, that is the end; with [`keep_open`](PipeBuilder::keep_open) no
    /// reader is needed, and what is written waits in the pipe for the next one.
    ///
    /// # Errors
    /// As [`connect_read_fifo`](Self::connect_read_fifo); [`is_timeout`](Error::is_timeout) when no
    /// reader came.
    pub fn connect_write_fifo<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        path: impl AsRef<Path>,
    ) -> PipeBuilder<P> {
        self.pipe(factory, Source::Fifo(path.as_ref().to_owned()), Direction::Write)
    }

    fn pipe<P: Protocol>(
        &self,
        factory: impl FnOnce() -> P + 'static,
        source: Source,
        direction: Direction,
    ) -> PipeBuilder<P> {
        PipeBuilder {
            core: Rc::clone(self.core()),
            factory: Box::new(factory),
            finish: Box::new(|connection| connection),
            source,
            direction,
            keep_open: false,
            timeout: Some(OPEN_TIMEOUT),
            stream_options: StreamOptions::for_pipe(),
        }
    }
}

impl<P: Protocol> PipeBuilder<P> {
    /// The same, for what `finish` makes of the connection.
    pub(crate) fn finishing<T: 'static>(
        self,
        finish: impl FnOnce(Connection<P>) -> T + 'static,
    ) -> PipeBuilder<P, T> {
        PipeBuilder {
            core: self.core,
            factory: self.factory,
            finish: Box::new(finish),
            source: self.source,
            direction: self.direction,
            keep_open: self.keep_open,
            timeout: self.timeout,
            stream_options: self.stream_options,
        }
    }
}

impl<P: Protocol, T: 'static> PipeBuilder<P, T> {
    /// Whether the pipe stays open when the processes at its other end have closed it: the
    /// transport then holds the other end open itself. Off by default.
    ///
    /// For FIFOs that one process after the other opens. A transport that reads is then never told
    /// of an end, and one that writes never of a reader that is gone.
    ///
    /// What is not a pipe is refused as `InvalidInput`; a pipe that came as a descriptor can be
    /// kept open on Linux only.
    pub fn keep_open(mut self, on: bool) -> Self {
        self.keep_open = on;
        self
    }

    /// How long a FIFO that is to be written to is given to get a reader. 30 s by default; `None`:
    /// no limit. With a nanosecond it must have one already. Zero is refused with
    /// [`is_invalid`](Error::is_invalid).
    pub fn timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.timeout = after.into();
        self
    }

    crate::transport::connection_settings!();

    /// Begins to open it. Dropping the future that is returned gives up (see [`LoopFuture`]).
    pub fn start(self) -> LoopFuture<T> {
        let Self { core, factory, finish, source, direction, keep_open, .. } = self;
        let Self { timeout, stream_options, .. } = self;
        let factory = Guarded::new(&core, factory, "protocol factory");
        operation(&Rc::clone(&core), async move {
            stream_options.check(&core)?;
            core.driver.require_os(DRIVE_DESCRIPTORS)?;
            Error::refuse_zero("the timeout of a FIFO", timeout)?;
            let unusable = |error| Error::io("the descriptor cannot be used as a transport", error);
            let one = |fd: io::Result<OwnedFd>| {
                fd.and_then(|fd| with_other_end(fd, direction, keep_open)).map_err(unusable)
            };
            let ends = match source {
                Source::Descriptor(fd) => Ends::One(one(Ok(fd))?),
                Source::Standard(standard) => Ends::One(one(standard.open(direction))?),
                Source::Fifo(path) => {
                    let fifo = open_fifo(&core, &path, direction, keep_open, timeout).await;
                    Ends::One(fifo?)
                }
                Source::Joined(reader, writer) => Ends::Two(one(Ok(reader))?, writer.into()),
                Source::Standards => {
                    let reader = one(Standard::Input.open(Direction::Read))?;
                    let writer = Standard::Output.open(Direction::Write).map_err(unusable)?;
                    Ends::Two(reader, writer.into())
                }
            };
            let factory = factory.take().ok_or_else(|| Error::bare(Kind::Closed))?;
            let protocol = fence::run(factory).map_err(Panic::into_error)?;
            let protocol = Box::new(protocol);
            let stream = match ends {
                Ends::One(pipe) => open(&core, pipe, direction, protocol, &stream_options)?,
                Ends::Two(reader, writer) => {
                    open_joined(&core, reader, writer, protocol, &stream_options)?
                }
            };
            stream.begin(&core);
            Ok(finish(Connection::new(TransportHandle::of(&core, &stream))))
        })
    }
}

impl<P: Protocol, T: 'static> IntoFuture for PipeBuilder<P, T> {
    type Output = Result<T, Error>;
    type IntoFuture = LoopFuture<T>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl<P, T> fmt::Debug for PipeBuilder<P, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PipeBuilder")
            .field("direction", &self.direction)
            .field("stream_options", &self.stream_options)
            .finish_non_exhaustive()
    }
}

impl Standard {
    fn open(self, direction: Direction) -> io::Result<OwnedFd> {
        match self {
            Self::Input => own_description(io::stdin().as_fd(), direction),
            Self::Output => own_description(io::stdout().as_fd(), direction),
            Self::Error => own_description(io::stderr().as_fd(), direction),
        }
    }
}

fn with_other_end(fd: OwnedFd, direction: Direction, keep_open: bool) -> io::Result<Pipe> {
    if !keep_open {
        return Ok(fd.into());
    }
    match open_other_end(fd.as_fd(), direction) {
        Some(other_end) => Ok(Pipe::holding(fd, Some(other_end))),
        None => {
            let text = "its other end cannot be kept open";
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}
