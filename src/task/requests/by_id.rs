//! Answers that name their requests.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::super::future::LoopFuture;
use super::table::Table;
use crate::error::{Error, Failure};
use crate::event_loop::EventLoop;

/// Requests that wait for their answers, each known by an id that its answer has, too.
///
/// As [`Requests`](crate::Requests), for answers in any order. An id is free again once its answer has come, also if
/// nobody waited for that any more, or once it is [forgotten](Self::forget).
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf::{RequestsById, Result};
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let requests: RequestsById<u16, &str> = RequestsById::new(&event_loop);
///     let (tea, milk) = (requests.begin(1)?, requests.begin(2)?);
///     // In `data_received`:
///     requests.answer(&2, "white")?;
///     requests.answer(&1, "green")?;
///     assert!(requests.answer(&3, "to nobody").is_err_and(|error| error.is_protocol_violation()));
///     assert_eq!((tea.await?, milk.await?), ("green", "white"));
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("multiplex", "correlation", "pending"))]
pub struct RequestsById<K: Ord + Clone + 'static, A: 'static> {
    table: Rc<Table<K, A>>,
}

impl<K: Ord + Clone + 'static, A: 'static> RequestsById<K, A> {
    /// An empty list, without a limit and without a deadline.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self { table: Table::new(event_loop.core()) }
    }

    /// The most requests that may wait for their answers, from now on.
    pub fn limit(self, most: usize) -> Self {
        self.table.set_limit(most);
        self
    }

    /// How long the answer to a request may take: see [`Requests::deadline`](crate::Requests::deadline).
    pub fn deadline(self, after: impl Into<Option<Duration>>) -> Self {
        self.table.set_deadline(after.into());
        self
    }

    /// Adds a request. The future gives its answer; dropping it changes nothing but that nobody waits.
    ///
    /// # Errors
    /// [`is_queue_full`](Error::is_queue_full) at the limit; [`is_invalid`](Error::is_invalid) for an id that waits
    /// already; what the list has [ended](Self::end) with; the loop is closed.
    pub fn begin(&self, id: K) -> Result<LoopFuture<A>, Error> {
        self.table.begin(id)
    }

    /// Answers the request of this id.
    ///
    /// # Errors
    /// [`is_protocol_violation`](Error::is_protocol_violation) when no such request waits.
    pub fn answer(&self, id: &K, answer: A) -> Result<(), Error> {
        self.complete(id, Ok(answer))
    }

    /// As [`answer`](Self::answer), with an error as the answer.
    pub fn fail(&self, id: &K, error: impl Into<Failure>) -> Result<(), Error> {
        self.complete(id, Err(error.into().into()))
    }

    fn complete(&self, id: &K, answer: Result<A, Error>) -> Result<(), Error> {
        if self.table.complete(id, answer) {
            Ok(())
        } else {
            Err(Error::protocol_violation("an answer came to a request that does not wait for one"))
        }
    }

    /// Gives up a request whose answer may never come, as where the network has lost a datagram: its id and its room are
    /// free again. Whoever still waits is told that it [is cancelled](Error::is_cancelled). An answer that comes all the
    /// same is one that nobody asked for, unless the id is in use again.
    ///
    /// Returns whether there was such a request.
    pub fn forget(&self, id: &K) -> bool {
        self.table.forget(id)
    }

    /// Fails all requests that wait, and all later ones: see [`Requests::end`](crate::Requests::end).
    pub fn end(&self, error: Option<&Error>) {
        self.table.end_with_connection(error);
    }

    /// Waits until there is room for another request: see [`Requests::room`](crate::Requests::room).
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

impl<K: Ord + Clone + 'static, A: 'static> Clone for RequestsById<K, A> {
    fn clone(&self) -> Self {
        Self { table: Rc::clone(&self.table) }
    }
}

impl<K: Ord + Clone + 'static, A: 'static> fmt::Debug for RequestsById<K, A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RequestsById").field("len", &self.len()).finish()
    }
}
