//! How many descriptors there may be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows as many as the system lets this process have.
///
/// What is usual, 1024, is for programs that use `select`. A coordinator needs one for each peer, and those that have not
/// said yet who they are may have 512 of them, and visitors of a dashboard 256.
pub(super) fn allow_most() {
    let limit = getrlimit(Resource::Nofile);
    // Where the system has a limit of its own on top of that, it stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
