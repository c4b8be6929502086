//! From a descriptor to a stream.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};

use crate::driver::{Direction, Key, OsDriver, OsPipe, PipeHost, Socket};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Entry, Guarded};
use crate::protocol::Protocol;
use crate::transport::{Stream, StreamOptions};

/// What only a loop of the operating system can do.
pub(super) const DRIVE_DESCRIPTORS: &str = "drive the operating system's descriptors";

/// A stream on `pipe` (an `OwnedFd` will do), in a slot of its own.
///
/// The descriptor is owned from here on, and closed if anything fails. `connection_made` has not
/// been called: [`Stream::begin`] does, and must follow in the same tick of the loop, outside of
/// any protocol's callback.
pub(crate) fn open(
    core: &Rc<Core>,
    pipe: impl Into<Pipe>,
    direction: Direction,
    protocol: Box<dyn Protocol>,
    options: &StreamOptions,
) -> Result<Rc<Stream>, Error> {
    register(core, protocol, options, |driver, key| {
        pipe.into().register(core, driver, direction, key)
    })
}

/// A stream that reads one descriptor and writes another; as [`open`].
pub(crate) fn open_joined(
    core: &Rc<Core>,
    reader: impl Into<Pipe>,
    writer: impl Into<Pipe>,
    protocol: Box<dyn Protocol>,
    options: &StreamOptions,
) -> Result<Rc<Stream>, Error> {
    register(core, protocol, options, |driver, key| {
        let reader = reader.into().register(core, driver, Direction::Read, key)?;
        match writer.into().register(core, driver, Direction::Write, key) {
            Ok(writer) => Ok(reader.joined_with(host(core), writer)),
            Err(error) => {
                reader.deregister(driver);
                Err(error)
            }
        }
    })
}

/// A stream on what `register` makes, in a slot of its own.
fn register(
    core: &Rc<Core>,
    protocol: Box<dyn Protocol>,
    options: &StreamOptions,
    register: impl FnOnce(&OsDriver, Key) -> io::Result<OsPipe>,
) -> Result<Rc<Stream>, Error> {
    let protocol = Guarded::new(core, protocol, "protocol");
    core.check_open()?;
    let driver = core.driver.require_os(DRIVE_DESCRIPTORS)?;
    let key = core.reserve_slot()?;
    let pipe = match register(driver, key) {
        Ok(pipe) => pipe,
        Err(error) => {
            core.free_slot(key);
            return Err(Error::io("the descriptor cannot be used as a transport", error));
        }
    };
    let Some(protocol) = protocol.take() else { return Err(Error::bare(Kind::Closed)) };
    let direction = pipe.direction();
    // The system forgets the address of a peer that resets the connection.
    let peer = pipe.peer_address();
    let socket = Socket::from(pipe);
    let stream = Stream::new(core, key, socket, protocol, options, None, peer);
    stream.become_pipe(direction);
    core.fill_slot(key, Entry::Stream(Rc::clone(&stream)));
    Ok(stream)
}

/// The loop, as its pipes know it.
fn host(core: &Rc<Core>) -> Weak<dyn PipeHost> {
    let host: Weak<Core> = Rc::downgrade(core);
    host
}

/// An open end of a pipe.
pub(crate) struct Pipe {
    pub(super) fd: OwnedFd,
    /// Held open, so that the pipe does not end when the others leave.
    pub(super) other_end: Option<OwnedFd>,
    is_new: bool,
}

impl Pipe {
    /// An end of a pipe that was just made, which nobody else has: nothing need be asked about it,
    /// nor put back as it was.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd, other_end: None, is_new: true }
    }

    /// An end of a pipe whose other end is held open.
    pub(super) fn holding(fd: OwnedFd, other_end: Option<OwnedFd>) -> Self {
        Self { fd, other_end, is_new: false }
    }
}

impl Pipe {
    fn register(
        self,
        core: &Rc<Core>,
        driver: &OsDriver,
        direction: Direction,
        key: Key,
    ) -> io::Result<OsPipe> {
        let Self { fd, other_end, is_new } = self;
        let pipe = match is_new {
            true => OsPipe::register_new(driver, fd, direction, key),
            false => OsPipe::register(host(core), driver, fd, direction, key, &core.signals),
        };
        Ok(pipe?.holding(other_end))
    }
}

impl From<OwnedFd> for Pipe {
    fn from(fd: OwnedFd) -> Self {
        Self::holding(fd, None)
    }
}
