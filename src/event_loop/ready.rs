//! The ready list: what runs in the next round, first come first served.

use std::rc::Rc;

use async_task::Runnable;

use super::core::Core;
use super::slots::Source;
use crate::transport::Stream;

/// One entry of the ready list.
pub(crate) enum Ready {
    /// A stream is readable or writable.
    Stream(Rc<Stream>),
    /// The timer of a stream's deadlines went off.
    Deadline(Rc<Stream>),
    Source(Rc<dyn Source>),
    /// `call_soon`, a timer that went off, or something of the engine's own.
    Callback(Rc<dyn Callback>),
    Task(Runnable),
}

/// Something that runs once, unless it was cancelled before.
pub(crate) trait Callback {
    fn run(self: Rc<Self>, core: &Rc<Core>);

    /// The loop closes: it is not going to run. Drops what is the user's, whoever else holds it.
    fn discard(self: Rc<Self>) {}
}
