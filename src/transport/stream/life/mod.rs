//! The life of a stream: opening, open, closing, closed.
//!
//! `opening.rs` begins it with `connection_made`, and `protocol.rs` changes whose it is. `phase.rs` says
//! how far its end has come, without I/O; `closing.rs` does what that asks for, and `closed.rs` ends it
//! with `connection_lost`. Only after that the socket is closed or reset, or lingers without its
//! protocol (`lingering.rs`). `deadlines.rs` bounds all of it.
//!
//! While a stream closes, its input is read and dropped, so that two ends that both close with much to
//! send do not wait for each other; a bounded amount between two steps of the output.

mod awaited;
mod closed;
mod closing;
mod deadlines;
mod hand_over;
mod lingering;
mod opening;
mod phase;
mod protocol;

use std::rc::Rc;

use self::awaited::Awaited;
use self::deadlines::Deadlines;
use super::Stream;
use super::flags::Flags;
use super::rare::{Occasional, Rare};
use crate::error::Error;
use crate::event_loop::{Core, ServerCore};
use crate::protocol::Protocol;
use crate::transport::StreamOptions;

pub(crate) use self::awaited::{flush, poll_flush, wait_closed};
pub(crate) use self::lingering::Lingering;
pub(in crate::transport::stream) use self::phase::{Phase, SocketEnd};

/// How much input is dropped while the output makes no progress. Then reading stops, which makes the
/// peer stop sending.
const MOST_DISCARDED: usize = 8 * 1024 * 1024;

/// Whether so much was dropped that reading stops.
fn is_too_much(discarded: usize) -> bool {
    discarded > MOST_DISCARDED
}

/// What a stream knows of its own life. The phase is in the flags.
pub(in crate::transport::stream) struct Life {
    rare: Rare<Occasionally>,
    server: Option<Rc<ServerCore>>,
}

/// What the life of most connections never has.
#[derive(Default)]
struct Occasionally {
    /// The protocol that is to take over when the running callback has returned.
    next: Option<Box<dyn Protocol>>,
    /// What `connection_lost` is to be told.
    error: Option<Error>,
    deadlines: Option<Deadlines>,
    /// Those who wait until everything is sent, or the connection is gone.
    awaited: Option<Rc<Awaited>>,
}

impl Occasional for Occasionally {
    fn is_empty(&self) -> bool {
        let Self { next, error, deadlines, awaited } = self;
        next.is_none() && error.is_none() && deadlines.is_none() && awaited.is_none()
    }
}

impl Life {
    #[inline]
    pub(in crate::transport::stream) fn new(
        core: &Core,
        options: &StreamOptions,
        server: Option<Rc<ServerCore>>,
    ) -> Self {
        let rare = match Deadlines::from_options(core, options) {
            None => Rare::default(),
            deadlines => Rare::new(Occasionally { deadlines, ..Occasionally::default() }),
        };
        Self { rare, server }
    }

    #[inline(always)]
    pub(in crate::transport::stream) fn vacate(&mut self) {
        self.rare = Rare::default();
        self.server = None;
    }

    /// The server that accepted it.
    pub(in crate::transport::stream) fn server(&self) -> Option<&Rc<ServerCore>> {
        self.server.as_ref()
    }

    /// Sets what `connection_lost` is to be told.
    #[inline(never)]
    pub(in crate::transport::stream) fn replace_error(&self, core: &Core, error: Option<Error>) {
        let former = match error {
            Some(error) => {
                let error = error.of_transport();
                self.rare.change(|rare| rare.error.replace(error))
            }
            None => self.take_error(),
        };
        if let Some(former) = former {
            core.drop_user(former, "user's error");
        }
    }

    #[inline]
    pub(in crate::transport::stream) fn take_error(&self) -> Option<Error> {
        self.rare.change_existing(|rare| rare.error.take())
    }
}

impl Stream {
    /// Whether nothing more is taken that is to be written.
    pub(in crate::transport::stream) fn is_closing(&self) -> bool {
        self.has(Flags::CLOSING.union(Flags::CLOSED).union(Flags::WRITE_FAILED))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.has(Flags::CLOSED)
    }

    pub(in crate::transport::stream) fn phase(&self) -> Phase {
        Phase::of(self.flags.get())
    }

    fn enter(&self, phase: Phase) {
        self.set(phase.flags());
    }

    /// The server that accepted it.
    pub(crate) fn server(&self) -> Option<&Rc<ServerCore>> {
        self.life.server()
    }

    pub(crate) fn belongs_to(&self, server: &Rc<ServerCore>) -> bool {
        self.life.server.as_ref().is_some_and(|own| Rc::ptr_eq(own, server))
    }
}
