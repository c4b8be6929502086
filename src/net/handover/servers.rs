//! What a handover does to servers.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::wire::MOST_NAME;
use crate::driver::unix_path::BoundPath;
use crate::error::{Error, Kind};
use crate::event_loop::{Core, EventLoop};
use crate::net::{DRIVE_SOCKETS, Server};

/// The most listeners that one handover passes.
const MOST_LISTENERS: usize = 512;

/// Servers under the names that predecessor and successor know them by.
#[derive(Clone, Default)]
pub(super) struct Servers(Vec<(String, Server)>);

impl Servers {
    /// # Errors
    /// A name that is empty, too long or given twice; servers of another loop; a loop in memory.
    pub(super) fn checked<'a>(
        core: &Rc<Core>,
        servers: impl IntoIterator<Item = (&'a str, &'a Server)>,
    ) -> Result<Self, Error> {
        core.driver.require_os("hand anything over")?;
        let servers: Vec<_> =
            servers.into_iter().map(|(name, server)| (name.to_owned(), server.clone())).collect();
        let mut names = BTreeSet::new();
        for (name, server) in &servers {
            if name.is_empty() || name.len() > MOST_NAME {
                let text = format!("the name of a server has 1 to {MOST_NAME} bytes: `{name}`");
                return Err(Error::invalid(text));
            }
            if !names.insert(name) {
                return Err(Error::invalid(format!("two servers have the name `{name}`")));
            }
            if !Rc::ptr_eq(&server.core, core) {
                return Err(Error::invalid(format!("`{name}` is a server of another loop")));
            }
        }
        let listeners: usize = servers.iter().map(|(_, server)| server.addresses().len()).sum();
        if listeners > MOST_LISTENERS {
            let text = format!("{listeners} listeners are more than {MOST_LISTENERS}");
            return Err(Error::invalid(text));
        }
        Ok(Self(servers))
    }

    pub(super) fn are_open(&self) -> bool {
        self.0.iter().all(|(_, server)| !server.is_closed())
    }

    /// A descriptor of every listener, the server's name, and whether its path is to be removed.
    pub(super) fn listeners(&self) -> Result<Vec<(String, bool, OwnedFd)>, Error> {
        let mut all = Vec::new();
        for (name, server) in &self.0 {
            for (descriptor, removes_path) in server.duplicates()? {
                all.push((name.clone(), removes_path, descriptor));
            }
        }
        Ok(all)
    }

    /// Stops listening, without a trace: somebody else goes on. The connections on which nothing
    /// has happened yet are given away; the others stay.
    pub(super) fn release(&self) -> Vec<(String, OwnedFd)> {
        let mut connections = Vec::new();
        for (name, server) in &self.0 {
            for stream in server.clients() {
                match stream.hand_over(&server.core) {
                    Some(Ok(socket)) => connections.push((name.clone(), socket)),
                    // Out of descriptors: it stays, and so do the rest.
                    Some(Err(_)) => break,
                    None => {}
                }
            }
        }
        for (_, server) in &self.0 {
            server.release();
        }
        connections
    }

    /// Serves a connection that the predecessor accepted. If the server is gone, so is its chance.
    pub(super) fn adopt(&self, name: &str, socket: OwnedFd) {
        let Some((_, server)) = self.0.iter().find(|(own, _)| own == name) else { return };
        let server = server.clone();
        let event_loop = EventLoop::from_core(Rc::clone(&server.core));
        // Later, since this is called inside a callback, and makes another protocol.
        event_loop.call_soon(move || server.adopt(socket));
    }

    /// Makes those that listen at paths remove them at their end.
    pub(super) fn own_paths(&self, names: &BTreeSet<String>) {
        for (_, server) in self.0.iter().filter(|(name, _)| names.contains(name)) {
            server.own_path();
        }
    }
}

impl Server {
    fn duplicates(&self) -> Result<Vec<(OwnedFd, bool)>, Error> {
        let paths = self.shared.paths.take();
        let removes_path = !paths.is_empty();
        self.shared.paths.set(paths);
        let all = self.duplicate_listeners()?;
        Ok(all.into_iter().map(|descriptor| (descriptor, removes_path)).collect())
    }

    /// Another descriptor of its listener.
    pub(super) fn only_listener(&self) -> Result<OwnedFd, Error> {
        let mut all = self.duplicates()?;
        let closed = || Error::new(Kind::Closed, "the control socket is closed");
        all.pop().map(|(descriptor, _)| descriptor).ok_or_else(closed)
    }

    /// As [`close`](Self::close), but the path of a Unix server stays.
    pub(super) fn release(&self) {
        self.shared.paths.take().into_iter().for_each(BoundPath::give_away);
        self.close();
    }

    pub(super) fn own_path(&self) {
        let addresses = self.addresses();
        let paths = addresses.iter().filter_map(|address| address.as_unix_path());
        let own = paths.filter_map(BoundPath::note).collect();
        // Those that are there are the same, and must not be removed now.
        self.shared.paths.replace(own).into_iter().for_each(BoundPath::give_away);
    }

    fn adopt(&self, socket: OwnedFd) {
        if self.is_closed() {
            return;
        }
        let driver = self.core.driver.require_os(DRIVE_SOCKETS);
        let adopted = driver.and_then(|driver| {
            let socket = driver.adopt_stream(socket)?;
            let peer = socket.peer_address();
            self.shared.begin(&self.core, socket, peer, false)
        });
        if let Err(error) = adopted {
            self.shared.accept_failed(&self.core, error);
        }
    }
}
