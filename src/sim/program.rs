//! What runs on a host.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::error::Result;
use crate::event_loop::EventLoop;

/// A program of a host, which begins anew when the host restarts.
pub(super) struct Program {
    begin: Box<dyn Fn(EventLoop) -> Running>,
    /// The simulation goes on until it is done.
    pub(super) is_awaited: bool,
    pub(super) is_done: Cell<bool>,
}

pub(super) type Running = Pin<Box<dyn Future<Output = Result>>>;

impl Program {
    pub(super) fn new(
        program: impl AsyncFn(EventLoop) -> Result + 'static,
        is_awaited: bool,
    ) -> Self {
        let program = Rc::new(program);
        let begin = move |event_loop| -> Running {
            let program = Rc::clone(&program);
            Box::pin(async move { program(event_loop).await })
        };
        Self { begin: Box::new(begin), is_awaited, is_done: Cell::new(false) }
    }

    pub(super) fn begin(&self, event_loop: EventLoop) -> Running {
        (self.begin)(event_loop)
    }
}
