//! Reading so many bytes, or all of them.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::StreamReader;
use crate::error::{Error, Kind};

/// # So many bytes
impl StreamReader {
    /// Lends the next `count` bytes, and consumes them: asyncio's `readexactly`.
    ///
    /// `count` may exceed the limit. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`is_incomplete_read`](Error::is_incomplete_read) when the input ends before: what is there stays, and can be
    /// read. What ended the connection, if fewer than `count` bytes were received before.
    #[doc(alias("readexactly", "read_exact"))]
    pub async fn read_exactly(&mut self, count: usize) -> Result<&[u8], Error> {
        poll_fn(|context| self.poll_have(context, count)).await?;
        if self.front.len() < count {
            return Err(incomplete(self.front.len(), count));
        }
        Ok(self.lend(count))
    }

    /// Fills `buffer`, without a second copy: for much at a time, since memory that is held is bounded by the limit.
    ///
    /// Dropping the future loses what it has read into `buffer` so far. To lose nothing use
    /// [`read_exactly`](Self::read_exactly), or [`read`](Self::read) in a loop.
    ///
    /// # Errors
    /// As [`read_exactly`](Self::read_exactly); what was there is in `buffer`, and no longer in the reader.
    #[doc(alias("readexactly", "read_exact"))]
    pub async fn read_exactly_into(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut buffer[filled..];
            match poll_fn(|context| self.poll_read_all(context, rest, filled > 0)).await? {
                0 => return Err(incomplete(filled, buffer.len())),
                count => filled += count,
            }
        }
        Ok(())
    }

    /// Reads all there will be, `limit` bytes at most: asyncio's `read(-1)`.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`is_limit_overrun`](Error::is_limit_overrun) when there is more: what was received stays, and can be read.
    /// What ended the connection, if something did.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        poll_fn(|context| self.poll_to_end(context, limit)).await?;
        Ok(self.take_all())
    }

    /// Ready at the end of the input, all of which is then held.
    pub(in crate::streams) fn poll_to_end(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<(), Error>> {
        self.settle();
        loop {
            if self.link.held() > limit {
                let text = format!("the input is longer than {limit} bytes");
                return Poll::Ready(Err(Error::new(Kind::LimitOverrun, text)));
            }
            if !ready!(self.poll_more(context))? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Takes everything out that is held.
    pub(in crate::streams) fn take_all(&mut self) -> Vec<u8> {
        self.settle();
        let mut all = std::mem::take(&mut self.front).into_vec();
        while let Some(next) = self.link.pop() {
            all.extend_from_slice(next.data());
        }
        self.link.consumed(all.len());
        all
    }
}

#[cold]
pub(super) fn incomplete(there: usize, wanted: usize) -> Error {
    let text = format!("the input ended after {there} of {wanted} bytes");
    Error::new(Kind::IncompleteRead, text)
}
