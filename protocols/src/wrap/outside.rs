//! A protocol in memory, joined to a real connection.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use wharf::testing::pair;
use wharf::{
    CloseReason, Connection, Eof, Error, EventLoop, Protocol, Result, Transport, TransportHandle,
};

use super::Tap;
use crate::backpressure::is_above_high_water;

/// How many bytes are on their way in memory, in each direction.
const CAPACITY: usize = 64 * 1024;

/// Puts `protocol` behind `tap`.
///
/// Gives the protocol's own connection, in memory, and the protocol that is to be given to `create_connection` or
/// returned by the factory of a server. What the protocol writes before that has a connection waits for it. If it never
/// gets one, dropping it closes the protocol's connection.
///
/// # Errors
/// Those of [`pair`]: the loop is closed, or a callback of a protocol runs.
pub fn tapped<P: Protocol, T: Tap>(
    event_loop: &EventLoop,
    protocol: P,
    tap: T,
) -> Result<(Connection<P>, Tapped<T>), Error> {
    let joint = Rc::new(Joint {
        tap,
        real: RefCell::default(),
        inside: RefCell::default(),
        is_over: Cell::new(false),
    });
    let (near, far) = pair(event_loop, CAPACITY, protocol, Far { joint: Rc::clone(&joint) })?;
    // Nothing is taken before there is somewhere to send it.
    far.pause_reading();
    *joint.inside.borrow_mut() = Some(near.handle().clone());
    Ok((near, Tapped { joint, far: far.handle().clone() }))
}

/// What both ends of a tap have in common.
struct Joint<T> {
    tap: T,
    real: RefCell<Option<TransportHandle>>,
    /// The protocol's own transport.
    inside: RefCell<Option<TransportHandle>>,
    is_over: Cell<bool>,
}

impl<T> Joint<T> {
    fn real(&self) -> Option<TransportHandle> {
        self.real.borrow().clone()
    }

    /// What the protocol's own connection was ended by, if that is an error.
    fn failure(&self) -> Option<Error> {
        match self.inside.borrow().as_ref().and_then(Transport::close_reason) {
            Some(CloseReason::Failed(error)) => Some(error),
            _ => None,
        }
    }
}

/// The real connection's protocol: see [`tapped`].
pub struct Tapped<T: Tap> {
    joint: Rc<Joint<T>>,
    /// The other end of the protocol's connection.
    far: TransportHandle,
}

impl<T: Tap> Tapped<T> {
    /// The tap.
    pub fn tap(&self) -> &T {
        &self.joint.tap
    }
}

impl<T: Tap> Protocol for Tapped<T> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        *self.joint.real.borrow_mut() = Some(transport.handle());
        self.joint.tap.opened(transport);
        self.far.resume_reading();
        if self.far.is_closing() {
            // The protocol has ended its connection already.
            transport.close();
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.joint.tap.received(transport, data);
        self.far.write(data);
        if is_above_high_water(&self.far) {
            transport.pause_reading();
        }
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.far.write_eof();
        // The protocol says when it has sent everything.
        Ok(Eof::KeepOpen)
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.far.pause_reading();
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.far.resume_reading();
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        // What the protocol has failed with ends the real connection by an abort, which is no error of that one.
        let failure = self.joint.failure();
        self.joint.tap.closed(transport, error.or(failure.as_ref()));
        self.end(error.is_some());
        Ok(())
    }
}

impl<T: Tap> Tapped<T> {
    fn end(&self, is_abort: bool) {
        if !self.joint.is_over.replace(true) {
            if is_abort { self.far.abort() } else { self.far.close() }
        }
    }
}

impl<T: Tap> Drop for Tapped<T> {
    fn drop(&mut self) {
        self.end(true);
    }
}

impl<T: Tap> fmt::Debug for Tapped<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tapped").field("far", &self.far).finish_non_exhaustive()
    }
}

/// The other end of the protocol's connection.
struct Far<T> {
    joint: Rc<Joint<T>>,
}

impl<T: Tap> Protocol for Far<T> {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let Some(real) = self.joint.real() else { return Ok(()) };
        self.joint.tap.sent(&real, data);
        real.write(data);
        if is_above_high_water(&real) {
            transport.pause_reading();
        }
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        let is_closing = match &*self.joint.inside.borrow() {
            Some(inside) => inside.is_closing(),
            None => true,
        };
        if let Some(real) = self.joint.real() {
            if is_closing { real.close() } else { real.write_eof() }
        }
        Ok(Eof::KeepOpen)
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        if let Some(real) = self.joint.real() {
            real.pause_reading();
        }
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        if let Some(real) = self.joint.real() {
            real.resume_reading();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        if !self.joint.is_over.replace(true)
            && let Some(real) = self.joint.real()
        {
            if error.is_some() { real.abort() } else { real.close() }
        }
        Ok(())
    }
}
