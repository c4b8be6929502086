//! Binding what a server listens on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::address::UnixAddress;
use super::targets::Targets;
use super::unix_path::{BoundPath, is_shared, remove_stale};
use crate::driver::{Driver, Listener, os};
use crate::error::{Error, Kind};
use crate::event_loop::Core;
use crate::transport::SocketOptions;

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
    pub(super) listeners: Vec<Listener>,
    pub(super) paths: Vec<BoundPath>,
}

/// Binds everything, or nothing.
pub(super) async fn bind(
    core: &Rc<Core>,
    on: On,
    listen: &os::ListenOptions,
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
            // In memory a path is a name, and no file.
            let is_file = matches!(core.driver, Driver::Os(_));
            if is_file {
                remove_stale(&path);
            }
            let listener = bind_unix(core, &path, listen, options)
                .map_err(|error| bind_failed(&UnixAddress::from_path(&path).to_string(), error))?;
            let removes_path = is_file && cleanup_socket.unwrap_or(true);
            let path = removes_path.then(|| BoundPath::note(&path)).flatten();
            Ok(Bound { listeners: vec![listener], paths: path.into_iter().collect() })
        }
        On::Listeners(listeners) => {
            if let Driver::Memory(_) = core.driver {
                let text = "a loop in memory cannot drive the operating system's sockets";
                return Err(Error::new(Kind::Unsupported, text));
            }
            let adopt = |error| Error::io("the socket cannot be listened on", error);
            let adopted: io::Result<Vec<_>> =
                listeners.into_iter().map(os::OsListener::adopt).collect();
            let adopted = adopted.map_err(adopt)?;
            let paths = adopted.iter().filter_map(|listener| path_of(listener, cleanup_socket));
            let paths = paths.collect();
            Ok(Bound { listeners: adopted.into_iter().map(Listener::Os).collect(), paths })
        }
    }
}

/// The path that is to be removed with a listener that was bound elsewhere. Unless that was asked for,
/// none that another process listens at, too.
fn path_of(listener: &os::OsListener, cleanup_socket: Option<bool>) -> Option<BoundPath> {
    let address = listener.local_address()?;
    let path = address.as_unix_path()?;
    let removes_path = cleanup_socket.unwrap_or_else(|| !is_shared(listener.fd()));
    removes_path.then(|| BoundPath::of_listener(listener.fd(), path)).flatten()
}

/// One listener for each address. Port 0 is one free port for all of them where there is one.
fn bind_addresses(
    core: &Rc<Core>,
    addresses: &[SocketAddr],
    listen: &os::ListenOptions,
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
    listen: &os::ListenOptions,
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
    listen: &os::ListenOptions,
    options: &SocketOptions,
) -> io::Result<Listener> {
    match &core.driver {
        Driver::Os(_) => {
            let open = || os::listen(address, listen, options).map(Listener::Os);
            core.open_descriptor(open)
        }
        Driver::Memory(driver) => {
            driver.network().listen(address, listen.backlog).map(Listener::Memory)
        }
    }
}

fn bind_unix(
    core: &Rc<Core>,
    path: &Path,
    listen: &os::ListenOptions,
    options: &SocketOptions,
) -> io::Result<Listener> {
    match &core.driver {
        Driver::Os(_) => {
            let open = || os::listen_unix(path, listen, options).map(Listener::Os);
            core.open_descriptor(open)
        }
        Driver::Memory(driver) => {
            driver.network().listen_unix(path, listen.backlog).map(Listener::Memory)
        }
    }
}

fn bind_failed(address: &str, error: io::Error) -> Error {
    Error::io(format!("could not listen on {address}"), error)
}
