//! What both ways to learn of an exit have to hold: a descriptor, and a thread.

use std::cell::RefCell;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::Duration;

use super::{ChildFd, ProcessProtocol, ProcessTransport};
use crate::error::{Error, Result};
use crate::event_loop::EventLoop;

/// Runs `test` on a loop that learns of exits by descriptors, and on one that does by threads.
fn on_both(test: impl AsyncFn(&EventLoop) -> Result) {
    for with_threads in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        if with_threads {
            event_loop.core().processes.wait_with_threads();
        }
        let outcome = event_loop.run(async |event_loop| test(&event_loop).await);
        outcome.unwrap_or_else(|error| panic!("with threads: {with_threads}: {error}"));
    }
}

#[test]
fn output_and_status_arrive() {
    on_both(async |event_loop| {
        let output = event_loop
            .run_shell("cat; echo two >&2; exit 3")
            .input("one")
            .timeout(Duration::from_secs(10))
            .await?;
        assert_eq!(output.stdout, b"one");
        assert_eq!(output.stderr, b"two\n");
        assert_eq!(output.status.code(), Some(3));
        Ok(())
    });
}
