//! What can be set on a connection's socket and on the connection itself.

use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::rate_limit::LimitOptions;
use crate::error::Error;
use crate::event_loop::Core;
use crate::protocol::TimeoutKind;

/// When and how the operating system probes a silent TCP connection.
///
/// A field that is `None` is left to the system's default. Times are rounded up to whole seconds, at
/// least one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub time: Option<Duration>,
    /// Time between probes.
    pub interval: Option<Duration>,
    /// Unanswered probes after which the connection is dead.
    pub retries: Option<u32>,
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

/// What a connection starts with; all can be changed later through its transport.
#[derive(Clone, Debug)]
pub(crate) struct StreamOptions {
    pub(crate) high_water: usize,
    pub(crate) low_water: usize,
    pub(crate) write_cap: Option<usize>,
    pub(crate) idle: Option<Duration>,
    pub(crate) linger: Option<Duration>,
    /// For closing as a whole.
    pub(crate) closing: Option<Duration>,
    pub(crate) write_stall: Option<Duration>,
    /// How many descriptors one read may bring; 0: none are received.
    pub(crate) descriptors: usize,
    /// Most have none.
    pub(crate) limits: Option<Box<LimitOptions>>,
}

/// asyncio's and most others' water marks.
pub(crate) const HIGH_WATER: usize = 64 * 1024;
pub(crate) const LOW_WATER: usize = 16 * 1024;

/// A server cannot know its clients: what it may owe each of them is bounded.
pub(crate) const SERVER_WRITE_CAP: usize = 16 * 1024 * 1024;

pub(crate) const LINGER: Duration = Duration::from_secs(30);

/// In force while reading is held or the connection is closing, unless set.
pub(crate) const WRITE_STALL: Duration = Duration::from_secs(60);

/// The water marks that are asked for, high first, as [`Transport::set_write_buffer_limits`] says.
///
/// [`Transport::set_write_buffer_limits`]: super::Transport::set_write_buffer_limits
pub(crate) fn water_marks(
    high: Option<usize>,
    low: Option<usize>,
) -> Result<(usize, usize), Error> {
    match (high, low) {
        (None, None) => Ok((HIGH_WATER, LOW_WATER)),
        (Some(high), None) => Ok((high, high / 4)),
        (None, Some(low)) => Ok((low.saturating_mul(4), low)),
        (Some(high), Some(low)) if low > high => Err(Error::invalid(format!(
            "high ({high}) must be at least low ({low}) for the write buffer limits"
        ))),
        (Some(high), Some(low)) => Ok((high, low)),
    }
}

impl StreamOptions {
    pub(crate) fn for_client() -> Self {
        Self {
            high_water: HIGH_WATER,
            low_water: LOW_WATER,
            write_cap: None,
            idle: None,
            linger: Some(LINGER),
            closing: None,
            write_stall: None,
            descriptors: 0,
            limits: None,
        }
    }

    pub(crate) fn for_server() -> Self {
        Self { write_cap: Some(SERVER_WRITE_CAP), ..Self::for_client() }
    }

    /// A rate group has to be one of the loop's own.
    pub(crate) fn check(&self, core: &Rc<Core>) -> Result<(), Error> {
        match self.limits.as_ref().and_then(|limits| limits.group.as_ref()) {
            Some(group) if !group.is_of(core) => {
                Err(Error::invalid("the rate group is of another event loop"))
            }
            _ => Ok(()),
        }
    }

    /// The process at the other end of a pipe may be stopped, or a pager that somebody reads at
    /// leisure: it is waited for as long as it takes, unless a deadline is set.
    pub(crate) fn for_pipe() -> Self {
        Self { linger: None, write_stall: Some(Duration::MAX), ..Self::for_client() }
    }

    pub(crate) fn set_timeout(&mut self, kind: TimeoutKind, after: Option<Duration>) {
        match kind {
            TimeoutKind::Idle => self.idle = after,
            TimeoutKind::Linger => self.linger = after,
            TimeoutKind::Closing => self.closing = after,
            TimeoutKind::WriteStall => self.write_stall = after,
            TimeoutKind::Connect
            | TimeoutKind::Process
            | TimeoutKind::TlsHandshake
            | TimeoutKind::TlsShutdown => {}
        }
    }
}
