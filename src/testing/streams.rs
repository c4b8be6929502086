//! Two streams joined in memory.

use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::streams::{ByteStream, stream_factory};

use super::pair;

/// Two streams, joined by a pair of sockets in memory, each direction holding `capacity` bytes: what is written to
/// one is read from the other.
///
/// On any loop, as [`pair`] for protocols.
///
/// ```
/// use wharf::testing::{MemoryNetwork, stream_pair};
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let (near, mut far) = stream_pair(&event_loop, 64 * 1024)?;
///     near.writer().write_all(b"hello").await?;
///     assert_eq!(far.reader().read_exactly(5).await?, b"hello");
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
/// As [`pair`].
pub fn stream_pair(
    event_loop: &EventLoop,
    capacity: usize,
) -> Result<(ByteStream, ByteStream), Error> {
    let (near, near_halves) = stream_factory(event_loop.core());
    let (far, far_halves) = stream_factory(event_loop.core());
    let (near, far) = pair(event_loop, capacity, near(), far())?;
    Ok((near_halves(near).into(), far_halves(far).into()))
}
