//! Hot restart: a server's successor takes its place without a client noticing.
//!
//! Over a Unix socket of theirs, the *control* socket, the running process passes the successor
//! descriptors of its listeners: the same listeners, so that clients that wait to be accepted go on
//! waiting. Only when the successor says that it serves does the predecessor stop accepting; until
//! then it can die and nothing has changed.
//!
//! ```text
//!  predecessor: giver.rs                     successor: take_over.rs
//!      │ ◀───────────── Request ──────────────── │   take_over()
//!      │ ── Hello, Listener*, Control, End ────▶ │   makes its servers
//!      │ ◀───────────── Serving ──────────────── │   serving()
//!      │   stops accepting                       │
//!      │ ── Connection*, Released ─────────────▶ │   serves them, and offers in its turn
//! ```
//!
//! `offer.rs` is the offer as the predecessor's user has it, `wire.rs` the format (the fuzz target `handover`
//! compiles that file), and `servers.rs` what both sides do to servers.

mod giver;
mod offer;
mod servers;
mod take_over;
mod wire;

use self::wire::{Frame, FrameDecoder};
use crate::error::Error;
use crate::transport::{Info, Transport};

pub use self::offer::Handover;
pub use self::take_over::Inherited;

/// How long either side may keep the other waiting.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// Whether the process at the other end runs as the same user, as far as the system tells.
fn is_own_user(info: &Info) -> bool {
    match info.peer_credentials() {
        Some(credentials) => credentials.uid == rustix::process::geteuid().as_raw(),
        // Elsewhere the permissions of the path decide.
        None => !cfg!(linux_kernel),
    }
}

fn send(transport: &dyn Transport, frame: &Frame) {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    transport.write(&bytes);
}

/// The next frame of what the other side has said; `None`: the rest is still to come, or the connection closes.
fn next_frame(
    decoder: &mut FrameDecoder,
    transport: &dyn Transport,
) -> Result<Option<Frame>, Error> {
    if transport.is_closing() {
        return Ok(None);
    }
    decoder.next_frame().map_err(Error::protocol_violation)
}

fn unexpected(frame: &Frame) -> Error {
    Error::protocol_violation(format!("this was not to be said now: {frame:?}"))
}

#[cfg(test)]
mod tests;
