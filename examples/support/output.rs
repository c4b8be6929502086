//! Standard output and standard error as transports.
//!
//! `println!` waits while nobody reads at the other end of the pipe, and the whole loop with it: no
//! connection is served meanwhile, and no signal is handled. Here, what the reader does not take is
//! queued, and whoever writes can ask whether the reader is behind.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Error, EventLoop, LoopFuture, Promise, Protocol, Result, Transport, TransportHandle};

/// One of the standard streams, to be written to from anywhere on the loop.
#[derive(Debug)]
pub struct Output {
    transport: TransportHandle,
    state: Rc<State>,
    ended: LoopFuture<Outcome>,
}

/// Whether everything was written; if not, why.
pub type Outcome = Result<(), String>;

/// Is told whether the output is behind.
type OnPace = Box<dyn Fn(bool)>;

#[derive(Default)]
struct State {
    is_behind: Cell<bool>,
    on_pace: RefCell<Option<OnPace>>,
    /// Lines that nobody was there to read.
    left_out: Cell<u64>,
    is_finishing: Cell<bool>,
    is_unread: Cell<bool>,
    is_out_of_time: Cell<bool>,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("is_behind", &self.is_behind).finish_non_exhaustive()
    }
}

impl Output {
    /// Standard output.
    ///
    /// # Errors
    /// Those of [`EventLoop::connect_stdout`].
    pub async fn standard_output(event_loop: &EventLoop) -> Result<Self> {
        let (writer, state, ended) = Writer::new(event_loop);
        let connection = event_loop.connect_stdout(|| writer).await?;
        Ok(Self { transport: connection.handle().clone(), state, ended })
    }

    /// Standard error.
    ///
    /// # Errors
    /// Those of [`EventLoop::connect_stderr`].
    pub async fn standard_error(event_loop: &EventLoop) -> Result<Self> {
        let (writer, state, ended) = Writer::new(event_loop);
        let connection = event_loop.connect_stderr(|| writer).await?;
        Ok(Self { transport: connection.handle().clone(), state, ended })
    }

    /// Writes `data`, whether or not the reader takes it now. Whoever writes much waits while
    /// [`is_behind`](Self::is_behind) says so.
    pub fn write(&self, data: &[u8]) {
        self.transport.write(data);
    }

    /// Writes a line, unless the reader is behind: the line is left out then, and counted.
    pub fn say(&self, line: &str) {
        if self.is_behind() {
            return self.state.left_out.set(self.state.left_out.get() + 1);
        }
        let text = match self.state.left_out.take() {
            0 => format!("{line}\n"),
            count => format!("({count} lines are missing here: nobody read them)\n{line}\n"),
        };
        self.write(text.as_bytes());
    }

    /// Whether more is waiting for the reader than the high-water mark.
    pub fn is_behind(&self) -> bool {
        self.state.is_behind.get()
    }

    /// Whether the reader has left, which is no failure of a program that writes for it alone.
    pub fn is_unread(&self) -> bool {
        self.state.is_unread.get()
    }

    /// Has `told` called with `true` when the reader falls behind, and with `false` when it has caught
    /// up, or is gone.
    pub fn on_pace(&self, told: impl Fn(bool) + 'static) {
        self.state.on_pace.replace(Some(Box::new(told)));
    }

    /// Has `told` called with the reason when the stream ends before it was
    /// [finished](Self::finish).
    pub fn on_failure(&self, told: impl FnOnce(&str) + 'static) {
        let state = Rc::clone(&self.state);
        self.ended.add_done_callback(move |outcome| {
            if let (false, Ok(Err(reason))) = (state.is_finishing.get(), outcome) {
                told(reason);
            }
        });
    }

    /// Waits until everything is written, but not longer than `limit`; then, the rest is dropped.
    pub async fn finish(&self, limit: Duration) -> Outcome {
        self.state.is_finishing.set(true);
        self.transport.close();
        let event_loop = self.transport.event_loop();
        let (transport, state) = (self.transport.clone(), Rc::clone(&self.state));
        let deadline = event_loop.call_later(limit, move || {
            state.is_out_of_time.set(true);
            transport.abort();
        });
        let (promise, finished) = event_loop.create_future();
        self.ended.add_done_callback(move |outcome| {
            let outcome =
                outcome.as_ref().map_or_else(|error| Err(format!("{error:#}")), Clone::clone);
            // Refused when nobody waits for it any more, which is fine.
            let _ = promise.set_result(outcome);
        });
        let outcome = finished.await;
        deadline.cancel();
        outcome.unwrap_or_else(|error| Err(format!("{error:#}")))
    }
}

/// The protocol of a stream that is only written to.
struct Writer {
    state: Rc<State>,
    ending: Option<Promise<Outcome>>,
}

impl Writer {
    fn new(event_loop: &EventLoop) -> (Self, Rc<State>, LoopFuture<Outcome>) {
        let state = Rc::new(State::default());
        let (ending, ended) = event_loop.create_future();
        (Self { state: Rc::clone(&state), ending: Some(ending) }, state, ended)
    }

    fn set_behind(&self, is_behind: bool) {
        if self.state.is_behind.replace(is_behind) != is_behind
            && let Some(told) = &*self.state.on_pace.borrow()
        {
            told(is_behind);
        }
    }
}

impl Protocol for Writer {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("an output is not read".into())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.set_behind(true);
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.set_behind(false);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        // Nobody has to wait for it any more.
        self.set_behind(false);
        let state = &self.state;
        let has_left = match error {
            Some(error) => error.io_kind() == Some(ErrorKind::BrokenPipe),
            None => !state.is_finishing.get(),
        };
        state.is_unread.set(has_left);
        let outcome = match error {
            _ if has_left => Err("nobody reads it any more".to_owned()),
            Some(error) => Err(format!("{error:#}")),
            None if state.is_out_of_time.get() => {
                Err("the reader took too long; the rest was dropped".to_owned())
            }
            None => Ok(()),
        };
        if let Some(ending) = self.ending.take() {
            // Refused when nobody waits for it any more, which is fine.
            let _ = ending.set_result(outcome);
        }
        Ok(())
    }
}
