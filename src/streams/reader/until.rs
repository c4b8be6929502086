//! Reading up to a separator.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::StreamReader;
use crate::error::{Error, Kind};

/// # Up to a separator
impl StreamReader {
    /// Lends what comes up to and with `separator`, and consumes it: asyncio's `readuntil`.
    ///
    /// What comes before the separator may be as long as the [limit](Self::limit). Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    /// [`is_incomplete_read`](Error::is_incomplete_read) when the input ends before a separator,
    /// [`is_limit_overrun`](Error::is_limit_overrun) when none comes within the limit; in both cases what was received
    /// stays, and can be read. [`is_invalid`](Error::is_invalid) for an empty separator. What ended the connection, if
    /// no separator was received before.
    #[doc(alias("readuntil"))]
    pub async fn read_until(&mut self, separator: impl AsRef<[u8]>) -> Result<&[u8], Error> {
        self.read_until_any(&[separator.as_ref()]).await
    }

    /// As [`read_until`](Self::read_until), up to the first of several separators: the one that ends first, and of
    /// those the longest.
    ///
    /// ```
    /// # use wharf::testing::MemoryNetwork;
    /// # fn main() -> wharf::Result {
    /// # let event_loop = MemoryNetwork::new().event_loop();
    /// event_loop.run(async |event_loop| {
    ///     let server = async |_, writer: wharf::StreamWriter| {
    ///         writer.write_all(b"one, two; three").await?;
    ///         Ok(())
    ///     };
    ///     event_loop.start_server(server, "10.0.0.1:7").await?;
    ///     let (mut reader, _writer) = event_loop.open_connection("10.0.0.1:7").await?;
    ///     assert_eq!(reader.read_until_any(&[b", ", b"; "]).await?, b"one, ");
    ///     assert_eq!(reader.read_until_any(&[b", ", b"; "]).await?, b"two; ");
    ///     assert!(reader.read_until_any(&[b", ", b"; "]).await.is_err_and(|error| error.is_incomplete_read()));
    ///     assert_eq!(reader.read_chunk().await?, b"three");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`read_until`](Self::read_until).
    pub async fn read_until_any(&mut self, separators: &[&[u8]]) -> Result<&[u8], Error> {
        if separators.is_empty() || separators.iter().any(|separator| separator.is_empty()) {
            return Err(Error::invalid("a separator must not be empty"));
        }
        let mut searched = 0;
        let found = poll_fn(|context| self.poll_find(context, separators, &mut searched)).await?;
        match found {
            Some(found) => Ok(self.lend(found)),
            None => {
                let text = "the input ended before a separator";
                Err(Error::new(Kind::IncompleteRead, text))
            }
        }
    }

    /// Looks for a separator; `None` at the end of the input. `searched` bytes need no second look.
    pub(super) fn poll_find(
        &mut self,
        context: &mut Context<'_>,
        separators: &[&[u8]],
        searched: &mut usize,
    ) -> Poll<Result<Option<usize>, Error>> {
        self.settle();
        let longest = separators.iter().map(|separator| separator.len()).max().unwrap_or(1);
        let limit = self.link.limit();
        loop {
            let data = self.front.data();
            if let Some((start, end)) = find(data, separators, *searched) {
                return Poll::Ready(if start > limit {
                    Err(overrun(limit))
                } else {
                    Ok(Some(end))
                });
            }
            // A separator may have begun already.
            *searched = (data.len() + 1).saturating_sub(longest);
            if *searched > limit {
                return Poll::Ready(Err(overrun(limit)));
            }
            match self.poll_more(context)? {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Ok(None)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cold]
fn overrun(limit: usize) -> Error {
    let text = format!("no separator came within {limit} bytes");
    Error::new(Kind::LimitOverrun, text)
}

/// Where the separator that ends first begins and ends. Nothing begins in the first `from` bytes.
fn find(data: &[u8], separators: &[&[u8]], from: usize) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    for separator in separators {
        // What ends later does not count.
        let until = best.map_or(data.len(), |(_, end)| end);
        if let Some(start) = find_one(&data[..until], separator, from)
            && best.is_none_or(|(known, end)| {
                let own = start + separator.len();
                own < end || (own == end && start < known)
            })
        {
            best = Some((start, start + separator.len()));
        }
    }
    best
}

fn find_one(data: &[u8], separator: &[u8], from: usize) -> Option<usize> {
    let (first, rest) = separator.split_first()?;
    let mut from = from;
    loop {
        let start = from + data.get(from..)?.iter().position(|byte| byte == first)?;
        if data[start + 1..].starts_with(rest) {
            return Some(start);
        }
        from = start + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_match_that_ends_first_wins_and_of_those_the_longest() {
        let separators: &[&[u8]] = &[b"\r\n", b"\n", b";"];
        assert_eq!(find(b"one\r\ntwo", separators, 0), Some((3, 5)));
        assert_eq!(find(b"one\ntwo\r\n", separators, 0), Some((3, 4)));
        assert_eq!(find(b"one;two\n", separators, 0), Some((3, 4)));
        assert_eq!(find(b"one;two\n", separators, 4), Some((7, 8)));
        assert_eq!(find(b"one\r", separators, 0), None);
        assert_eq!(find(b"abcd", &[b"abcd", b"bc"], 0), Some((1, 3)), "it ends first");
        assert_eq!(find(b"aab", &[b"ab"], 0), Some((1, 3)));
        assert_eq!(find(b"", separators, 0), None);
        assert_eq!(find(b"x", separators, 5), None);
    }
}
