//! Deadlines that can be set, and the kinds of timeout that an error can have.

use std::fmt;

/// A deadline of a connection that can be set:
/// [`Transport::set_timeout`](crate::Transport::set_timeout), and `connection_timeout` of the builders.
///
/// A builder refuses a duration of zero with [`is_invalid`](crate::Error::is_invalid), as for every duration that it
/// takes; `None` means no deadline.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::Recorder;
/// use wharf::{Protocol, Result, Timeout, Transport};
///
/// /// Whoever has not sent the word within ten seconds is thrown out; afterwards, who is idle for a minute.
/// struct Door;
///
/// impl Protocol for Door {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         transport.set_timeout(Timeout::User, Some(Duration::from_secs(10)));
///         Ok(())
///     }
///
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
///         if data == b"sesame" {
///             transport.set_timeout(Timeout::User, None);
///             transport.set_timeout(Timeout::Idle, Some(Duration::from_secs(60)));
///         }
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(|| Door)?;
/// recorder.advance(Duration::from_secs(9))?;
/// recorder.receive(b"hello")?;
/// recorder.advance(Duration::from_secs(1))?;
/// assert!(recorder.is_closing());
/// # Ok(())
/// # }
/// ```
///
/// A heartbeat, which notices that the peer is gone without a word:
///
/// ```
/// use std::time::Duration;
/// use wharf::{Error, Protocol, Result, Timeout, Transport};
///
/// /// Asks every 20 seconds whether the peer is there. One that has said nothing since the last question is not.
/// #[derive(Default)]
/// struct Heart {
///     is_asked: bool,
/// }
///
/// impl Protocol for Heart {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         // Not `Timeout::Idle`: the questions are traffic, too.
///         transport.set_timeout(Timeout::User, Some(Duration::from_secs(20)));
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
///         self.is_asked = false;
///         Ok(())
///     }
///
///     fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
///         if timeout != Timeout::User || self.is_asked {
///             return Err(Error::timeout(timeout).into());
///         }
///         self.is_asked = true;
///         transport.write(b"ping\n");
///         // `Ok` keeps the connection, and sets the deadline again.
///         Ok(())
///     }
/// }
/// # use wharf::TimeoutKind;
/// # use wharf::testing::{Record, Recorder};
///
/// # fn main() -> Result {
/// # let record = Record::new();
/// # let mut recorder = Recorder::new(|| record.around(Heart::default()))?;
/// # for _ in 0..10 {
/// #     recorder.advance(Duration::from_secs(20))?;
/// #     assert_eq!(recorder.sent()?, b"ping\n");
/// #     recorder.receive(b"pong\n")?;
/// # }
/// # recorder.advance(Duration::from_secs(39))?;
/// # assert!(!recorder.is_closing());
/// # recorder.advance(Duration::from_secs(1))?;
/// # assert_eq!(record.error().and_then(|error| error.timeout_kind()), Some(TimeoutKind::User));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// Nothing was received and nothing could be sent for so long. None by default.
    ///
    /// What this side sends counts as well: with pings of one's own it never passes. See the heartbeat above.
    ///
    /// [`Protocol::timed_out`](crate::Protocol::timed_out) is called, unless the connection is closing.
    Idle,
    /// Data waits to be sent, and the peer took none of it for so long. By default 60 s while reading is held
    /// or the connection is closing, none otherwise and for pipes.
    ///
    /// [`Protocol::timed_out`](crate::Protocol::timed_out) is called, unless the connection is closing: then
    /// this ends it.
    WriteStall,
    /// After `close`, the peer took none of what was written before for so long. 30 s by default, none for
    /// pipes. It ends the connection.
    ///
    /// It counts from the last time that the peer took something: while output is queued, that the system took
    /// some of it; when everything was handed over and `connection_lost` was called, that the peer acknowledged
    /// more, which is looked at once a second. A receiver acknowledges in steps (tens of kilobytes) while its
    /// buffer is full: one that takes less than a step within this deadline is given up. `None` waits without
    /// a bound. It is also how long a protocol that has paused can still read what came before a failed write.
    Linger,
    /// Closing took so long, however much progress it made. None by default. It ends the connection.
    ///
    /// It counts from `close`, and goes on after `connection_lost` until the peer has everything.
    Closing,
    /// The protocol's own: it counts from when it was set, whatever is received or sent. None by default.
    ///
    /// For what is not about traffic: a log-in that must be done in time, an answer that is due, a ping every
    /// minute. [`Protocol::timed_out`](crate::Protocol::timed_out) is called when it passes, unless the
    /// connection is closing. The default of that fails, and the connection ends with an error whose
    /// [`timeout_kind`](crate::Error::timeout_kind) is [`TimeoutKind::User`]; a `timed_out` that returns `Ok` is called
    /// again after as long. Set by a builder, it counts from `connection_made`.
    User,
}

/// Which deadline an error is about: [`Error::timeout_kind`](crate::Error::timeout_kind).
///
/// Those of a connection that can be set are [`Timeout`]s. Others are no argument of `set_timeout`:
///
/// ```compile_fail,E0308
/// fn limit(transport: &dyn wharf::Transport) {
///     transport.set_timeout(wharf::TimeoutKind::Connect, None);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// The answer to a request took too long: [`Requests::deadline`](crate::Requests::deadline).
    Answer,
    /// Connecting, resolving included, took too long. 30 s by default; set with `timeout` of the builder.
    Connect,
    /// What was awaited took too long: the deadline of [`timeout`](crate::timeout),
    /// [`timeout_at`](crate::timeout_at) or a [`CancelScope`](crate::CancelScope) passed.
    Future,
    /// The connection was idle for too long: [`Timeout::Idle`].
    Idle,
    /// After `close`, the peer took no data for too long: [`Timeout::Linger`].
    Linger,
    /// Closing as a whole took too long: [`Timeout::Closing`].
    Closing,
    /// A program that was run to its end took too long. None by default; set with `timeout` of the builder.
    Process,
    /// The peer took no data for too long: [`Timeout::WriteStall`].
    WriteStall,
    /// The TLS handshake took too long. 10 s by default; set with the TLS configuration. Always ends the
    /// connection.
    TlsHandshake,
    /// The peer did not answer our end of the TLS connection, which was to be waited for. Only where the TLS
    /// configuration has a `shutdown_timeout`.
    TlsShutdown,
    /// The protocol's own deadline passed: [`Timeout::User`].
    User,
}

impl From<Timeout> for TimeoutKind {
    fn from(timeout: Timeout) -> Self {
        match timeout {
            Timeout::Idle => Self::Idle,
            Timeout::WriteStall => Self::WriteStall,
            Timeout::Linger => Self::Linger,
            Timeout::Closing => Self::Closing,
            Timeout::User => Self::User,
        }
    }
}

impl TimeoutKind {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Answer => "the answer took too long",
            Self::Connect => "connecting timed out",
            Self::Future => "what was awaited took too long",
            Self::Idle => "the connection was idle for too long",
            Self::Linger => "closing timed out before everything written was sent",
            Self::Closing => "closing took too long before everything written was sent",
            Self::Process => "the program ran for too long",
            Self::WriteStall => "the peer took no data for too long",
            Self::TlsHandshake => "the TLS handshake took too long",
            Self::TlsShutdown => "the peer did not answer the end of the TLS connection",
            Self::User => "the protocol's own deadline passed",
        }
    }
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}
