//! Binding what a server listens on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::DRIVE_SOCKETS;
use super::targets::Targets;
use crate::address::UnixAddress;
use crate::driver::shared_listeners::is_shared;
use crate::driver::unix_path::{BoundPath, PathClaim};
use crate::driver::{ListenOptions, Listener, SocketOptions};
use crate::error::Error;
use crate::event_loop::Core;

/// How often one port is looked for that is free on every address.
const PORT_TRIES: usize = 16;

/// What to listen on.
pub(super) enum On {
    Targets(Targets),
    Unix(PathBuf),
    Listeners(Vec<OwnedFd>),
}

/// Listeners, and the paths that are to be removed with them.
pub(super) struct Bound {
    // Dropped first.
    pub(super) paths: Vec<BoundPath>,
    pub(super) listeners: Vec<Listener>,
}

/// Binds everything, or nothing.
pub(super) async fn bind(
    core: &Rc<Core>,
    on: On,
    listen: &ListenOptions,
    options: &SocketOptions,
    cleanup_socket: Option<bool>,
) -> Result<Bound, Error> {
    match on {
        On::Targets(targets) => {
            let addresses = targets.resolve(core, true).await?;
            let listeners = bind_addresses(core, &addresses, listen, options)?;
            Ok(Bound { listeners, paths: Vec::new() })
        }
        On::Unix(path) => {
            if path.as_os_str().is_empty() {
                let text = "a Unix server needs a path or an abstract name, and this is empty";
                return Err(Error::invalid(text));
            }
            let is_file = core.driver.has_socket_files();
            let claim = is_file.then(|| PathClaim::new(&path));
            if let Some(claim) = &claim {
                claim.remove_stale(&path);
            }
            let listener = bind_unix(core, &path, listen, options)
                .map_err(|error| bind_failed(&UnixAddress::from_path(&path).to_string(), error))?;
            drop(claim);
            let removes_path = is_file && cleanup_socket.unwrap_or(true);
            let path = removes_path.then(|| BoundPath::note(&path)).flatten();
            Ok(Bound { listeners: vec![listener], paths: path.into_iter().collect() })
        }
        On::Listeners(listeners) => {
            let driver = core.driver.require_os(DRIVE_SOCKETS)?;
            let adopt = |error| Error::io("the socket cannot be listened on", error);
            let listeners = listeners.into_iter().map(|listener| driver.adopt_listener(listener));
            let listeners = listeners.collect::<io::Result<Vec<_>>>().map_err(adopt)?;
            let paths = listeners.iter().filter_map(|listener| path_of(listener, cleanup_socket));
            let paths = paths.collect();
            Ok(Bound { listeners, paths })
        }
    }
}

/// The path that is to be removed with a listener that was bound elsewhere. If another process listens
/// at it, too, that must have been asked for.
fn path_of(listener: &Listener, cleanup_socket: Option<bool>) -> Option<BoundPath> {
    let address = listener.local_address()?;
    let path = address.as_unix_path()?;
    let fd = listener.fd()?;
    let removes_path = cleanup_socket.unwrap_or_else(|| !is_shared(fd));
    removes_path.then(|| BoundPath::of_listener(fd, path)).flatten()
}

/// One listener for each address. Port 0 is one free port for all of them where there is one.
fn bind_addresses(
    core: &Rc<Core>,
    addresses: &[SocketAddr],
    listen: &ListenOptions,
    options: &SocketOptions,
) -> Result<Vec<Listener>, Error> {
    let any_port = addresses.iter().filter(|address| address.port() == 0).count();
    for _ in 0..if any_port > 1 { PORT_TRIES } else { 1 } {
        match bind_once(core, addresses, listen, options, any_port > 1) {
            Err(error) if any_port > 1 && error.io_kind() == Some(io::ErrorKind::AddrInUse) => {}
            outcome => return outcome,
        }
    }
    bind_once(core, addresses, listen, options, false)
}

fn bind_once(
    core: &Rc<Core>,
    addresses: &[SocketAddr],
    listen: &ListenOptions,
    options: &SocketOptions,
    same_port: bool,
) -> Result<Vec<Listener>, Error> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut unavailable = None;
    let mut port = 0;
    for address in addresses {
        let mut address = *address;
        let any_port = address.port() == 0;
        if same_port && any_port {
            address.set_port(port);
        }
        match bind_one(core, address, listen, options) {
            Ok(listener) => {
                if any_port {
                    port = listener.local_address().and_then(|local| local.port()).unwrap_or(0);
                }
                listeners.push(listener);
            }
            // A family or an address that this machine does not have is left out.
            Err(error)
                if error.kind() == io::ErrorKind::AddrNotAvailable
                    || error.raw_os_error()
                        == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) =>
            {
                unavailable = Some((address, error));
            }
            Err(error) => return Err(bind_failed(&address.to_string(), error)),
        }
    }
    match unavailable {
        Some((address, error)) if listeners.is_empty() => {
            Err(bind_failed(&address.to_string(), error))
        }
        _ => Ok(listeners),
    }
}

fn bind_one(
    core: &Rc<Core>,
    address: SocketAddr,
    listen: &ListenOptions,
    options: &SocketOptions,
) -> io::Result<Listener> {
    core.open_descriptor(|| core.driver.listen(address, listen, options))
}

fn bind_unix(
    core: &Rc<Core>,
    path: &Path,
    listen: &ListenOptions,
    options: &SocketOptions,
) -> io::Result<Listener> {
    core.open_descriptor(|| core.driver.listen_unix(path, listen, options))
}

fn bind_failed(address: &str, error: io::Error) -> Error {
    Error::io(format!("could not listen on {address}"), error)
}
