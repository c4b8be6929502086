//! What a relay has done, while it goes on and in the end.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use crate::error::Error;

/// One of the two connections of a relay, in the order they were given to [`relay`](crate::relay).
///
/// See [`RelayEnd`] for an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelaySide {
    /// The first.
    A,
    /// The second.
    B,
}

/// What a relay has passed on, when it has ended.
///
/// See [`relay`](crate::relay) and [`RelayBuilder`](crate::RelayBuilder) for examples.
///
/// ```
/// use wharf::testing::{MemoryNetwork, Record, pair};
/// use wharf::{PausedProtocol, RelayEnd, Result, Transport as _, relay};
///
/// fn main() -> Result {
///     MemoryNetwork::new().event_loop().run(async |event_loop| {
///         // The relay joins `a` and `b`; their peers are a client and a server.
///         let (a, client) = pair(&event_loop, 1024, PausedProtocol::new(), Record::new().protocol())?;
///         let (b, server) = pair(&event_loop, 1024, PausedProtocol::new(), Record::new().protocol())?;
///         client.write(b"question");
///         client.write_eof();
///         server.write(b"answer");
///         server.write_eof();
///
///         let outcome = relay(&a, &b).await?;
///         assert!(matches!(outcome.end, RelayEnd::Finished));
///         assert_eq!((outcome.a_to_b, outcome.b_to_a), (8, 6));
///         Ok(())
///     })
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct RelayOutcome {
    /// The bytes that came from the first connection and were written to the second.
    ///
    /// When the second one failed, the last of them may not have arrived.
    pub a_to_b: u64,
    /// The bytes that came from the second connection and were written to the first.
    pub b_to_a: u64,
    /// Why it ended.
    pub end: RelayEnd,
}

/// Why a relay ended.
///
/// ```
/// use wharf::{RelayEnd, RelayOutcome, RelaySide};
///
/// /// A line for the log of a proxy, whose `A` is the client.
/// fn describe(outcome: &RelayOutcome) -> String {
///     let name = |side| if side == RelaySide::A { "client" } else { "server" };
///     let what = match &outcome.end {
///         RelayEnd::Finished => "done".to_owned(),
///         RelayEnd::Closed(side) => format!("the {} was closed here", name(*side)),
///         RelayEnd::Failed(side, error) => format!("the {} failed: {error:#}", name(*side)),
///         end => format!("{end:?}"),
///     };
///     format!("{what}, {} bytes up, {} down", outcome.a_to_b, outcome.b_to_a)
/// }
/// # use wharf::testing::{MemoryNetwork, Record, pair};
/// # use wharf::{PausedProtocol, Transport as _, relay};
/// # fn main() -> wharf::Result {
/// # MemoryNetwork::new().event_loop().run(async |event_loop| {
/// #     let (a, client) = pair(&event_loop, 1024, PausedProtocol::new(), Record::new().protocol())?;
/// #     let (b, _server) = pair(&event_loop, 1024, PausedProtocol::new(), Record::new().protocol())?;
/// #     client.write(b"question");
/// #     let joined = relay(&a, &b).start();
/// #     event_loop.call_later(std::time::Duration::from_secs(1), move || b.close());
/// #     assert_eq!(describe(&joined.await?), "the server was closed here, 8 bytes up, 0 down");
/// #     Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum RelayEnd {
    /// Both peers have ended their sides (in a one-way relay, the one that is read), and all was
    /// passed on.
    Finished,
    /// That connection was closed or aborted on this side, or given another protocol; or it is a
    /// write pipe whose reader has left, with nothing on its way to it.
    Closed(RelaySide),
    /// That connection failed first, as by a reset or one of its deadlines.
    Failed(RelaySide, Error),
    /// Nothing came from either side for the relay's idle timeout.
    TimedOut,
}

/// The running counts of a relay: a cheap clone that shows what was passed on so far, and keeps
/// nothing open.
///
/// ```
/// use std::time::Duration;
/// use wharf::{EventLoop, RelayStatistics};
///
/// /// Says every minute how much a relay has passed on.
/// async fn watch(event_loop: EventLoop, counts: RelayStatistics) {
///     while !counts.is_done() {
///         println!("{} bytes up, {} down", counts.a_to_b(), counts.b_to_a());
///         event_loop.sleep(Duration::from_secs(60)).await;
///     }
/// }
/// # use wharf::testing::{MemoryNetwork, Record, pair};
/// # use wharf::{PausedProtocol, Transport as _, relay};
/// # fn main() -> wharf::Result {
/// # MemoryNetwork::new().event_loop().run(async |event_loop| {
/// #     let (a, client) = pair(&event_loop, 1024, PausedProtocol::new(), Record::new().protocol())?;
/// #     let (b, server) = pair(&event_loop, 1024, PausedProtocol::new(), Record::new().protocol())?;
///
/// let relay = relay(&a, &b);
/// let watching = event_loop.create_task(watch(event_loop.clone(), relay.statistics()));
/// let joined = relay.start();
/// #     client.write_eof();
/// #     server.write_eof();
/// #     joined.await?;
/// #     watching.await?;
/// #     Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Default)]
pub struct RelayStatistics {
    pub(super) ways: Rc<[Count; 2]>,
    pub(super) over: Rc<Cell<bool>>,
}

/// One direction.
#[derive(Default)]
pub(super) struct Count {
    bytes: Cell<u64>,
    spliced: Cell<u64>,
}

impl Count {
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    pub(super) fn add_spliced(&self, bytes: usize) {
        self.add(bytes);
        self.spliced.set(self.spliced.get() + bytes as u64);
    }
}

impl RelayStatistics {
    /// The bytes that came from the first connection and were written to the second.
    pub fn a_to_b(&self) -> u64 {
        self.ways[0].bytes.get()
    }

    /// The bytes that came from the second connection and were written to the first.
    pub fn b_to_a(&self) -> u64 {
        self.ways[1].bytes.get()
    }

    /// Whether the relay is done: both connections are closed, and the counts stay as they are.
    pub fn is_done(&self) -> bool {
        self.over.get()
    }

    /// How many of the bytes, both ways, never were in this program's memory (see [`Splicing`]).
    pub fn spliced(&self) -> u64 {
        self.ways.iter().map(|way| way.spliced.get()).sum()
    }
}

impl fmt::Debug for RelayStatistics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RelayStatistics")
            .field("a_to_b", &self.a_to_b())
            .field("b_to_a", &self.b_to_a())
            .field("spliced", &self.spliced())
            .finish()
    }
}

/// Whether a relay has the kernel move bytes from one to the other (`splice`), without a copy.
///
/// That is possible on Linux where both connections are plain sockets, or one is and the other is a pipe
/// or FIFO; where it is not, or no pipe can be made for it, the relay copies, whatever it was told. From
/// pipe to pipe it copies: packets (`O_DIRECT`) would stay packets there, and a reader that takes less
/// than one at once would lose the rest.
///
/// ```no_run
/// use wharf::{Connection, PausedProtocol, Result, Splicing, relay};
///
/// /// Every byte passes through this program, as when it is to be seen in its profile.
/// async fn join(a: Connection<PausedProtocol>, b: Connection<PausedProtocol>) -> Result {
///     let relay = relay(&a, &b).splicing(Splicing::Never);
///     let counts = relay.statistics();
///     relay.await?;
///     assert_eq!(counts.spliced(), 0);
///     Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Splicing {
    /// In a direction that has much to move, for as long as it has.
    #[default]
    Automatic,
    /// Always copy.
    Never,
    /// From the first byte on.
    Always,
}
