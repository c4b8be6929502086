//! What tests record with, and how they stay bounded.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use wharf::{EventLoop, Protocol, Transport};

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, entry: impl Into<String>) {
        self.0.borrow_mut().push(entry.into());
    }

    /// A callback that does nothing but add `entry`.
    pub(crate) fn adds(&self, entry: &str) -> impl Fn() + 'static {
        let (log, entry) = (self.clone(), entry.to_owned());
        move || log.add(entry.as_str())
    }

    /// A value that adds `entry` when it is dropped.
    pub(crate) fn adds_on_drop(&self, entry: &str) -> OnDrop {
        on_drop(self.adds(entry))
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

/// What the exception handler of `event_loop` is told from now on.
pub(crate) fn reports(event_loop: &EventLoop) -> Log {
    let log = Log::default();
    let told = log.clone();
    event_loop.set_exception_handler(move |_, exception| told.add(exception.to_string()));
    log
}

/// Runs an action when it is dropped.
pub(crate) struct OnDrop(Option<Box<dyn FnOnce()>>);

pub(crate) fn on_drop(action: impl FnOnce() + 'static) -> OnDrop {
    OnDrop(Some(Box::new(action)))
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}

/// A value whose `Drop` panics with `text`.
pub(crate) fn panics_on_drop(text: &'static str) -> OnDrop {
    on_drop(move || panic!("{text}"))
}

/// A closure that holds `value` and does nothing.
pub(crate) fn holding<T: 'static>(value: T) -> impl FnOnce() + 'static {
    move || drop(value)
}

/// As [`holding`], to be called many times.
pub(crate) fn keeping<T: 'static>(value: T) -> impl FnMut() + 'static {
    move || {
        let _ = &value;
    }
}

/// `run_forever`, which has to be stopped in time.
pub(crate) fn run_forever(event_loop: &EventLoop) {
    let late = Rc::new(Cell::new(false));
    let guard = event_loop.call_later(PATIENCE, {
        let (late, event_loop) = (Rc::clone(&late), event_loop.clone());
        move || {
            late.set(true);
            event_loop.stop();
        }
    });
    event_loop.run_forever().unwrap();
    guard.cancel();
    assert!(!late.get(), "nobody stopped the loop in {PATIENCE:?}");
}

/// `run_until_complete` of a future that has to be done in time.
pub(crate) fn complete<F: Future>(event_loop: &EventLoop, future: F) -> F::Output {
    let mut limit = pin!(event_loop.sleep(PATIENCE));
    let mut future = pin!(future);
    let bounded = poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        limit.as_mut().poll(context).map(|()| None)
    });
    event_loop.run_until_complete(bounded).unwrap().expect("the future took too long")
}

/// Steps a loop until `condition` holds.
pub(crate) fn step_until(event_loop: &EventLoop, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "it took too long");
        wharf::testing::step(event_loop).unwrap();
        std::thread::yield_now();
    }
}

/// Keeps this thread busy.
pub(crate) fn work_for(duration: Duration) {
    let began = Instant::now();
    while began.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// Logs every callback under a name.
pub(crate) struct Noting {
    pub(crate) name: &'static str,
    pub(crate) log: Log,
}

impl Noting {
    pub(crate) fn new(name: &'static str, log: &Log) -> Self {
        Self { name, log: log.clone() }
    }
}

impl Protocol for Noting {
    fn connection_made(&mut self, _: &dyn Transport) -> wharf::Result {
        self.log.add(format!("{} made", self.name));
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> wharf::Result {
        self.log.add(format!("{} data {}", self.name, String::from_utf8_lossy(data)));
        Ok(())
    }

    fn connection_lost(
        &mut self,
        _: &dyn Transport,
        error: Option<&wharf::Error>,
    ) -> wharf::Result {
        match error {
            None => self.log.add(format!("{} lost", self.name)),
            Some(error) => self.log.add(format!("{} lost: {error}", self.name)),
        }
        Ok(())
    }
}

const CHILD: &str = "WHARF_TEST_CHILD";

/// Whether this process was started by [`run_in_child`].
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the test `name` (with its modules) alone in a process of its own.
pub(crate) fn run_in_child(name: &str) -> Output {
    run_in_child_with(name, Stdio::piped())
}

/// As [`run_in_child`], with this as its standard error.
pub(crate) fn run_in_child_with(name: &str, errors: Stdio) -> Output {
    let mut child = this_program()
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("the child that runs {name} did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// This program, with what `SIGINT` does by default: a shell that starts a program in its background has it ignored.
fn this_program() -> Command {
    let program = std::env::current_exe().unwrap();
    if !ignores_sigint() {
        return Command::new(program);
    }
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(program);
    command
}

/// Whether `SIGINT` is ignored, where the system tells.
pub(crate) fn ignores_sigint() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 2 != 0)
}
