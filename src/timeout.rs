//! The kinds of timeout.

use std::fmt;

/// The deadlines a connection can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TimeoutKind {
    /// Connecting, resolving included, took too long. None by default; set where one connects.
    Connect,
    /// Nothing was received and nothing could be sent for too long. None by default.
    Idle,
    /// After `close`, the peer took none of what was written before for too long. 30 s by default, none for
    /// pipes.
    ///
    /// It counts from the last time that the peer took something: while output is queued, that the system took
    /// some of it; when everything was handed over and `connection_lost` was called, that the peer acknowledged
    /// more, which is looked at once a second. A receiver acknowledges in steps (tens of kilobytes) while its
    /// buffer is full: one that takes less than a step within this deadline is given up. `None` waits without
    /// a bound. Also how long a failed write leaves a protocol that has paused to read what came before.
    Linger,
    /// Closing took too long, however much progress it made. None by default. It counts from `close`, and goes on
    /// after `connection_lost` until the peer has everything.
    Closing,
    /// A program that was run to its end took too long. None by default; set where one is run.
    Process,
    /// Data waits to be sent, and the peer took none of it for too long. 60 s by default while reading is held
    /// or the connection closes, none otherwise and for pipes.
    WriteStall,
    /// The TLS handshake took too long. 10 s by default; set with the TLS configuration. Always ends the
    /// connection.
    TlsHandshake,
    /// The peer did not answer our end of the TLS connection, which was to be waited for. Only where the TLS
    /// configuration has a `shutdown_timeout`.
    TlsShutdown,
}

impl TimeoutKind {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Connect => "connecting timed out",
            Self::Idle => "the connection was idle for too long",
            Self::Linger => "closing timed out before everything written was sent",
            Self::Closing => "closing took too long before everything written was sent",
            Self::Process => "the program ran for too long",
            Self::WriteStall => "the peer took no data for too long",
            Self::TlsHandshake => "the TLS handshake took too long",
            Self::TlsShutdown => "the peer did not answer the end of the TLS connection",
        }
    }
}

impl fmt::Display for TimeoutKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}
