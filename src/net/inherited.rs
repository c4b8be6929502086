//! Listeners that the process was started with.

use std::os::fd::OwnedFd;

use listenfd::ListenFd;

use crate::error::Error;

/// The listening sockets that the process was given by its service manager, in order.
///
/// systemd's socket activation: `LISTEN_FDS` and `LISTEN_PID`. To be passed to
/// [`EventLoop::create_server_on`](crate::EventLoop::create_server_on). Empty when there are none;
/// a second call gives none, since each socket has one owner. It takes the two variables out of the
/// environment, so it belongs at the beginning of a program, before other threads are started.
///
/// # Errors
/// A descriptor that is no listening stream socket.
pub fn inherited_listeners() -> Result<Vec<OwnedFd>, Error> {
    let mut inherited = ListenFd::from_env();
    let failed = |error| Error::io("an inherited descriptor is no listening stream socket", error);
    let mut listeners = Vec::with_capacity(inherited.len());
    for position in 0..inherited.len() {
        // Each call looks at the descriptor first, and leaves one of another family alone.
        if let Ok(Some(listener)) = inherited.take_tcp_listener(position) {
            listeners.push(listener.into());
        } else if let Some(listener) = inherited.take_unix_listener(position).map_err(failed)? {
            listeners.push(listener.into());
        }
    }
    Ok(listeners)
}
