//! Standard streams, pipes and devices as streams.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use super::link::State;
use super::{ByteStream, StreamProtocol, StreamReader, StreamWriter, stream_factory};
use crate::event_loop::{Core, EventLoop};
use crate::pipe::PipeBuilder;

/// # Pipes and standard streams as streams
impl EventLoop {
    /// Standard input, for a reader; see [`connect_stdin`](Self::connect_stdin), also for the errors.
    ///
    /// ```no_run
    /// # use wharf::{EventLoop, Result};
    /// fn main() -> Result {
    ///     EventLoop::new()?.run(async |event_loop| {
    ///         let mut lines = event_loop.open_stdin().await?.lines();
    ///         let output = event_loop.open_stdout().await?;
    ///         while let Some(line) = lines.next().await {
    ///             output.write_all(format!("{}\n", line?.to_uppercase()).as_bytes()).await?;
    ///         }
    ///         output.flush().await?;
    ///         Ok(())
    ///     })
    /// }
    /// ```
    #[doc(alias("stdin"))]
    pub fn open_stdin(&self) -> PipeBuilder<StreamProtocol, StreamReader> {
        let (factory, reader) = reader_only(self.core());
        self.connect_stdin(factory).finishing(reader)
    }

    /// Standard output, for a writer; see [`connect_stdout`](Self::connect_stdout), also for the errors.
    ///
    /// What is written when the loop ends is lost unless it was [flushed](StreamWriter::flush).
    #[doc(alias("stdout"))]
    pub fn open_stdout(&self) -> PipeBuilder<StreamProtocol, StreamWriter> {
        let (factory, writer) = writer_only(self.core());
        self.connect_stdout(factory).finishing(writer)
    }

    /// Standard error, for a writer; see [`open_stdout`](Self::open_stdout).
    #[doc(alias("stderr"))]
    pub fn open_stderr(&self) -> PipeBuilder<StreamProtocol, StreamWriter> {
        let (factory, writer) = writer_only(self.core());
        self.connect_stderr(factory).finishing(writer)
    }

    /// Standard input and output at once, for a program that another one speaks to; see
    /// [`connect_stdio`](Self::connect_stdio), also for the errors.
    pub fn open_stdio(&self) -> PipeBuilder<StreamProtocol, ByteStream> {
        let (factory, halves) = stream_factory(self.core());
        self.connect_stdio(factory).finishing(|connection| halves(connection).into())
    }

    /// The read end of a pipe, for a reader; see [`connect_read_pipe`](Self::connect_read_pipe), also for the errors.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// # fn main() -> wharf::Result {
    /// wharf::EventLoop::new()?.run(async |event_loop| {
    ///     let (reader, mut writer) = std::io::pipe()?;
    ///     writer.write_all(b"one\\ntwo")?;
    ///     drop(writer);
    ///     let mut reader = event_loop.open_read_pipe(reader).await?;
    ///     assert_eq!(reader.read_to_end(1024).await?, b"one\\ntwo");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn open_read_pipe(
        &self,
        pipe: impl Into<OwnedFd>,
    ) -> PipeBuilder<StreamProtocol, StreamReader> {
        let (factory, reader) = reader_only(self.core());
        self.connect_read_pipe(factory, pipe).finishing(reader)
    }

    /// The write end of a pipe, for a writer; see [`connect_write_pipe`](Self::connect_write_pipe), also for the
    /// errors.
    pub fn open_write_pipe(
        &self,
        pipe: impl Into<OwnedFd>,
    ) -> PipeBuilder<StreamProtocol, StreamWriter> {
        let (factory, writer) = writer_only(self.core());
        self.connect_write_pipe(factory, pipe).finishing(writer)
    }

    /// Two pipes at once; see [`connect_pipes`](Self::connect_pipes), also for the errors.
    pub fn open_pipes(
        &self,
        reader: impl Into<OwnedFd>,
        writer: impl Into<OwnedFd>,
    ) -> PipeBuilder<StreamProtocol, ByteStream> {
        let (factory, halves) = stream_factory(self.core());
        self.connect_pipes(factory, reader, writer)
            .finishing(|connection| halves(connection).into())
    }

    /// A device that is both read and written; see [`connect_device`](Self::connect_device), also for the errors.
    pub fn open_device(
        &self,
        device: impl Into<OwnedFd>,
    ) -> PipeBuilder<StreamProtocol, ByteStream> {
        let (factory, halves) = stream_factory(self.core());
        self.connect_device(factory, device).finishing(|connection| halves(connection).into())
    }

    /// The FIFO at `path`, for a reader; see [`connect_read_fifo`](Self::connect_read_fifo), also for the errors.
    pub fn open_read_fifo(
        &self,
        path: impl AsRef<Path>,
    ) -> PipeBuilder<StreamProtocol, StreamReader> {
        let (factory, reader) = reader_only(self.core());
        self.connect_read_fifo(factory, path).finishing(reader)
    }

    /// The FIFO at `path`, for a writer, once somebody reads it; see
    /// [`connect_write_fifo`](Self::connect_write_fifo), also for the errors.
    pub fn open_write_fifo(
        &self,
        path: impl AsRef<Path>,
    ) -> PipeBuilder<StreamProtocol, StreamWriter> {
        let (factory, writer) = writer_only(self.core());
        self.connect_write_fifo(factory, path).finishing(writer)
    }
}

/// As [`stream_factory`], for what is read only: the reader alone keeps it open.
pub(super) fn reader_only<C>(
    core: &Rc<Core>,
) -> (impl FnOnce() -> StreamProtocol + 'static, impl FnOnce(C) -> StreamReader + 'static) {
    let protocol = StreamProtocol::new(core);
    let link = Rc::clone(protocol.link());
    link.set(State::WRITER_GONE);
    (move || protocol, move |_: C| StreamReader::new(link))
}

/// As [`stream_factory`], for what is written only.
pub(super) fn writer_only<C>(
    core: &Rc<Core>,
) -> (impl FnOnce() -> StreamProtocol + 'static, impl FnOnce(C) -> StreamWriter + 'static) {
    let protocol = StreamProtocol::new(core);
    let link = Rc::clone(protocol.link());
    link.set(State::READER_GONE);
    (move || protocol, move |_: C| StreamWriter::new(link))
}
