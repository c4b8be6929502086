//! Two connections joined: what comes in on one goes out on the other.

mod joint;
mod outcome;
mod passage;

use std::fmt;
use std::future::IntoFuture;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use self::joint::Joint;
use super::TransportHandle;
use super::stream::Access;
use crate::error::{Error, Kind};
use crate::task::{LoopFuture, Promise, future};
use crate::transport::Transport;

pub use self::outcome::{RelayEnd, RelayOutcome, RelaySide, RelayStatistics, Splicing};

pub(crate) use self::passage::Passage;

/// Joins two connections: what comes in on one goes out on the other.
///
/// Both get a new protocol, the relay's own; the former ones are dropped without a further callback
/// (as by [`Transport::set_protocol`]). It works for any two stream transports of one loop, and from
/// anywhere on it: a proxy's protocol connects upstream, then joins the two from inside a callback, and
/// hands over as [`leftovers`](RelayBuilder::leftovers) what it received and did not consume.
///
/// - **Back-pressure**: while more than the high-water mark waits to be sent on one side, the other
///   one is not read. A relay needs no more memory than that, and one read.
/// - **Ends**: when a peer ends its side, the other connection's write side is ended after all bytes;
///   when both have, the relay has ended. (A transport that cannot end just its write side is closed.)
/// - **One way**: what is only read (a read pipe, a child's output) or only written has one way, and
///   the relay has ended when that has ended and all is sent. Two that only read, or only write, are
///   refused. What a connection sends that is joined with a read pipe has nowhere to go: it is not
///   read, so that its peer has to wait, and is dropped when the relay closes it.
/// - **Failures**: when one connection is reset, closed, or passes one of its deadlines, the other is
///   sent what was received before, at its own pace, and closed. A reader that takes nothing for the linger
///   deadline ([`Timeout::Linger`](crate::Timeout::Linger)) loses the rest. Under TLS the
///   connection then ends without `close_notify` if the failed one's peer had not ended its side: more may
///   have been on its way, and the client sees a stream that was cut off. A plain TCP peer sees an orderly
///   end, since a reset would destroy what it has not read.
/// - **Limits** of either connection hold: its read limit for what comes from it, its write limit for
///   what goes to it.
/// - **Speed**: bytes go from the loop's buffer to the other socket, and are copied only when that
///   does not take them. Where there is much to move between plain sockets and pipes on Linux they do
///   not pass through this program at all; see [`Splicing`].
/// - **Urgent data**: the urgent byte of TCP is not passed on; all others are. For telnet, which sends marks
///   that way, set `SO_OOBINLINE` on the socket, so that it comes as any other byte, and hand the socket in
///   with [`EventLoop::create_connection_on`](crate::EventLoop::create_connection_on) or
///   [`create_server_on`](crate::EventLoop::create_server_on).
///
/// While it goes on the relay pauses and resumes reading; a server's shutdown does not end it before
/// the grace has passed, since it cannot know where a message ends.
///
/// ```
/// use wharf::{Connection, PausedProtocol, Result, TransportHandle, relay};
///
/// /// `upstream` was made with a `PausedProtocol`, so that nothing it sends is read before this.
/// async fn join(client: TransportHandle, upstream: Connection<PausedProtocol>) -> Result {
///     let outcome = relay(&client, &upstream).await?;
///     println!("{} bytes up, {} down: {:?}", outcome.a_to_b, outcome.b_to_a, outcome.end);
///     Ok(())
/// }
/// ```
#[doc(alias("copy_bidirectional", "portforward", "proxy", "splice"))]
pub fn relay(a: impl Into<TransportHandle>, b: impl Into<TransportHandle>) -> RelayBuilder {
    RelayBuilder {
        ends: [a.into(), b.into()],
        leftovers: Default::default(),
        idle: None,
        splicing: Splicing::default(),
        statistics: RelayStatistics::default(),
    }
}

/// A relay to be made: what [`relay`] returns.
///
/// Await it, or [`start`](Self::start) it. Nothing happens before.
///
/// ```no_run
/// use std::time::Duration;
/// use wharf::{Connection, PausedProtocol, RelayEnd, Result, relay};
///
/// async fn join(a: Connection<PausedProtocol>, b: Connection<PausedProtocol>) -> Result {
///     let relay = relay(&a, &b).idle_timeout(Some(Duration::from_secs(60)));
///     let counts = relay.statistics();
///     let outcome = relay.await?;
///     if let RelayEnd::Failed(side, error) = outcome.end {
///         eprintln!("{side:?} after {} bytes: {error}", counts.a_to_b() + counts.b_to_a());
///     }
///     Ok(())
/// }
/// # let _ = join;
/// ```
#[must_use = "nothing is joined before it is awaited or started"]
pub struct RelayBuilder {
    ends: [TransportHandle; 2],
    leftovers: [Bytes; 2],
    idle: Option<Duration>,
    splicing: Splicing,
    statistics: RelayStatistics,
}

impl RelayBuilder {
    /// What was received from the first and from the second connection, and is to be passed on
    /// before anything else.
    pub fn leftovers(mut self, from_a: Bytes, from_b: Bytes) -> Self {
        self.leftovers = [from_a, from_b];
        self
    }

    /// Ends the relay, and aborts both connections, when nothing was received or sent on either for so
    /// long. `None`, the default: it has no such limit; zero is refused with [`is_invalid`](Error::is_invalid). The
    /// deadlines of the two connections are in force beside it.
    pub fn idle_timeout(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.idle = after.into();
        self
    }

    /// Whether the kernel moves the bytes where it can. By default where it pays.
    pub fn splicing(mut self, splicing: Splicing) -> Self {
        self.splicing = splicing;
        self
    }

    /// The relay's running counts, to be looked at while it goes on.
    pub fn statistics(&self) -> RelayStatistics {
        self.statistics.clone()
    }

    /// Joins the two. Cancelling or dropping the future aborts both (see [`LoopFuture`]).
    ///
    /// # Errors
    /// The future fails with [`is_invalid`](Error::is_invalid) for one connection twice, or for those
    /// of two loops, for two pipes that both only read or only write, and for a leftover that cannot go
    /// anywhere, all of which are left as they are; with [`is_closed`](Error::is_closed) when one is
    /// closing or gone already, and the other one is closed then. That a connection fails later is no
    /// error but an [`outcome`](RelayOutcome::end).
    pub fn start(self) -> LoopFuture<RelayOutcome> {
        let (promise, outcome) = future(self.ends[0].core());
        match self.ways() {
            Ok(ways) => self.join(promise, ways),
            Err(error) => {
                promise.set(Err(error));
                // One at a time: their owners may panic.
                for leftover in self.leftovers {
                    self.ends[0].core().drop_user(leftover, "buffer");
                }
            }
        }
        outcome
    }

    /// Whether there is a way from the first connection to the second, and one back.
    fn ways(&self) -> Result<[bool; 2], Error> {
        let [a, b] = &self.ends;
        Error::refuse_zero("the idle timeout of a relay", self.idle)?;
        if !Rc::ptr_eq(a.core(), b.core()) {
            return Err(Error::invalid("a relay joins connections of one event loop"));
        }
        if a == b {
            return Err(Error::invalid("a relay joins two connections, not one with itself"));
        }
        if a.is_closing() || b.is_closing() {
            a.close();
            b.close();
            let text = "a connection of the relay is closing or gone";
            return Err(Error::new(Kind::Closed, text));
        }
        let ways = [goes(a, b), goes(b, a)];
        if ways == [false, false] {
            let text = "nothing can go from one to the other: both only read, or both only write";
            return Err(Error::invalid(text));
        }
        if ways.iter().zip(&self.leftovers).any(|(way, leftover)| !way && !leftover.is_empty()) {
            let text = "what was left over can go nowhere: the relay goes the other way only";
            return Err(Error::invalid(text));
        }
        Ok(ways)
    }

    fn join(self, promise: Promise<RelayOutcome>, ways: [bool; 2]) {
        let Self { ends, leftovers, idle, splicing, statistics } = self;
        let aborted = ends.clone();
        promise.on_cancel_at_once(move || aborted.iter().for_each(Transport::abort));
        let passages = [0, 1].map(|side| Rc::new(Passage::new(statistics.clone(), side, splicing)));
        let joint = Joint::new(ends.clone(), passages, ways, statistics, idle, promise);
        for (side, (end, leftover)) in ends.iter().zip(leftovers).enumerate() {
            end.with(|stream| stream.begin_relay(ends[1 - side].key()));
            end.set_protocol(joint.half(side), leftover);
            // Its former protocol may have waited for the other connection.
            end.resume_reading();
        }
        joint.start();
    }
}

/// Whether bytes can go this way: the one can be read, and the other written.
fn goes(from: &TransportHandle, to: &TransportHandle) -> bool {
    let gives = from.with(|stream| !stream.is_write_only()).unwrap_or(false);
    let takes = to.with(|stream| !stream.is_read_only()).unwrap_or(false);
    gives && takes
}

impl IntoFuture for RelayBuilder {
    type Output = Result<RelayOutcome, Error>;
    type IntoFuture = LoopFuture<RelayOutcome>;

    fn into_future(self) -> Self::IntoFuture {
        self.start()
    }
}

impl fmt::Debug for RelayBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RelayBuilder")
            .field("a", &self.ends[0])
            .field("b", &self.ends[1])
            .field("idle", &self.idle)
            .field("splicing", &self.splicing)
            .finish_non_exhaustive()
    }
}
