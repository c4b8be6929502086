//! Sockets that the process was started with.

use std::fmt;
use std::os::fd::{OwnedFd, RawFd};

use listenfd::ListenFd;
use socket2::SockRef;

use crate::address::Address;
use crate::driver::shared_listeners::note_shared;
use crate::error::Error;

/// What a socket is called when the service manager gives no names, as by `sd_listen_fds_with_names`.
const UNNAMED: &str = "unknown";

/// The sockets that the process was given by its service manager: systemd's socket activation.
///
/// The environment describes them: `LISTEN_FDS` (how many), `LISTEN_PID` (whose they are) and
/// `LISTEN_FDNAMES` (what they are called: `FileDescriptorName=` of the socket unit, or its own name).
/// Empty when there are none, or they are another process's. Each has one owner, so a second call gives
/// none. Children of this process do not get them.
///
/// **It changes the environment**, taking `LISTEN_FDS` and `LISTEN_PID` out of it, since the process's
/// children would take the sockets for theirs. (`LISTEN_FDNAMES` stays, and means nothing without
/// them.) No other thread may look at the environment meanwhile, so it belongs at the beginning of
/// `main`, before anything else is started.
///
/// ```
/// use wharf::{EventLoop, Protocol, Result, Transport, inherited_sockets};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
/// #         transport.write(data);
/// #         Ok(())
/// #     }
/// # }
///
/// fn main() -> Result {
///     let mut sockets = inherited_sockets()?;
///     let event_loop = EventLoop::new()?;
///     event_loop.run(async |event_loop| {
///         // `FileDescriptorName=web`; without a service manager, an address of its own.
///         let listeners = sockets.take_listeners("web");
///         let server = if listeners.is_empty() {
///             event_loop.create_server(|| Echo, "127.0.0.1:0").await?
///         } else {
///             event_loop.create_server_on(|| Echo, listeners).await?
///         };
///         println!("serving on {:?}", server.addresses());
///         Ok(())
///     })
/// }
/// ```
///
/// # Errors
/// [`is_invalid`](Error::is_invalid) when there are more names than descriptors, or fewer, or more
/// descriptors than any process has; they stay open then, as nobody's.
#[doc(alias("systemd", "LISTEN_FDS", "sd_listen_fds", "socket_activation"))]
pub fn inherited_sockets() -> Result<InheritedSockets, Error> {
    let variable = |name| std::env::var(name).ok();
    check_count(
        variable("LISTEN_PID").as_deref(),
        variable("LISTEN_FDS").as_deref(),
        variable("LISTEN_FDS_FIRST_FD").as_deref(),
    )?;
    let names = std::env::var_os("LISTEN_FDNAMES");
    let mut passed = ListenFd::from_env();
    let names = names_of(names.as_ref().map(|names| names.to_string_lossy()), passed.len())?;
    let mut inherited = InheritedSockets::default();
    for (position, name) in names.into_iter().enumerate() {
        if let Some(descriptor) = take(&mut passed, position) {
            inherited.sockets.push(InheritedSocket::new(name, descriptor));
        } else if let Ok(Some(number)) = passed.take_raw_fd(position) {
            inherited.others.push((name, number));
        }
    }
    Ok(inherited)
}

/// The listening sockets that the process was given by its service manager, in order, for a program
/// that takes nothing else.
///
/// As [`inherited_sockets`], which is for several kinds and names. To be passed to
/// [`EventLoop::create_server_on`](crate::EventLoop::create_server_on).
///
/// ```no_run
/// use wharf::{EventLoop, Protocol, Result, Transport, inherited_listeners};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result { Ok(()) }
/// # }
///
/// fn main() -> Result {
///     EventLoop::new()?.run(async |event_loop| {
///         let server = event_loop.create_server_on(|| Echo, inherited_listeners()?).await?;
///         server.serve_forever().await?;
///         Ok(())
///     })
/// }
/// ```
///
/// # Errors
/// As [`inherited_sockets`]; [`is_invalid`](Error::is_invalid) when there is anything but listening
/// stream sockets, all of which are closed then.
#[doc(alias("systemd", "LISTEN_FDS", "sd_listen_fds", "socket_activation"))]
pub fn inherited_listeners() -> Result<Vec<OwnedFd>, Error> {
    let inherited = inherited_sockets()?;
    let other = inherited.others.first().map(|(name, _)| name);
    let unexpected = |socket: &&InheritedSocket| socket.kind != InheritedKind::Listener;
    let other = other.or(inherited.sockets.iter().find(unexpected).map(|socket| &socket.name));
    if let Some(name) = other {
        let text = format!("the inherited descriptor `{name}` is no listening stream socket");
        return Err(Error::invalid(text));
    }
    Ok(inherited.sockets.into_iter().map(OwnedFd::from).collect())
}

/// What a service manager has passed: what [`inherited_sockets`] gives.
///
/// Each socket is taken out by its name and kind. Sockets that are left are closed with this.
///
/// Sockets that systemd passes, or addresses where it does not:
///
/// ```no_run
/// use wharf::{EventLoop, Result, Server, inherited_sockets};
/// # struct Echo;
/// # impl wharf::Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> Result { Ok(()) }
/// # }
///
/// async fn begin(event_loop: EventLoop) -> Result<Server> {
///     let mut sockets = inherited_sockets()?;
///     let listeners = sockets.take_listeners("echo");
///     if listeners.is_empty() {
///         return Ok(event_loop.create_server(|| Echo, "127.0.0.1:7000").await?);
///     }
///     Ok(event_loop.create_server_on(|| Echo, listeners).await?)
/// }
/// # let _ = begin;
/// ```
#[derive(Default)]
pub struct InheritedSockets {
    sockets: Vec<InheritedSocket>,
    others: Vec<(String, RawFd)>,
}

impl InheritedSockets {
    /// The sockets that were not taken yet, in the service manager's order.
    pub fn sockets(&self) -> &[InheritedSocket] {
        &self.sockets
    }

    /// The descriptors that are no TCP, UDP or Unix sockets, with their names: FIFOs, files, sockets of
    /// other families. They are left alone: they stay open under these numbers, in children too, and
    /// are there to be opened (`/proc/self/fd/5`) or to be taken by other means.
    pub fn others(&self) -> &[(String, RawFd)] {
        &self.others
    }

    /// Takes the listening stream sockets of this name, TCP and Unix, for
    /// [`create_server_on`](crate::EventLoop::create_server_on): there are several where a unit
    /// listens on several addresses, and none for a name that is not there.
    pub fn take_listeners(&mut self, name: &str) -> Vec<OwnedFd> {
        self.take(name, InheritedKind::Listener)
    }

    /// Takes the datagram sockets of this name, UDP and Unix, for
    /// [`DatagramEndpointBuilder::socket`](crate::DatagramEndpointBuilder::socket).
    pub fn take_datagram_sockets(&mut self, name: &str) -> Vec<OwnedFd> {
        self.take(name, InheritedKind::Datagram)
    }

    /// Takes the connected stream sockets of this name, for
    /// [`connect_accepted_socket`](crate::EventLoop::connect_accepted_socket). systemd passes one, called
    /// `connection`, to a service of a unit with `Accept=yes`.
    pub fn take_connections(&mut self, name: &str) -> Vec<OwnedFd> {
        self.take(name, InheritedKind::Connection)
    }

    fn take(&mut self, name: &str, kind: InheritedKind) -> Vec<OwnedFd> {
        let wanted = |socket: &mut InheritedSocket| socket.name == name && socket.kind == kind;
        self.sockets.extract_if(.., wanted).map(OwnedFd::from).collect()
    }
}

impl IntoIterator for InheritedSockets {
    type Item = InheritedSocket;
    type IntoIter = std::vec::IntoIter<InheritedSocket>;

    /// All sockets that were not taken yet, in order.
    fn into_iter(self) -> Self::IntoIter {
        self.sockets.into_iter()
    }
}

impl fmt::Debug for InheritedSockets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InheritedSockets")
            .field("sockets", &self.sockets)
            .field("others", &self.others)
            .finish()
    }
}

/// A socket that a service manager has passed.
///
/// ```no_run
/// use wharf::{InheritedKind, Result, inherited_sockets};
///
/// fn main() -> Result {
///     let sockets = inherited_sockets()?;
///     for socket in sockets.sockets() {
///         println!("{}: {:?} at {:?}", socket.name(), socket.kind(), socket.local_address());
///     }
///     // Or whatever their names are:
///     let (listeners, others): (Vec<_>, Vec<_>) =
///         sockets.into_iter().partition(|socket| socket.kind() == InheritedKind::Listener);
///     println!("{} listen, {} do not", listeners.len(), others.len());
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct InheritedSocket {
    name: String,
    kind: InheritedKind,
    descriptor: OwnedFd,
}

/// What an [`InheritedSocket`] is.
///
/// See [`InheritedSocket`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InheritedKind {
    /// A TCP or Unix stream socket that is not connected: it listens.
    Listener,
    /// A UDP or Unix datagram socket.
    Datagram,
    /// A TCP or Unix stream socket that is connected.
    Connection,
}

impl InheritedSocket {
    fn new(name: String, descriptor: OwnedFd) -> Self {
        let socket = SockRef::from(&descriptor);
        let kind = if socket.r#type().is_ok_and(|kind| kind == socket2::Type::DGRAM) {
            InheritedKind::Datagram
        } else if socket.peer_addr().is_ok() {
            InheritedKind::Connection
        } else {
            // The service manager listens there itself when this process is gone.
            note_shared(&descriptor);
            InheritedKind::Listener
        };
        Self { name, kind, descriptor }
    }

    /// Its name, which several can share: `FileDescriptorName=`, by default that of the socket unit;
    /// `unknown` where the service manager gives none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn kind(&self) -> InheritedKind {
        self.kind
    }

    /// The address that it is bound to.
    pub fn local_address(&self) -> Option<Address> {
        Address::from_socket2(&SockRef::from(&self.descriptor).local_addr().ok()?)
    }
}

impl From<InheritedSocket> for OwnedFd {
    fn from(socket: InheritedSocket) -> Self {
        socket.descriptor
    }
}

/// The names of `count` descriptors, as `LISTEN_FDNAMES` has them.
fn names_of(text: Option<impl AsRef<str>>, count: usize) -> Result<Vec<String>, Error> {
    let Some(text) = text.filter(|_| count > 0) else {
        return Ok(vec![UNNAMED.to_owned(); count]);
    };
    let names: Vec<String> = text.as_ref().split(':').map(str::to_owned).collect();
    if names.len() != count {
        let text = format!("LISTEN_FDNAMES has {} names for {count} descriptors", names.len());
        return Err(Error::invalid(text));
    }
    Ok(names)
}

/// The socket at this position; `None`: it is something else, and stays where it is.
/// Refuses a count of descriptors that cannot be, before there is a list as long. One that is meant for another
/// process is none of our business.
fn check_count(owner: Option<&str>, count: Option<&str>, first: Option<&str>) -> Result<(), Error> {
    /// Linux's own limit of a process, unless it is raised.
    const MOST: i32 = 1 << 20;
    let number = |text: Option<&str>| text?.parse::<i32>().ok();
    let is_ours = match owner {
        None | Some("") => true,
        Some(owner) => owner.parse() == Ok(std::process::id()),
    };
    let (count, first) = (number(count).unwrap_or(0), number(first).unwrap_or(3));
    if is_ours && (count > MOST || first.checked_add(count.max(0)).is_none()) {
        return Err(Error::invalid(format!("LISTEN_FDS is {count}, more than a process can have")));
    }
    Ok(())
}

fn take(passed: &mut ListenFd, position: usize) -> Option<OwnedFd> {
    // Each looks at the descriptor first, and leaves what it is not for alone. Whether a stream socket
    // listens they do not ask.
    if let Ok(Some(socket)) = passed.take_tcp_listener(position) {
        return Some(socket.into());
    }
    if let Ok(Some(socket)) = passed.take_unix_listener(position) {
        return Some(socket.into());
    }
    if let Ok(Some(socket)) = passed.take_udp_socket(position) {
        return Some(socket.into());
    }
    passed.take_unix_datagram(position).ok().flatten().map(OwnedFd::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_environment_or_unknown() {
        assert_eq!(names_of(Some("web:dns"), 2).unwrap(), ["web", "dns"]);
        assert_eq!(names_of(Some("web"), 1).unwrap(), ["web"]);
        assert_eq!(names_of(Some("a::"), 3).unwrap(), ["a", "", ""]);
        assert_eq!(names_of(None::<&str>, 2).unwrap(), ["unknown", "unknown"]);
    }

    #[test]
    fn counts_that_cannot_be_are_refused_unless_they_are_anothers() {
        let own = std::process::id().to_string();
        for owner in [None, Some(""), Some(&*own)] {
            for count in [None, Some("3"), Some("0"), Some("-1"), Some("many")] {
                assert!(check_count(owner, count, None).is_ok(), "{count:?}");
            }
            assert!(check_count(owner, Some("2147483647"), None).unwrap_err().is_invalid());
            assert!(check_count(owner, Some("3"), Some("2147483646")).unwrap_err().is_invalid());
        }
        assert!(check_count(Some("1"), Some("2147483647"), None).is_ok());
    }

    #[test]
    fn names_without_descriptors_mean_nothing_and_too_many_or_few_are_an_error() {
        assert!(names_of(Some("web:dns"), 0).unwrap().is_empty());
        for (names, count) in [("web", 2), ("web:dns", 1), ("", 2)] {
            assert!(names_of(Some(names), count).unwrap_err().is_invalid());
        }
    }
}
