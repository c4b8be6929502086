//! Running, stopping and closing a loop.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::core::{Core, State};
use super::registry::Current;
use super::remote::RemoteQueue;
use super::signals::Interruptible;
use super::{EventLoop, SlowWatch};
use crate::driver::NetworkLoop as _;
use crate::error::{Error, Kind, Result};
use crate::fence::{self, Panic};

thread_local! {
    /// Whether a loop runs on this thread: one inside another would starve the outer one.
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// # Running
impl EventLoop {
    /// Runs `main` to its end. Nothing is closed: remaining tasks continue at the next run.
    ///
    /// The entry point of most programs. `main` gets a clone of the loop.
    ///
    /// A program that ends when `main` does drops the loop, which aborts the connections that are open, those included
    /// that are still closing: their queued output is lost. [`wharf::run`](crate::run) and
    /// [`close_gracefully`](Self::close_gracefully) send it first.
    ///
    /// # SIGINT
    /// As with asyncio's Runner, the first `SIGINT` (Control-C) drops `main`, and `run` fails with
    /// [`is_interrupted`](Error::is_interrupted): what `main` holds is cleaned up, and so can the program be. The
    /// second one ends the process, also when the loop is stuck in a callback. One that comes while `main` ends
    /// is not lost: `run` fails with that error all the same, unless `main` failed itself.
    ///
    /// That is for programs that do not deal with `SIGINT` themselves: it holds on the main thread (as Rust
    /// calls it: of the name `main`), on a loop of the operating system, and where `SIGINT` does what it does by
    /// default. It is off as soon as there is a handler or a stream of signals for `SIGINT` on this loop, and stays
    /// off for this run; where another loop handles it; where another library does or the process ignores
    /// it (known on Linux); and by [`EventLoopBuilder::interruptible`]. `run_until_complete` and
    /// `run_forever` leave signals alone.
    ///
    /// [`EventLoopBuilder::interruptible`]: crate::EventLoopBuilder::interruptible
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::{EventLoop, Result};
    ///
    /// fn main() -> Result {
    ///     let event_loop = EventLoop::new()?;
    ///     event_loop.run(async |event_loop| {
    ///         event_loop.sleep(Duration::from_millis(1)).await;
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// What `main` returned; and, as [`Error`], that the loop is closed or running, was stopped
    /// before `main` was done, was interrupted, or could not poll.
    #[doc(alias("block_on", "Runner"))]
    pub fn run<T>(&self, main: impl AsyncFnOnce(EventLoop) -> Result<T>) -> Result<T> {
        let core = self.core();
        match Interruptible::begin(core) {
            Some(run) => {
                let output = self.run_until_complete(run.bound(main(self.clone())))???;
                if run.came_late() {
                    return Err(Error::bare(Kind::Interrupted).into());
                }
                Ok(output)
            }
            None => self.run_until_complete(main(self.clone()))?,
        }
    }

    /// Runs until `future` is done, and gives its output.
    ///
    /// The future need not be `'static` nor `Send`. A panic in it goes through to the caller.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when a loop runs on this thread already, inside a callback or a
    /// `Drop` that the loop runs, or when [`stop`](Self::stop) was called before the future was done; [`is_closed`](Error::is_closed).
    #[doc(alias("block_on"))]
    pub fn run_until_complete<F: Future>(&self, future: F) -> Result<F::Output, Error> {
        let core = self.core();
        let _running = Running::begin(core)?;
        core.remote.wake_main(|| false);
        let mut main = MainFuture {
            core,
            waker: Waker::from(Arc::new(MainWaker {
                remote: Arc::clone(&core.remote),
                thread: std::thread::current().id(),
            })),
            future: pin!(future),
            outcome: None,
        };
        core.tasks.set_main_waker(Some(&main.waker));
        core.go_on(|| {
            loop {
                core.tick(!core.stopping.get(), &mut main).map_err(poll_failed)?;
                if let Some(outcome) = main.outcome.take() {
                    return Ok(outcome);
                }
                if core.stopping.take() {
                    return Err(Error::invalid(
                        "the event loop was stopped before its future was done",
                    ));
                }
            }
        })
        .map(|outcome| outcome.unwrap_or_else(|panic| panic.resume()))
    }

    /// Runs until [`stop`](Self::stop) is called.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when a loop runs on this thread already;
    /// [`is_closed`](Error::is_closed).
    pub fn run_forever(&self) -> Result<(), Error> {
        let core = self.core();
        let _running = Running::begin(core)?;
        core.go_on(|| {
            loop {
                core.tick(!core.stopping.get(), &mut NoMain).map_err(poll_failed)?;
                if core.stopping.take() {
                    return Ok(());
                }
            }
        })
    }

    /// Makes the run return after the current round. Called before a run, that run makes one tick
    /// without waiting.
    ///
    /// What is ready by then has run; what that scheduled waits for the next run.
    ///
    /// It is for one run: that in which it is called, else the next. A run that ends in the same tick by itself,
    /// since its future is done or has panicked, takes it along; the run after it knows nothing of it. So a
    /// program that waits for a `stop` from a callback has all that may call it begin inside that run, or checks
    /// a condition of its own first. [`testing::step`](crate::testing::step) is a run of one tick.
    ///
    /// ```
    /// use wharf::EventLoop;
    ///
    /// # fn main() -> wharf::Result {
    /// let event_loop = EventLoop::new()?;
    /// let stopper = event_loop.clone();
    /// event_loop.call_soon(move || stopper.stop());
    /// // Done in the tick in which the callback runs.
    /// event_loop.run(async |_| Ok(()))?;
    /// // The next run is not stopped by that; this one is stopped before it begins.
    /// event_loop.stop();
    /// event_loop.run_forever()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn stop(&self) {
        self.core().stopping.set(true);
    }

    /// Closes the loop: every transport is aborted and its `connection_lost` delivered; tasks,
    /// timers, callbacks and signal handlers are dropped. Also done when the owning value is
    /// dropped.
    ///
    /// It may block the thread for up to five seconds: what closed connections have sent, and their peers have
    /// not acknowledged, has that long to arrive, as long as a peer takes something within each second. What is
    /// still queued for connections that were not over is dropped. To leave peers more time, use
    /// [`close_gracefully`](Self::close_gracefully), or await
    /// [`Server::shutdown`](crate::Server::shutdown), or every `connection_lost`, before.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) while the loop runs, and inside a protocol's callback. A
    /// second call changes nothing.
    pub fn close(&self) -> Result<(), Error> {
        if self.is_closed() {
            return Ok(());
        }
        self.check_closable()?;
        self.core().close();
        Ok(())
    }

    pub(super) fn check_closable(&self) -> Result<(), Error> {
        if self.is_running() {
            return Err(Error::invalid("a running event loop cannot be closed"));
        }
        if self.core().is_in_protocol() {
            return Err(Error::invalid("a protocol's callback cannot close its event loop"));
        }
        Ok(())
    }
}

/// Marks the loop, and its thread, as running; undone also when a panic passes through.
pub(super) struct Running<'a> {
    core: &'a Rc<Core>,
    /// Another loop runs, and this one has a tick meanwhile.
    for_another: bool,
    _current: Current,
}

impl<'a> Running<'a> {
    pub(super) fn begin(core: &'a Rc<Core>) -> Result<Self, Error> {
        core.check_open()?;
        if core.state.get() == State::Running {
            return Err(Error::invalid("the event loop is running already"));
        }
        if core.is_in_protocol() {
            return Err(Error::invalid("a protocol's callback cannot run its event loop"));
        }
        if core.is_dropping() {
            // All that the run drops would wait for its end.
            return Err(Error::invalid("a `Drop` that the event loop runs cannot run the loop"));
        }
        if RUNNING.replace(true) {
            return Err(Error::invalid("another event loop is running on this thread"));
        }
        core.state.set(State::Running);
        Ok(Self { core, for_another: false, _current: Current::enter(core) })
    }

    /// As [`begin`](Self::begin), for one tick while another loop waits; `None` if it cannot have one.
    fn begin_for_another(core: &'a Rc<Core>) -> Option<Self> {
        if !core.can_take_turn() {
            return None;
        }
        core.state.set(State::Running);
        Some(Self { core, for_another: true, _current: Current::enter(core) })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.for_another {
            RUNNING.set(false);
            self.core.stopping.set(false);
        }
        self.core.state.set(State::Idle);
        self.core.leave_read_buffer();
        // This may be unwinding already: a second panic would end the process.
        if let Err(panic) = fence::run(|| self.core.close_if_wanted()) {
            self.core.recover(panic);
        }
    }
}

/// What a run is for, polled once a round when it was woken.
pub(crate) trait Main {
    /// Goes on with it. Returns whether it is done.
    fn step(&mut self) -> bool;
}

/// Running for ever.
pub(super) struct NoMain;

impl Main for NoMain {
    fn step(&mut self) -> bool {
        false
    }
}

struct MainFuture<'a, F: Future> {
    core: &'a Rc<Core>,
    waker: Waker,
    future: Pin<&'a mut F>,
    /// A panic goes through to the caller at the end of the tick, so that the tick's other work is
    /// not lost.
    outcome: Option<std::result::Result<F::Output, Panic>>,
}

impl<F: Future> Main for MainFuture<'_, F> {
    fn step(&mut self) -> bool {
        let mut context = Context::from_waker(&self.waker);
        let watch = SlowWatch::start(self.core);
        let step = || self.future.as_mut().poll(&mut context);
        match fence::run(step) {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(output)) => self.outcome = Some(Ok(output)),
            Err(panic) => self.outcome = Some(Err(panic)),
        }
        watch.stop(self.core, "the future that is run");
        self.outcome.is_some()
    }
}

impl<F: Future> Drop for MainFuture<'_, F> {
    fn drop(&mut self) {
        self.core.tasks.set_main_waker(None);
    }
}

/// Wakes the future that `run_until_complete` was given.
struct MainWaker {
    remote: Arc<RemoteQueue>,
    thread: std::thread::ThreadId,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.remote.wake_main(|| std::thread::current().id() != self.thread);
    }
}

pub(super) fn poll_failed(error: io::Error) -> Error {
    // The driver in memory says what it means by an error of ours.
    match error.downcast::<Error>() {
        Ok(error) => error,
        Err(error) => Error::io("the event loop could not poll", error),
    }
}

/// A loop that panics in so many ticks in a row is given up.
const PANICS_IN_A_ROW: u32 = 16;

impl Core {
    /// Runs ticks. No panic should come out of one: if one does, it is reported, what it left is
    /// put in order, and the loop goes on.
    pub(super) fn go_on<T>(
        self: &Rc<Self>,
        mut turns: impl FnMut() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut in_a_row = 0;
        loop {
            let before = self.counters.ticks();
            match fence::run(&mut turns) {
                Ok(ended) => return ended,
                Err(panic) => {
                    let is_first_turn = self.counters.ticks() - before <= 1;
                    in_a_row = if is_first_turn { in_a_row + 1 } else { 1 };
                    if in_a_row >= PANICS_IN_A_ROW {
                        panic.resume();
                    }
                    self.recover(panic);
                }
            }
        }
    }

    /// One tick, without waiting.
    pub(crate) fn run_once(self: &Rc<Self>) -> Result<(), Error> {
        let _running = Running::begin(self)?;
        fence::run(|| self.tick(false, &mut NoMain).map_err(poll_failed)).unwrap_or_else(|panic| {
            self.recover(panic);
            Ok(())
        })
    }

    /// One tick, without waiting, while another loop of this thread waits. Returns whether it was
    /// possible.
    pub(super) fn run_for_another(self: &Rc<Self>) -> io::Result<bool> {
        let Some(_running) = Running::begin_for_another(self) else { return Ok(false) };
        let outcome = fence::run(|| self.tick(false, &mut NoMain));
        outcome.unwrap_or_else(|panic| {
            self.recover(panic);
            Ok(())
        })?;
        Ok(true)
    }
}
