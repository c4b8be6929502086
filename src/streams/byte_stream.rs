//! Both halves of a stream as one.

use std::fmt;

use super::{StreamReader, StreamWriter};

/// A [`StreamReader`] and a [`StreamWriter`] as one value, for what wants one: codecs and libraries that read and
/// write (with `futures-io`).
///
/// ```
/// # use wharf::testing::MemoryNetwork;
/// use wharf::ByteStream;
///
/// # fn main() -> wharf::Result {
/// # let event_loop = MemoryNetwork::new().event_loop();
/// event_loop.run(async |event_loop| {
///     let echo = async |reader, writer| {
///         let mut stream = ByteStream::join(reader, writer);
///         let (reader, writer) = stream.halves();
///         writer.write_all(reader.read_chunk().await?).await?;
///         Ok(())
///     };
///     event_loop.start_server(echo, "10.0.0.1:7").await?;
///     let (reader, writer) = event_loop.open_connection("10.0.0.1:7").await?;
///     let mut stream = ByteStream::join(reader, writer);
///     stream.writer().write_all(b"hello").await?;
///     assert_eq!(stream.reader().read_exactly(5).await?, b"hello");
///     let (_reader, writer) = stream.split();
///     writer.close();
///     Ok(())
/// })
/// # }
/// ```
///
/// The halves need not be of one connection: a child's output and input make one, too.
///
/// Dropping it drops both halves, which closes the connection; see [`StreamWriter`].
#[doc(alias("StreamReaderWriter", "TcpStream", "duplex"))]
pub struct ByteStream {
    pub(super) reader: StreamReader,
    pub(super) writer: StreamWriter,
}

impl ByteStream {
    /// Joins two halves.
    pub fn join(reader: StreamReader, writer: StreamWriter) -> Self {
        Self { reader, writer }
    }

    /// Gives the halves back, for two tasks.
    pub fn split(self) -> (StreamReader, StreamWriter) {
        (self.reader, self.writer)
    }

    /// The reading half.
    pub fn reader(&mut self) -> &mut StreamReader {
        &mut self.reader
    }

    /// The writing half.
    pub fn writer(&self) -> &StreamWriter {
        &self.writer
    }

    /// Both halves, to be used at the same time.
    pub fn halves(&mut self) -> (&mut StreamReader, &StreamWriter) {
        (&mut self.reader, &self.writer)
    }
}

impl From<(StreamReader, StreamWriter)> for ByteStream {
    fn from((reader, writer): (StreamReader, StreamWriter)) -> Self {
        Self::join(reader, writer)
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ByteStream")
            .field("reader", &self.reader)
            .field("writer", &self.writer)
            .finish()
    }
}
