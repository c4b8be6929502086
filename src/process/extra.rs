//! Descriptors of a child besides the standard three.

use std::os::fd::OwnedFd;
use std::process::Command;

use super::protocol::ChildFd;
use crate::error::Error;

/// The highest number a child can be asked to have: far below what systems allow by default.
const HIGHEST: i32 = 255;

pub(super) fn check(extra: &[(ChildFd, OwnedFd)]) -> Result<(), Error> {
    for (position, (fd, _)) in extra.iter().enumerate() {
        if !(3..=HIGHEST).contains(&fd.number()) {
            let text = format!("a further descriptor has a number from 3 to {HIGHEST}, not {fd}");
            return Err(Error::invalid(text));
        }
        if extra[..position].iter().any(|(other, _)| other == fd) {
            return Err(Error::invalid(format!("the child's descriptor {fd} was given twice")));
        }
    }
    Ok(())
}

/// Passes the descriptors to the child. The result has to be kept until the child is started.
#[cfg(feature = "extra-fds")]
pub(super) fn give(
    command: &mut Command,
    extra: Vec<(ChildFd, OwnedFd)>,
) -> Result<Vec<OwnedFd>, Error> {
    use command_fds::{CommandFdExt, FdMapping};
    let Some(highest) = extra.iter().map(|(fd, _)| fd.number()).max() else {
        return Ok(Vec::new());
    };
    let room = occupy(&extra[0].1, highest)
        .map_err(|error| Error::io("the child's descriptors could not be made", error))?;
    let mappings = extra
        .into_iter()
        .map(|(fd, given)| FdMapping { parent_fd: given, child_fd: fd.number() })
        .collect();
    // Refuses a number that is there twice, which was checked.
    command.fd_mappings(mappings).map_err(|error| Error::invalid(error.to_string()))?;
    Ok(room)
}

/// Takes all numbers up to `highest` that are free: the pipe by which the child tells that it could
/// not be run must not get one of them, on which the child's own would be put.
#[cfg(feature = "extra-fds")]
fn occupy(any: &OwnedFd, highest: i32) -> std::io::Result<Vec<OwnedFd>> {
    use std::os::fd::AsRawFd;
    let mut room = Vec::new();
    loop {
        let taken = rustix::io::fcntl_dupfd_cloexec(any, 3)?;
        if taken.as_raw_fd() > highest {
            return Ok(room);
        }
        room.push(taken);
    }
}

#[cfg(not(feature = "extra-fds"))]
pub(super) fn give(_: &mut Command, extra: Vec<(ChildFd, OwnedFd)>) -> Result<Vec<OwnedFd>, Error> {
    debug_assert!(extra.is_empty(), "nothing asks for any");
    Ok(Vec::new())
}
