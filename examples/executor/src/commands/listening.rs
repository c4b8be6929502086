//! Where a coordinator listens.

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use wharf::{EventLoop, InheritedKind, InheritedSockets, Result, Server, TlsServer};

use super::secrets::Demands;
use crate::access::{KEEPALIVE, Listen};
use crate::serve::CoordinatorServer;

#[derive(Debug, Args)]
pub(super) struct Listening {
    /// Where to listen: HOST:PORT, tls://HOST:PORT, tcp://HOST:PORT (without TLS), unix:/PATH or unix:@NAME, as often as you
    /// like. Sockets of systemd come instead
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    listen: Vec<Listen>,
    /// The mode of Unix sockets, which says who may connect
    #[arg(long, default_value = "600", value_parser = mode, value_name = "OCTAL")]
    unix_mode: u32,
    /// Other machines may do everything, without a token and without a certificate
    #[arg(long)]
    insecure: bool,
}

/// A server, and by which name a successor gets its sockets.
pub(super) struct Listener {
    pub(super) name: &'static str,
    pub(super) server: Server,
    /// The path of a Unix socket that this process or a predecessor has made.
    path: Option<PathBuf>,
}

impl Listener {
    /// Accepts nobody any more. The path goes as well, unless a successor listens there.
    pub(super) fn close(&self, has_successor: bool) {
        if let Some(path) = self.path.as_deref().filter(|_| !has_successor) {
            // While it listens nobody else has the path. If it cannot be removed the next one replaces it.
            let _ = fs::remove_file(path);
        }
        self.server.close();
    }
}

/// The names of sockets that are passed to the coordinator (`FileDescriptorName=`).
const TLS: &str = "tls";
const TCP: &str = "tcp";
const UNIX: &str = "unix";
/// A Unix socket whose path was made by this program, and is removed by it.
const OWN_UNIX: &str = "own-unix";

impl Listening {
    /// Listens. Sockets that the process was given come instead of the options.
    ///
    /// # Errors
    /// Other machines could connect and nothing is demanded of them; an address cannot be had; there is no certificate.
    pub(super) async fn start(
        &self,
        event_loop: &EventLoop,
        coordinator: &CoordinatorServer,
        demands: &Demands,
        tls: Option<&TlsServer>,
        inherited: InheritedSockets,
    ) -> Result<Vec<Listener>> {
        let has_token = !demands.tokens()?.is_empty();
        let is_safe = |listen: &Listen| {
            let asks = listen.is_tls(tls.is_some()) && demands.asks_for_certificates();
            self.insecure || has_token || asks || listen.is_local()
        };
        let check = |listen: &Listen| match is_safe(listen) {
            true => Ok(()),
            false => Err(format!(
                "other machines could connect to {listen} and do everything: give a --token-file or a \
                 --tls-client-ca, or say --insecure"
            )),
        };
        let inherited = passed(inherited)?;
        let mut listeners = Vec::new();
        if inherited.is_empty() {
            for listen in &self.listen {
                check(listen)?;
                listeners.push(self.listen(event_loop, coordinator, listen, tls).await?);
            }
            return Ok(listeners);
        }
        for (name, listen, descriptor) in inherited {
            check(&listen)?;
            let factory = coordinator.clone();
            let server = event_loop
                .create_server_on(move || factory.protocol(), [descriptor])
                .keepalive(KEEPALIVE);
            let server = match with_tls(name == TLS || listen.is_tls(tls.is_some()), tls)? {
                Some(tls) => server.tls(tls),
                None => server,
            };
            let path = match &listen {
                Listen::Unix(address) if name == OWN_UNIX => address.as_path().map(Path::to_owned),
                _ => None,
            };
            listeners.push(Listener { name, server: server.cleanup_socket(false).await?, path });
        }
        Ok(listeners)
    }

    async fn listen(
        &self,
        event_loop: &EventLoop,
        coordinator: &CoordinatorServer,
        listen: &Listen,
        tls: Option<&TlsServer>,
    ) -> Result<Listener> {
        let factory = coordinator.clone();
        let factory = move || factory.protocol();
        match listen {
            Listen::Tcp { address, .. } => {
                let server = event_loop.create_server(factory, &**address).keepalive(KEEPALIVE);
                let tls = with_tls(listen.is_tls(tls.is_some()), tls)?;
                let (name, server) = match tls {
                    Some(tls) => (TLS, server.tls(tls)),
                    None => (TCP, server),
                };
                Ok(Listener { name, server: server.await?, path: None })
            }
            Listen::Unix(address) => {
                // Nobody is served before the mode is right.
                let server = event_loop.create_unix_server(factory, address);
                let server = server.start_serving(false).cleanup_socket(false).await?;
                let path = address.as_path().map(Path::to_owned);
                if let Some(path) = &path {
                    fs::set_permissions(path, Permissions::from_mode(self.unix_mode))?;
                }
                server.start_serving()?;
                Ok(Listener { name: OWN_UNIX, server, path })
            }
        }
    }
}

/// The listeners that the process was given, and what they are.
fn passed(inherited: InheritedSockets) -> Result<Vec<(&'static str, Listen, OwnedFd)>> {
    let is_listener = |socket: &wharf::InheritedSocket| socket.kind() == InheritedKind::Listener;
    let mut all = Vec::new();
    for socket in inherited.into_iter().filter(is_listener) {
        let Some(address) = socket.local_address() else { continue };
        let (name, listen) = match address.as_unix() {
            Some(unix) if socket.name() == OWN_UNIX => (OWN_UNIX, Listen::Unix(unix.clone())),
            Some(unix) => (UNIX, Listen::Unix(unix.clone())),
            None => {
                // Of other names only whether there is a certificate says it.
                let (name, tls) = match socket.name() {
                    TLS => (TLS, Some(true)),
                    TCP => (TCP, Some(false)),
                    _ => (TCP, None),
                };
                (name, Listen::Tcp { address: address.to_string().into(), tls })
            }
        };
        all.push((name, listen, socket.into()));
    }
    Ok(all)
}

fn with_tls(wants: bool, tls: Option<&TlsServer>) -> Result<Option<&TlsServer>> {
    match (wants, tls) {
        (false, _) => Ok(None),
        (true, None) => Err("TLS needs --tls-cert and --tls-key".into()),
        (true, tls) => Ok(tls),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("a mode is an octal number up to 777".to_owned()),
    }
}
