//! What can be set on a stream's socket.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::error::Error;

/// When and how the operating system probes a silent TCP connection.
///
/// A field that is `None` is left to the system's default. Times are rounded up to whole seconds; zero is
/// refused with [`is_invalid`](Error::is_invalid).
///
/// ```
/// use std::time::Duration;
/// use wharf::Keepalive;
///
/// let keepalive = Keepalive::new().time(Duration::from_secs(60)).retries(3);
/// assert_eq!((keepalive.interval, keepalive.retries), (None, Some(3)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// Silence before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Unanswered probes after which the connection is dead.
    pub retries: Option<u32>,
}

/// How a connection is probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probing {
    pub(crate) time: Duration,
    pub(crate) interval: Duration,
    pub(crate) retries: u32,
}

/// The largest buffer that the system can be asked for: it takes an `int`, and doubles it.
pub(crate) const MOST_BUFFER: usize = i32::MAX as usize / 2;

/// Options of a socket; what is `None` is left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketOptions {
    pub(crate) nodelay: bool,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) send_buffer_size: Option<usize>,
    pub(crate) receive_buffer_size: Option<usize>,
    /// Closing the socket resets the connection.
    pub(crate) reset_on_close: bool,
    pub(crate) ttl: Option<u32>,
    pub(crate) tos: Option<u32>,
}

impl SocketOptions {
    /// Refuses times of zero.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Some(keepalive) = &self.keepalive else { return Ok(()) };
        Error::refuse_zero("the keepalive time", keepalive.time)?;
        Error::refuse_zero("the keepalive interval", keepalive.interval)
    }

    pub(crate) fn apply(&self, socket: &impl AsFd) -> io::Result<()> {
        let socket = SockRef::from(socket);
        self.apply_to(&socket, socket.local_addr()?.domain())
    }

    fn apply_to(&self, socket: &Socket, domain: Domain) -> io::Result<()> {
        if let Some(size) = self.send_buffer_size {
            socket.set_send_buffer_size(size.min(MOST_BUFFER))?;
        }
        if let Some(size) = self.receive_buffer_size {
            socket.set_recv_buffer_size(size.min(MOST_BUFFER))?;
        }
        if self.reset_on_close {
            socket.set_linger(Some(Duration::ZERO))?;
        }
        if domain == Domain::UNIX {
            return Ok(());
        }
        // A socket from elsewhere may have it.
        socket.set_tcp_nodelay(self.nodelay)?;
        if let Some(keepalive) = &self.keepalive {
            socket.set_tcp_keepalive(&keepalive.to_socket2())?;
        }
        if let Some(ttl) = self.ttl {
            match domain {
                Domain::IPV6 => socket.set_unicast_hops_v6(ttl)?,
                _ => socket.set_ttl_v4(ttl)?,
            }
        }
        if let Some(tos) = self.tos {
            match domain {
                Domain::IPV6 => socket.set_tclass_v6(tos)?,
                _ => socket.set_tos_v4(tos)?,
            }
        }
        Ok(())
    }

    /// Whether a TCP socket has all of them: what [`apply`](Self::apply) would change nothing on.
    pub(crate) fn are_set_on(&self, socket: &impl AsFd) -> io::Result<bool> {
        let socket = SockRef::from(socket);
        let domain = socket.local_addr()?.domain();
        // The system rounds and bounds what is set: so does it here.
        let other = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        self.apply_to(&SockRef::from(&other), domain)?;
        let all = [&socket, &SockRef::from(&other)].map(|socket| self.read(socket, domain));
        let [are, would_be] = all;
        Ok(are? == would_be?)
    }

    /// The options that are not left alone, as a TCP socket has them.
    fn read(&self, socket: &Socket, domain: Domain) -> io::Result<Self> {
        let is_v6 = domain == Domain::IPV6;
        let keepalive = |set: &Keepalive| {
            Ok::<_, io::Error>(Keepalive {
                time: set.time.map(|_| socket.tcp_keepalive_time()).transpose()?,
                interval: set.interval.map(|_| socket.tcp_keepalive_interval()).transpose()?,
                retries: set.retries.map(|_| socket.tcp_keepalive_retries()).transpose()?,
            })
        };
        Ok(Self {
            nodelay: socket.tcp_nodelay()?,
            keepalive: match &self.keepalive {
                Some(set) if socket.keepalive()? => Some(keepalive(set)?),
                _ => None,
            },
            send_buffer_size: self
                .send_buffer_size
                .map(|_| socket.send_buffer_size())
                .transpose()?,
            receive_buffer_size: self
                .receive_buffer_size
                .map(|_| socket.recv_buffer_size())
                .transpose()?,
            reset_on_close: self.reset_on_close && socket.linger()? == Some(Duration::ZERO),
            ttl: match self.ttl {
                Some(_) if is_v6 => Some(socket.unicast_hops_v6()?),
                Some(_) => Some(socket.ttl_v4()?),
                None => None,
            },
            tos: match self.tos {
                Some(_) if is_v6 => Some(socket.tclass_v6()?),
                Some(_) => Some(socket.tos_v4()?),
                None => None,
            },
        })
    }

    /// Whether there is nothing to set on a Unix socket.
    pub(crate) fn are_none_for_unix(&self) -> bool {
        let sizes = (self.send_buffer_size, self.receive_buffer_size);
        sizes == (None, None) && !self.reset_on_close
    }
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            keepalive: None,
            send_buffer_size: None,
            receive_buffer_size: None,
            reset_on_close: false,
            ttl: None,
            tos: None,
        }
    }
}

impl Keepalive {
    /// Probes as the system's defaults have it.
    pub const fn new() -> Self {
        Self { time: None, interval: None, retries: None }
    }

    /// Sets the silence before the first probe.
    #[must_use]
    pub const fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }

    /// Sets the time between probes.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Sets after how many unanswered probes the connection is dead.
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// What the system makes of it (Linux).
    pub(crate) fn probing(&self) -> Probing {
        let seconds = |set: Option<Duration>, otherwise: u64| {
            whole_seconds(set.unwrap_or(Duration::from_secs(otherwise)))
        };
        Probing {
            time: seconds(self.time, 7200),
            interval: seconds(self.interval, 75),
            retries: self.retries.unwrap_or(9).max(1),
        }
    }

    fn to_socket2(self) -> TcpKeepalive {
        let mut keepalive = TcpKeepalive::new();
        if let Some(time) = self.time {
            keepalive = keepalive.with_time(whole_seconds(time));
        }
        if let Some(interval) = self.interval {
            keepalive = keepalive.with_interval(whole_seconds(interval));
        }
        #[cfg(not(any(target_os = "openbsd", target_os = "haiku", target_os = "redox")))]
        if let Some(retries) = self.retries {
            keepalive = keepalive.with_retries(retries);
        }
        keepalive
    }
}

/// What the system knows are seconds, of which it wants at least one.
fn whole_seconds(duration: Duration) -> Duration {
    let rest = u64::from(duration.subsec_nanos() > 0);
    Duration::from_secs(duration.as_secs().saturating_add(rest).max(1))
}
