use std::fmt;

use wharf::{CloseReason, Error, Failure, StreamReader, StreamWriter, Transport as _};

use crate::codec::{Decoder, Encoder, Ready};

/// Reads the frames of a stream, for one task.
///
/// ```
/// use wharf::Result;
/// use wharf::testing::MemoryNetwork;
/// use wharf::{StreamReader, StreamWriter};
/// use wharf_protocols::framing::{
///     FramedReader, FramedWriter, NetstringDecoder, NetstringEncoder,
/// };
///
/// async fn echo(reader: StreamReader, writer: StreamWriter) -> Result {
///     let mut frames = FramedReader::new(reader, NetstringDecoder::new());
///     let mut writer = FramedWriter::new(writer, NetstringEncoder::new());
///     while let Some(payload) = frames.next().await? {
///         writer.send(payload).await?;
///     }
///     Ok(())
/// }
///
/// fn main() -> Result {
///     MemoryNetwork::new().event_loop().run(async |event_loop| {
///         event_loop.start_server(echo, "10.0.0.1:7").await?;
///         let (mut reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
///         writer.write_all(b"5:hello,").await?;
///         assert_eq!(reader.read_exactly(8).await?, b"5:hello,");
///         Ok(())
///     })
/// }
/// ```
///
/// # Dropping
/// A future of [`next`](Self::next) or [`next_with`](Self::next_with) that is dropped loses nothing: what has come of a frame
/// is kept here, and read on by the next call. Dropping the reader drops what it holds, as with a [`StreamReader`].
pub struct FramedReader<D> {
    reader: StreamReader,
    decoder: D,
    /// So much of what the reader holds was taken by the decoder, and is consumed by the next call.
    taken: usize,
}

impl<D> FramedReader<D> {
    /// The frames of what `reader` reads from here on.
    pub const fn new(reader: StreamReader, decoder: D) -> Self {
        Self { reader, decoder, taken: 0 }
    }

    /// The decoder.
    pub const fn decoder(&self) -> &D {
        &self.decoder
    }
}

impl<D: Decoder + 'static> FramedReader<D> {
    /// Waits for the next frame and lends it; `None` at the end of the stream.
    ///
    /// Nothing is copied of a frame that has come whole, and nothing is allocated. Dropping the future loses nothing.
    ///
    /// A last frame that has no end of its own comes as any other. Where a connection that broke off must not turn a
    /// frame into another, choose a decoder that refuses it; a line is such a frame.
    ///
    /// # Errors
    /// [`is_protocol_violation`](Error::is_protocol_violation) for what the decoder refuses ([`downcast_ref`](Error::downcast_ref) finds its error);
    /// whether more can come after it is for the decoder to say. What ended the connection, when all frames before are read.
    pub async fn next(&mut self) -> Result<Option<D::Frame<'_>>, Error>
    where
        D: Ready,
    {
        let is_ended = self.wait_for_frame().await?;
        let Self { reader, decoder, taken } = self;
        if is_ended {
            return decoder.finish().map_err(Error::protocol_violation);
        }
        // The frame may be in the decoder whole, and nothing behind it: then this must not wait.
        let data = if reader.buffered() > 0 { reader.fill_buf().await? } else { &[] };
        let mut input = data;
        let frame = decoder.decode(&mut input).map_err(Error::protocol_violation);
        *taken = data.len() - input.len();
        frame
    }

    /// Waits for the next frame, and gives what `use_frame` makes of it; `None` at the end of the stream.
    ///
    /// As [`next`](Self::next), with every decoder: it need not be [`Ready`]. Dropping the future loses nothing.
    ///
    /// ```
    /// # use wharf::{Result, StreamReader};
    /// use wharf_protocols::framing::{FixedSizeDecoder, FramedReader};
    ///
    /// async fn sum(reader: StreamReader) -> Result<u64> {
    ///     let mut numbers = FramedReader::new(reader, FixedSizeDecoder::<4>::new());
    ///     let mut sum = 0;
    ///     while let Some(number) = numbers.next_with(|frame| u32::from_be_bytes(*frame)).await? {
    ///         sum += u64::from(number);
    ///     }
    ///     Ok(sum)
    /// }
    /// # let _ = sum;
    /// ```
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_with<R>(
        &mut self,
        use_frame: impl for<'a> FnOnce(D::Frame<'a>) -> R,
    ) -> Result<Option<R>, Error> {
        self.settle();
        // The decoder comes first: it may hold a frame, or have failed for good.
        let mut must_read = false;
        loop {
            let data = if must_read { self.reader.fill_buf().await? } else { &[] };
            if must_read && data.is_empty() {
                let last = self.decoder.finish().map_err(Error::protocol_violation)?;
                return Ok(last.map(use_frame));
            }
            let mut input = data;
            match self.decoder.decode(&mut input) {
                Ok(Some(frame)) => {
                    let used = use_frame(frame);
                    self.taken = data.len() - input.len();
                    return Ok(Some(used));
                }
                Ok(None) => self.taken = data.len(),
                Err(error) => {
                    self.taken = data.len() - input.len();
                    return Err(Error::protocol_violation(error));
                }
            }
            self.settle();
            self.wait_in_shutdown(true);
            must_read = true;
        }
    }

    /// The reader, and what the decoder holds of a frame: that comes before what the reader reads.
    pub fn into_parts(mut self) -> (StreamReader, Vec<u8>) {
        self.settle();
        (self.reader, self.decoder.take_remainder())
    }

    /// Waits until there is a frame to take, or something to refuse. `true`: the stream has ended before.
    async fn wait_for_frame(&mut self) -> Result<bool, Error>
    where
        D: Ready,
    {
        self.settle();
        // The decoder comes first: it may hold a frame, or have failed for good.
        let mut must_read = false;
        loop {
            let data = if must_read { self.reader.fill_buf().await? } else { &[] };
            if must_read && data.is_empty() {
                return Ok(true);
            }
            let mut input = data;
            let is_ready = self.decoder.is_ready(&mut input);
            self.taken = data.len() - input.len();
            self.settle();
            let is_ready = is_ready.map_err(Error::protocol_violation)?;
            self.wait_in_shutdown(!is_ready);
            if is_ready {
                return Ok(false);
            }
            must_read = true;
        }
    }

    /// A shutdown of the server does not cut a frame in two: the reader waits for the rest.
    fn wait_in_shutdown(&mut self, is_partial: bool) {
        self.reader.set_waits_in_shutdown(is_partial && !self.decoder.buffered().is_empty());
    }

    /// Consumes what the last call has lent.
    fn settle(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        self.reader.consume(taken);
    }
}

impl<D: fmt::Debug> fmt::Debug for FramedReader<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FramedReader")
            .field("reader", &self.reader)
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}

/// Writes frames to a stream. See [`FramedReader`] for an example.
///
/// Dropping it drops the writer: what was sent goes out all the same.
#[derive(Debug)]
pub struct FramedWriter<E> {
    writer: StreamWriter,
    encoder: E,
}

impl<E> FramedWriter<E> {
    /// Frames as `encoder` makes them, to `writer`.
    pub const fn new(writer: StreamWriter, encoder: E) -> Self {
        Self { writer, encoder }
    }

    /// Sends a frame, then waits until more may be written, as [`StreamWriter::drain`] does.
    ///
    /// The frame is taken in the first step, whole: dropping the future while it waits loses nothing and cuts nothing
    /// short. Frames sent in one step of a task go out together.
    ///
    /// # Errors
    /// What the encoder refuses ([`downcast_ref`](Error::downcast_ref) finds its error): nothing is sent then. [`is_closed`](Error::is_closed) when
    /// the connection is closing or gone.
    pub async fn send<F: ?Sized>(&mut self, frame: &F) -> Result<(), Error>
    where
        E: Encoder<F>,
    {
        self.write(frame)?;
        self.writer.drain().await
    }

    /// As [`send`](Self::send), without waiting: for a few frames in a row, and a [`drain`](StreamWriter::drain) behind them.
    ///
    /// # Errors
    /// As `send`.
    pub fn write<F: ?Sized>(&mut self, frame: &F) -> Result<(), Error>
    where
        E: Encoder<F>,
    {
        let writer = &self.writer;
        let status = self.encoder.encode_slices(frame, |slices| writer.write_vectored(slices));
        if status.map_err(Failure::new)?.is_taken() {
            return Ok(());
        }
        let reason = writer.transport().close_reason();
        Err(reason.unwrap_or(CloseReason::Local).into())
    }

    /// The writer, for all that is not sending frames.
    pub const fn writer(&self) -> &StreamWriter {
        &self.writer
    }

    /// The writer.
    pub fn into_inner(self) -> StreamWriter {
        self.writer
    }
}
