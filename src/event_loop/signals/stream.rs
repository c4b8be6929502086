//! Signals for code that is async.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Listener;
use crate::error::Error;
use crate::event_loop::{Core, EventLoop, WakerSlot};
use crate::thread_bound::{ThreadBound, UseRemote};

/// # Signals
impl EventLoop {
    /// A stream of the signals that the process gets from now on, of those that are named.
    ///
    /// Any number of streams and a handler ([`add_signal_handler`](Self::add_signal_handler)) can be there for
    /// one signal, on one loop and on several: each is told. As long as one is there, the signal does not do
    /// what it does by default.
    ///
    /// ```no_run
    /// use wharf::signal::{SIGHUP, SIGTERM};
    /// use wharf::{EventLoop, Result};
    ///
    /// fn main() -> Result {
    ///     EventLoop::new()?.run(async |event_loop| {
    ///         let mut signals = event_loop.signals([SIGHUP, SIGTERM])?;
    ///         loop {
    ///             match signals.next().await {
    ///                 SIGHUP => println!("the configuration is read again"),
    ///                 _ => return Ok(()),
    ///             }
    ///         }
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// Those of [`add_signal_handler`](Self::add_signal_handler); none of the signals is then handled.
    #[doc(alias("ctrl_c", "signal", "add_signal_handler"))]
    pub fn signals(&self, signals: impl IntoIterator<Item = i32>) -> Result<SignalStream, Error> {
        let core = self.core();
        core.check_open()?;
        let table = &core.signal_handlers;
        let number = table.next.replace(table.next.get() + 1);
        let mut stream = SignalStream {
            core: Rc::clone(core),
            number,
            signals: Vec::new(),
            arrived: Rc::default(),
            bound: PhantomData,
        };
        for signal in signals {
            let arrived = Rc::clone(&stream.arrived) as Rc<dyn Listener>;
            table.handle(core, signal, |handled| {
                handled.listeners.insert(number, arrived);
            })?;
            stream.signals.push(signal);
        }
        Ok(stream)
    }
}

/// The signals that a process gets, from [`EventLoop::signals`].
///
/// A signal that comes several times before it is taken is given once, as the system does with signals that are
/// pending. Different ones are given in the order in which the loop learned of them.
///
/// Dropping it takes it back: once nothing on any loop handles a signal, that does again what it does by
/// default.
pub struct SignalStream {
    core: Rc<Core>,
    number: u64,
    signals: Vec<i32>,
    arrived: Rc<Arrived>,
    bound: ThreadBound<UseRemote>,
}

impl SignalStream {
    /// The next signal.
    ///
    /// Dropping the future loses none. On a loop that is closed it never completes.
    pub async fn next(&mut self) -> i32 {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), for futures written by hand.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<i32> {
        if let Some(signal) = self.try_next() {
            return Poll::Ready(signal);
        }
        self.arrived.waker.keep(&self.core, context.waker());
        self.try_next().map_or(Poll::Pending, Poll::Ready)
    }

    /// The next signal, if one has come.
    pub fn try_next(&mut self) -> Option<i32> {
        let mut signals = self.arrived.signals.borrow_mut();
        if signals.is_empty() { None } else { Some(signals.remove(0)) }
    }
}

impl Drop for SignalStream {
    fn drop(&mut self) {
        let table = &self.core.signal_handlers;
        for signal in self.signals.drain(..) {
            if let Some(handled) = table.handled.borrow_mut().get_mut(&signal) {
                handled.listeners.remove(&self.number);
            }
            table.forget_unhandled(&self.core, signal);
        }
        self.arrived.waker.clear(&self.core);
    }
}

impl fmt::Debug for SignalStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SignalStream").field("signals", &self.signals).finish()
    }
}

/// What has come and was not taken.
#[derive(Default)]
struct Arrived {
    /// Each once, in the order of their arrival.
    signals: RefCell<Vec<i32>>,
    waker: WakerSlot,
}

impl Listener for Arrived {
    fn told(&self, core: &Core, signal: i32) {
        let mut signals = self.signals.borrow_mut();
        if !signals.contains(&signal) {
            signals.push(signal);
        }
        drop(signals);
        self.waker.wake(core);
    }
}
