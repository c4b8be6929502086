//! Two protocols joined in memory.

use std::rc::Rc;

use crate::driver::{Socket, memory};
use crate::error::Error;
use crate::event_loop::{Core, Entry, EventLoop};
use crate::protocol::Protocol;
use crate::transport::{Connection, Stream, StreamOptions, TransportHandle};

/// Two protocols, joined by a pair of sockets in memory, each direction holding `capacity` bytes.
///
/// On any loop: beside the loop's own sockets, too, as a byte layer of one's own. Both
/// `connection_made` have been called when it returns, the first one's first.
///
/// ```
/// use wharf::Transport as _;
/// use wharf::testing::{MemoryNetwork, Record, pair, settle};
/// # use wharf::{Protocol, Result, Transport};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
/// #         transport.write(data);
/// #         Ok(())
/// #     }
/// # }
///
/// # fn main() -> Result {
/// let event_loop = MemoryNetwork::new().event_loop();
/// let record = Record::new();
/// let (client, _server) = pair(&event_loop, 64 * 1024, record.protocol(), Echo)?;
/// client.write(b"hello");
/// settle(&event_loop)?;
/// assert_eq!(record.received(), b"hello");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`is_closed`](Error::is_closed) on a closed loop; [`is_invalid`](Error::is_invalid) inside a
/// callback of a protocol, since no callback runs inside another.
pub fn pair<P: Protocol, Q: Protocol>(
    event_loop: &EventLoop,
    capacity: usize,
    first: P,
    second: Q,
) -> Result<(Connection<P>, Connection<Q>), Error> {
    let core = event_loop.core();
    core.check_open()?;
    if core.is_in_protocol() {
        return Err(Error::invalid("a pair cannot be made inside a protocol's callback"));
    }
    let (near, far) = match core.driver.memory() {
        Some(driver) => {
            let (near, far) = memory::pair_on(driver.machine(), capacity);
            driver.network().mark_urgent(&near);
            (near, far)
        }
        None => memory::pair(capacity, [None, None]),
    };
    let near = open(core, near, Box::new(first))?;
    let far = open(core, far, Box::new(second))?;
    near.begin(core);
    far.begin(core);
    core.close_if_wanted();
    let handle = |stream: &Stream| TransportHandle::of(core, stream);
    Ok((Connection::new(handle(&near)), Connection::new(handle(&far))))
}

/// A stream on a memory socket, in a slot of its own; not begun.
pub(super) fn open(
    core: &Rc<Core>,
    socket: memory::MemorySocket,
    protocol: Box<dyn Protocol>,
) -> Result<Rc<Stream>, Error> {
    let key = core.reserve_slot()?;
    let socket = Socket::from(socket);
    if let Err(error) = core.driver.register(&socket, key, &core.signals) {
        core.free_slot(key);
        return Err(error.into());
    }
    let options = StreamOptions::for_client();
    let stream = Stream::new(core, key, socket, protocol, &options, None, None);
    core.fill_slot(key, Entry::Stream(Rc::clone(&stream)));
    Ok(stream)
}
