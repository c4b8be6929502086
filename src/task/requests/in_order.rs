//! Answers that come in the order of their requests.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::super::future::LoopFuture;
use super::table::Table;
use crate::error::{Error, Failure};
use crate::event_loop::EventLoop;

/// Requests that wait for their answers, which come in the same order.
///
/// A client's protocol [begins](Self::begin) a request when it has sent it, passes each answer to
/// [`answer`](Self::answer), and calls [`end`](Self::end) in `connection_lost`. A clone is the same list, so that whoever
/// asks need not reach the protocol. [`RequestsById`](crate::RequestsById) is for answers that name their requests.
///
/// A request whose future is dropped, or whose deadline has passed, keeps its place: its answer comes all the same,
/// and is dropped. It counts for the [limit](Self::limit) until then.
///
/// When the last clone is dropped, whoever still waits fails with [`is_closed`](Error::is_closed).
///
/// ```
/// use std::time::Duration;
/// use wharf::{Error, Protocol, Requests, Result, Transport};
///
/// /// A byte is a question, and a byte is its answer.
/// struct Client(Requests<u8>);
///
/// impl Protocol for Client {
///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
///         for &answer in data {
///             // An answer that nobody asked for breaks the protocol.
///             self.0.answer(answer)?;
///         }
///         Ok(())
///     }
///
///     fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
///         self.0.end(error);
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let event_loop = wharf::testing::MemoryNetwork::new().event_loop();
/// let requests = Requests::new(&event_loop).limit(100).deadline(Duration::from_secs(10));
/// let client = Client(requests.clone());
/// // A connection in memory: `near` is the client's end.
/// let server = wharf::testing::Record::new().protocol();
/// let (near, far) = wharf::testing::pair(&event_loop, 64, client, server)?;
/// let six_times_seven = requests.begin()?;
/// near.write(&[6]);
/// far.write(&[42]);
/// assert_eq!(event_loop.run_until_complete(six_times_seven)??, 42);
/// # Ok(())
/// # }
/// ```
#[doc(alias("pipeline", "pending"))]
pub struct Requests<A: 'static> {
    table: Rc<Table<u64, A>>,
    next: Rc<Cell<u64>>,
}

impl<A: 'static> Requests<A> {
    /// An empty list, without a limit and without a deadline.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self { table: Table::new(event_loop.core()), next: Rc::default() }
    }

    /// The most requests that may wait for their answers, from now on.
    pub fn limit(self, most: usize) -> Self {
        self.table.set_limit(most);
        self
    }

    /// How long the answer to a request may take, for those that are begun from now on; `None`: for ever.
    ///
    /// The request then fails with [`is_timeout`](Error::is_timeout), and the others go on. Later deadlines must not be
    /// shorter than those of requests that wait.
    pub fn deadline(self, after: impl Into<Option<Duration>>) -> Self {
        self.table.set_deadline(after.into());
        self
    }

    /// Adds a request. The future gives its answer; dropping it changes nothing but that nobody waits.
    ///
    /// # Errors
    /// [`is_queue_full`](Error::is_queue_full) at the limit; what the list has [ended](Self::end) with; the loop is closed.
    pub fn begin(&self) -> Result<LoopFuture<A>, Error> {
        let number = self.next.get();
        let answer = self.table.begin(number)?;
        self.next.set(number + 1);
        Ok(answer)
    }

    /// Answers the request that has waited longest.
    ///
    /// # Errors
    /// [`is_protocol_violation`](Error::is_protocol_violation) when none waits.
    pub fn answer(&self, answer: A) -> Result<(), Error> {
        self.complete(Ok(answer))
    }

    /// As [`answer`](Self::answer), with an error as the answer.
    pub fn fail(&self, error: impl Into<Failure>) -> Result<(), Error> {
        self.complete(Err(error.into().into()))
    }

    fn complete(&self, answer: Result<A, Error>) -> Result<(), Error> {
        let first = self.table.first();
        if first.is_some_and(|first| self.table.complete(&first, answer)) {
            Ok(())
        } else {
            Err(Error::protocol_violation("an answer came that nobody asked for"))
        }
    }

    /// Fails all requests that wait, and all later ones, with the connection's error, or with one that
    /// [`is_closed`](Error::is_closed). Later calls change nothing.
    pub fn end(&self, error: Option<&Error>) {
        self.table.end_with_connection(error);
    }

    /// Waits until there is room for another request: back-pressure for whoever asks.
    ///
    /// Nothing is lost when it is dropped; no place is reserved either.
    ///
    /// # Errors
    /// What the list has [ended](Self::end) with.
    pub async fn room(&self) -> Result<(), Error> {
        self.table.room().await
    }

    /// How many requests wait for their answers.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<A: 'static> Clone for Requests<A> {
    fn clone(&self) -> Self {
        Self { table: Rc::clone(&self.table), next: Rc::clone(&self.next) }
    }
}

impl<A: 'static> fmt::Debug for Requests<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Requests").field("len", &self.len()).finish()
    }
}
