//! How fast connections may read and write: token buckets, for one connection and for groups.

mod bucket;
mod group;
mod limits;

pub use self::group::RateGroup;

pub(crate) use self::limits::{Direction, LimitOptions, Limits};

/// How many bytes a second may pass in one direction, and how many at once.
///
/// A token bucket: it holds `burst` bytes when it is full, as it is at first, and is filled at
/// `bytes_per_second`. Reads and writes take their bytes out of it. So, over any time, that time's
/// worth of bytes and one burst pass at most; and that time's worth does pass, if there is
/// something to pass.
///
/// Limits are set with `read_limit` and `write_limit` of the builders, with
/// [`Transport::set_read_limit`](crate::Transport::set_read_limit) and
/// [`Transport::set_write_limit`](crate::Transport::set_write_limit), and for many connections
/// together with a [`RateGroup`].
///
/// ```
/// use wharf::RateLimit;
///
/// let limit = RateLimit::bytes_per_second(1_000_000).burst(64 * 1024);
/// assert_eq!(format!("{limit:?}"), "RateLimit { bytes_per_second: 1000000, burst: 65536 }");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    bytes_per_second: u64,
    burst: u64,
}

impl RateLimit {
    /// A limit of `bytes` a second, with a burst of what passes in a tenth of a second.
    ///
    /// With 0, nothing passes any more once the burst (of one byte, unless set) is used up.
    pub const fn bytes_per_second(bytes: u64) -> Self {
        Self { bytes_per_second: bytes, burst: 1 }.burst(bytes / 10)
    }

    /// How many bytes may pass at once after a pause; at least 1.
    ///
    /// A limited connection is served some hundred times a second at most, so a burst of less than a
    /// hundredth of the rate makes the rate be missed on systems with coarse timers.
    pub const fn burst(mut self, bytes: u64) -> Self {
        self.burst = if bytes == 0 { 1 } else { bytes };
        self
    }
}
