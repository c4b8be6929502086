//! From a descriptor to a stream.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::driver::os::OsPipe;
use crate::driver::{Direction, Driver, Socket};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Tenant};
use crate::protocol::Protocol;
use crate::transport::{Stream, StreamOptions};

/// A stream on `pipe` (an `OwnedFd` will do), in a slot of its own.
///
/// The descriptor is owned from here on, and closed if anything fails. `connection_made` has not
/// been called: [`Stream::begin`] does, and must follow in the same turn of the loop, outside of
/// any protocol's callback.
pub(crate) fn open(
    core: &Rc<Core>,
    pipe: impl Into<Pipe>,
    direction: Direction,
    protocol: Box<dyn Protocol>,
    options: &StreamOptions,
) -> Result<Rc<Stream>, Error> {
    core.check_open()?;
    let Driver::Os(driver) = &core.driver else {
        let text = "a loop in memory cannot drive the operating system's descriptors";
        return Err(Error::new(Kind::Unsupported, text));
    };
    let key = core.reserve_slot()?;
    let Pipe { fd, other_end } = pipe.into();
    let pipe = match OsPipe::register(core, driver, fd, direction, key, &core.signals) {
        Ok(pipe) => pipe.holding(other_end),
        Err(error) => {
            core.free_slot(key);
            return Err(Error::io("the descriptor cannot be used as a transport", error));
        }
    };
    let short_reads_drain = pipe.short_reads_drain();
    let socket = Socket::Pipe(Box::new(pipe));
    let stream = Stream::new(core, key, socket, protocol, options, None, None);
    stream.become_pipe(direction, short_reads_drain);
    core.fill_slot(key, Tenant::Stream(Rc::clone(&stream)));
    Ok(stream)
}

/// An open end of a pipe.
pub(crate) struct Pipe {
    pub(super) fd: OwnedFd,
    /// Held open, so that the pipe does not end when the others leave.
    pub(super) other_end: Option<OwnedFd>,
}

impl From<OwnedFd> for Pipe {
    fn from(fd: OwnedFd) -> Self {
        Self { fd, other_end: None }
    }
}
