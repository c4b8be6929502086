use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ClientError;
use super::handle::Shared;
use super::results::{Subscription, result_of};
use super::task_builder::{Options, options};
use crate::Function;

/// A function that is applied to many arguments, as many as there are: results come in the order of the arguments.
///
/// At most [`in_flight`](Self::in_flight) tasks are submitted whose results were not taken; more follow, many with one
/// request, when half of them were. Nothing is submitted before the first result is asked for. Dropping it leaves alone
/// what was submitted. It is a [`Stream`].
#[must_use = "nothing is submitted yet"]
pub struct Map<S, A, R> {
    ends: MapEnds<S, A, R>,
    /// What has ended before its turn.
    early: BTreeMap<u64, Result<R, ClientError>>,
    /// Whose turn it is.
    turn: u64,
}

/// As [`Map`], with results as they come, by the place of their arguments.
#[must_use = "nothing is submitted yet"]
pub struct MapEnds<S, A, R> {
    subscription: Subscription,
    options: Options,
    /// Where arguments come from, until there are no more.
    source: Option<S>,
    /// Whether the source had none when it was asked last.
    is_starved: bool,
    in_flight: usize,
    next: u64,
    types: PhantomData<fn(A) -> R>,
}

/// Arguments: of an iterator, which always has them, or of a stream.
pub trait Source<A> {
    /// The next, if there is one now.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<A>>;
}

/// Arguments of an iterator.
#[derive(Debug)]
pub struct FromIterator<I>(pub(super) I);

/// Arguments of a stream.
#[derive(Debug)]
pub struct FromStream<S>(pub(super) Pin<Box<S>>);

impl<S: Source<A>, A: Serialize, R: DeserializeOwned> Map<S, A, R> {
    pub(super) fn new(shared: &Rc<Shared>, function: &Function<A, R>, source: S) -> Self {
        let ends = MapEnds {
            subscription: Subscription::new(shared),
            options: Options::of(function, &()),
            source: Some(source),
            is_starved: false,
            in_flight: 1_000,
            next: 0,
            types: PhantomData,
        };
        Self { ends, early: BTreeMap::new(), turn: 0 }
    }

    /// How many tasks are submitted at most whose results were not taken; 1,000 by default, 1 at least.
    pub fn in_flight(mut self, most: usize) -> Self {
        self.ends.in_flight = most.max(1);
        self
    }

    /// Results are wanted as they come.
    pub fn as_they_end(self) -> MapEnds<S, A, R> {
        self.ends
    }

    /// The next result; `None`: there are no more arguments. Dropping the future loses nothing. After an error the next
    /// ones follow.
    pub async fn next(&mut self) -> Option<Result<R, ClientError>> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<R, ClientError>>> {
        loop {
            if let Some(result) = self.early.remove(&self.turn) {
                self.turn += 1;
                return Poll::Ready(Some(result));
            }
            let early = self.early.len();
            match std::task::ready!(self.ends.poll(early, context)) {
                Some((number, result)) => drop(self.early.insert(number, result)),
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<S, A, R> Map<S, A, R> {
    options!(ends.options);
}

impl<S: Source<A>, A: Serialize, R: DeserializeOwned> MapEnds<S, A, R> {
    /// The next result, with the place of its arguments, from 0; `None`: there are no more arguments. Dropping the future
    /// loses nothing.
    pub async fn next(&mut self) -> Option<(u64, Result<R, ClientError>)> {
        std::future::poll_fn(|context| self.poll(0, context)).await
    }

    /// `kept` results were taken from here and not given to the user.
    fn poll(
        &mut self,
        kept: usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<(u64, Result<R, ClientError>)>> {
        if let Err(error) = self.submit(kept, context) {
            self.next += 1;
            return Poll::Ready(Some((self.next - 1, Err(error))));
        }
        match self.subscription.poll_next(context) {
            Poll::Ready(Some((number, delivery))) => {
                Poll::Ready(Some((number, result_of(delivery))))
            }
            // There may be more arguments later.
            Poll::Ready(None) if self.source.is_some() => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Submits more, if less than half of what may be is under way.
    fn submit(&mut self, kept: usize, context: &mut Context<'_>) -> Result<(), ClientError> {
        let is_low = (self.subscription.len() + kept) * 2 <= self.in_flight;
        if !is_low && !self.is_starved {
            return Ok(());
        }
        self.is_starved = false;
        let mut tasks = Vec::new();
        let mut outcome = Ok(());
        while self.subscription.len() + kept + tasks.len() < self.in_flight {
            let Some(source) = &mut self.source else { break };
            match source.poll(context) {
                Poll::Ready(Some(arguments)) => match self.options.with(&arguments) {
                    Ok(spec) => {
                        tasks.push((self.next, spec));
                        self.next += 1;
                    }
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                },
                Poll::Ready(None) => self.source = None,
                Poll::Pending => {
                    self.is_starved = true;
                    break;
                }
            }
        }
        self.subscription.run(tasks);
        outcome
    }
}

impl<S, A, R> Stream for Map<S, A, R>
where
    S: Source<A> + Unpin,
    A: Serialize,
    R: DeserializeOwned,
{
    type Item = Result<R, ClientError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(context)
    }
}

impl<S, A, R> Stream for MapEnds<S, A, R>
where
    S: Source<A> + Unpin,
    A: Serialize,
    R: DeserializeOwned,
{
    type Item = (u64, Result<R, ClientError>);

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(0, context)
    }
}

// Nothing in them is pinned.
impl<S, A, R> Unpin for Map<S, A, R> {}
impl<S, A, R> Unpin for MapEnds<S, A, R> {}

impl<I: Iterator> Source<I::Item> for FromIterator<I> {
    fn poll(&mut self, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }
}

impl<S: Stream> Source<S::Item> for FromStream<S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl<S, A, R> fmt::Debug for Map<S, A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Map").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl<S, A, R> fmt::Debug for MapEnds<S, A, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MapEnds")
            .field("submitted", &self.next)
            .field("in_flight", &self.subscription.len())
            .finish_non_exhaustive()
    }
}
