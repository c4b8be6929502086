//! What runs on a host.

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;

use super::host::Host;
use crate::error::Result;
use crate::event_loop::EventLoop;

/// A program of a host, which begins anew when the host restarts.
pub(super) struct Program {
    begin: Box<dyn Fn(EventLoop) -> Running>,
    /// The simulation goes on until it is done.
    pub(super) is_awaited: bool,
    pub(super) is_done: Cell<bool>,
    /// Where the test has given it to its host.
    pub(super) place: &'static Location<'static>,
}

pub(super) type Running = Pin<Box<dyn Future<Output = Result>>>;

impl Program {
    #[track_caller]
    pub(super) fn new(
        program: impl AsyncFn(EventLoop) -> Result + 'static,
        is_awaited: bool,
    ) -> Self {
        let program = Rc::new(program);
        let begin = move |event_loop| -> Running {
            let program = Rc::clone(&program);
            Box::pin(async move { program(event_loop).await })
        };
        Self {
            begin: Box::new(begin),
            is_awaited,
            is_done: Cell::new(false),
            place: Location::caller(),
        }
    }

    pub(super) fn begin(&self, event_loop: EventLoop) -> Running {
        (self.begin)(event_loop)
    }
}

/// Whose programs are not done.
pub(super) fn waiting_for(hosts: &[Host]) -> String {
    let waiting = hosts.iter().filter(|host| host.shared.awaits());
    let names = waiting.map(|host| match host.is_on() {
        true => format!("`{}`", host.name()),
        false => format!("`{}`, which is off", host.name()),
    });
    format!("programs have not ended on {}", names.collect::<Vec<_>>().join(", and on "))
}
