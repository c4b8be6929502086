//! The ready list: what runs in the next round, first come first served.

use std::rc::Rc;

use async_task::Runnable;

use super::core::Core;
use super::slots::Source;
use crate::time::TimerKey;
use crate::transport::{DatagramEndpoint, Stream};

/// One entry of the ready list.
pub(crate) enum Ready {
    /// A stream is readable or writable.
    Stream(Rc<Stream>),
    /// A datagram endpoint has something to deliver or to send.
    Datagram(Rc<DatagramEndpoint>),
    /// A timer has fired. Its callback stays with the timers, where it can be cancelled or reset.
    Timer(TimerKey),
    Source(Rc<dyn Source>),
    /// `call_soon`, or something of the engine's own.
    Callback(Rc<dyn Callback>),
    Task(Runnable),
}

/// Something that runs once, unless it was cancelled before.
pub(crate) trait Callback {
    fn run(self: Rc<Self>, core: &Rc<Core>);

    /// The loop closes: it is not going to run. Drops what is the user's, whoever else holds it.
    fn discard(self: Rc<Self>, core: &Core) {
        let _ = core;
    }
}

/// What a timer calls.
pub(crate) trait Timer {
    fn run(self: Box<Self>, core: &Rc<Core>);
}

impl<C: Callback> Timer for Rc<C> {
    fn run(self: Box<Self>, core: &Rc<Core>) {
        Callback::run(*self, core);
    }
}
