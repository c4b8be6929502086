//! Reading lines.

use std::fmt;
use std::future::poll_fn;

use super::StreamReader;
use crate::error::{Error, Kind};

/// # Lines
impl StreamReader {
    /// Lends the next line of text without its end (`\n` or `\r\n`), and consumes it; `None` at the end. A last line
    /// need not have an end.
    ///
    /// For bytes that are no text: [`read_until`](Self::read_until).
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`is_limit_overrun`](Error::is_limit_overrun) for a line that is longer than the [limit](Self::limit): it is
    /// dropped, or as much of it as was received, so that the next call goes on behind it (asyncio's rule).
    /// [`is_protocol_violation`](Error::is_protocol_violation) for a line that is not UTF-8, which is dropped, too.
    /// What ended the connection, when all lines before are read.
    #[doc(alias("readline"))]
    pub async fn read_line(&mut self) -> Result<Option<&str>, Error> {
        let mut searched = 0;
        let found = poll_fn(|context| self.poll_find(context, &[b"\n"], &mut searched)).await;
        let length = match found {
            Ok(Some(length)) => length,
            Ok(None) if self.front.is_empty() => return Ok(None),
            Ok(None) => self.front.len(),
            Err(error) => {
                if error.kind() == Kind::LimitOverrun {
                    self.drop_line();
                }
                return Err(error);
            }
        };
        let line = self.lend(length);
        let line = match line.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            // The last one has no end: a carriage return is a part of it.
            None => line,
        };
        str::from_utf8(line).map(Some).map_err(Error::protocol_violation)
    }

    /// All lines from here on, as strings. (As a `Stream`: `futures_util::AsyncBufReadExt::lines(reader)`.)
    ///
    /// ```
    /// # use wharf::testing::MemoryNetwork;
    /// # fn main() -> wharf::Result {
    /// # let event_loop = MemoryNetwork::new().event_loop();
    /// event_loop.run(async |event_loop| {
    ///     let server = async |_, writer: wharf::StreamWriter| {
    ///         writer.write_all(b"one\ntwo\n").await?;
    ///         Ok(())
    ///     };
    ///     event_loop.start_server(server, "10.0.0.1:7").await?;
    ///     let (reader, _writer) = event_loop.open_connection("10.0.0.1:7").await?;
    ///     let mut lines = reader.lines();
    ///     let mut all = Vec::new();
    ///     while let Some(line) = lines.next().await {
    ///         all.push(line?);
    ///     }
    ///     assert_eq!(all, ["one", "two"]);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn lines(self) -> Lines {
        Lines { reader: self }
    }

    /// Drops what was received up to and with the first line end, or all of it.
    #[cold]
    fn drop_line(&mut self) {
        loop {
            let data = self.front.data();
            if let Some(end) = data.iter().position(|byte| *byte == b'\n') {
                return self.take(end + 1);
            }
            let length = data.len();
            self.take(length);
            let Some(next) = self.link.pop() else { return };
            self.front = next;
        }
    }
}

/// The lines of a stream: what [`StreamReader::lines`] gives.
///
/// Dropping it drops the reader. [`into_inner`](Self::into_inner) gives it back.
pub struct Lines {
    reader: StreamReader,
}

impl Lines {
    /// The next line without its end; `None` when there is no more.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`StreamReader::read_line`]; the lines that follow a line too long can still be read.
    pub async fn next(&mut self) -> Option<Result<String, Error>> {
        self.reader.read_line().await.map(|line| line.map(str::to_owned)).transpose()
    }

    /// The reader, which holds what comes behind the last line.
    pub fn into_inner(self) -> StreamReader {
        self.reader
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Lines").field(&self.reader).finish()
    }
}
