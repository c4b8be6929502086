//! How many may do something at once.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::event_loop::{Core, EventLoop};
use crate::task::Waiters;
use crate::task::future::{LoopFuture, future};
use crate::thread_bound::{ThreadBound, UseRemote};

/// Limits how many tasks or jobs do something at once: anyio's and Trio's `CapacityLimiter`.
///
/// It has a number of tokens. Who wants to go on [acquires](Self::acquire) one, and gives it back by dropping
/// it. Those who wait get theirs in the order in which they came; nobody goes past them. A
/// job that was given a limiter ([`JobBuilder::limiter`](crate::JobBuilder::limiter)) has a token from
/// before it waits for a thread until it has ended, also when nobody waits for its result any more: so the
/// threads in use are never more than the tokens.
///
/// A clone is the same limiter. Dropping all of them changes nothing for those who have a token or wait for
/// one; only where there are no tokens at all, those who wait end cancelled.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::MemoryNetwork;
/// use wharf::{CapacityLimiter, Result};
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     // Ten downloads, and three of them at a time.
///     let limiter = CapacityLimiter::new(&event_loop, 3);
///     let began = event_loop.time();
///     let downloads: Vec<_> = (0..10)
///         .map(|_| {
///             let (event_loop, limiter) = (event_loop.clone(), limiter.clone());
///             wharf::spawn(async move {
///                 let _token = limiter.acquire().await?;
///                 event_loop.sleep(Duration::from_secs(1)).await;
///                 Ok::<_, wharf::Error>(())
///             })
///         })
///         .collect();
///     for download in downloads {
///         download.await??;
///     }
///     assert_eq!(event_loop.time() - began, Duration::from_secs(4));
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("Semaphore", "to_thread"))]
#[derive(Clone)]
pub struct CapacityLimiter {
    shared: Rc<Shared>,
    bound: ThreadBound<UseRemote>,
}

struct Shared {
    core: Rc<Core>,
    total: Cell<usize>,
    borrowed: Cell<usize>,
    /// Somebody waits only while no token is free.
    waiting: Waiters<CapacityToken>,
    /// Tokens are being handed out: those that come back meanwhile are, too, by who does it.
    handing_out: Cell<bool>,
}

impl CapacityLimiter {
    /// A limiter of `total` tokens. With none, nobody goes on before there are more.
    pub fn new(event_loop: &EventLoop, total: usize) -> Self {
        let shared = Shared {
            core: Rc::clone(event_loop.core()),
            total: Cell::new(total),
            borrowed: Cell::new(0),
            waiting: Waiters::default(),
            handing_out: Cell::new(false),
        };
        Self { shared: Rc::new(shared), bound: PhantomData }
    }

    /// Waits for a token.
    ///
    /// Dropping the future gives up the place in the queue. One that is dropped with its token still in it
    /// gives the token back. So nothing is lost.
    ///
    /// # Errors
    /// The future fails with [`is_closed`](crate::Error::is_closed) when the loop is closed.
    pub fn acquire(&self) -> LoopFuture<CapacityToken> {
        let (promise, token) = future(&self.shared.core);
        match (self.shared.core.check_open(), self.try_acquire()) {
            (Err(error), _) => promise.set(Err(error)),
            (Ok(()), Some(token)) => promise.set(Ok(token)),
            (Ok(()), None) => return self.shared.waiting.wait(&self.shared.core),
        }
        token
    }

    /// Takes a token, if one is free.
    pub fn try_acquire(&self) -> Option<CapacityToken> {
        // Somebody waits while tokens are free only as they are being handed out.
        let is_first = self.shared.waiting.len() == 0;
        (is_first && self.shared.has_free()).then(|| Shared::lend(&self.shared))
    }

    /// How many tokens there are.
    pub fn total_tokens(&self) -> usize {
        self.shared.total.get()
    }

    /// Changes how many tokens there are. When there are more, those who wait go on; when there are fewer,
    /// nobody goes on until enough were given back.
    pub fn set_total_tokens(&self, total: usize) {
        self.shared.total.set(total);
        Shared::hand_out(&self.shared);
    }

    /// How many tokens are in use.
    pub fn borrowed_tokens(&self) -> usize {
        self.shared.borrowed.get()
    }

    /// How many tokens are free.
    pub fn available_tokens(&self) -> usize {
        self.total_tokens().saturating_sub(self.borrowed_tokens())
    }

    /// How many wait for a token.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.len()
    }
}

impl fmt::Debug for CapacityLimiter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CapacityLimiter")
            .field("total_tokens", &self.total_tokens())
            .field("borrowed_tokens", &self.borrowed_tokens())
            .field("waiting", &self.waiting())
            .finish()
    }
}

impl Shared {
    fn has_free(&self) -> bool {
        self.borrowed.get() < self.total.get()
    }

    fn lend(shared: &Rc<Self>) -> CapacityToken {
        shared.borrowed.set(shared.borrowed.get() + 1);
        CapacityToken { shared: Rc::clone(shared), bound: PhantomData }
    }

    /// Gives the free tokens to those who wait. Whoever is told may give a token back at once: no
    /// recursion comes of it.
    fn hand_out(shared: &Rc<Self>) {
        if shared.handing_out.replace(true) {
            return;
        }
        while shared.has_free()
            && let Some(promise) = shared.waiting.pop_first()
        {
            promise.set(Ok(Self::lend(shared)));
        }
        shared.handing_out.set(false);
    }
}

/// A token of a [`CapacityLimiter`]. Dropping it gives it back, to the first of those who wait.
#[must_use = "dropping it gives the token back"]
pub struct CapacityToken {
    shared: Rc<Shared>,
    bound: ThreadBound<UseRemote>,
}

impl Drop for CapacityToken {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.borrowed.set(shared.borrowed.get() - 1);
        Shared::hand_out(shared);
    }
}

impl fmt::Debug for CapacityToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CapacityToken").finish_non_exhaustive()
    }
}
