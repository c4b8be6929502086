//! Giving the protocol what was received.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::READS_PER_TURN;
use crate::error::Error;
use crate::event_loop::Core;
use crate::protocol::sealed::Token;
use crate::protocol::{Protocol, empty_buffer};
use crate::transport::Transport;
use crate::transport::stream::Stream;
use crate::transport::stream::callback::Failed;
use crate::transport::stream::flags::Flags;

/// What is slow where a `BufferedProtocol` is asked for memory and told of its use.
const FILLING: &str = "get_buffer or buffer_updated";

impl Stream {
    /// As [`deliver`](Self::deliver), for bytes that came in another way than by a read that the
    /// protocol waits for: what it does not take now is kept until it reads.
    pub(in crate::transport::stream) fn deliver_or_keep(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
    ) {
        if data.is_empty() || self.has(Flags::CLOSING.union(Flags::CLOSED)) {
            return;
        }
        if !self.is_reading() || self.has(Flags::LEFTOVER.union(Flags::HANDSHAKING)) {
            self.keep_rest(core, Bytes::copy_from_slice(data));
        } else if self.has(Flags::BUFFERED) {
            let rest = self.fill_buffers(core, data);
            self.keep_rest(core, Bytes::copy_from_slice(&data[data.len() - rest..]));
        } else {
            self.deliver(core, data, |rest| last(data, rest));
        }
    }

    /// Delivers what was left over, which comes before what the socket has.
    pub(in crate::transport::stream) fn deliver_leftover(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::LEFTOVER);
        let leftover = self.reading.take_leftover();
        if self.has(Flags::BUFFERED) {
            let rest = self.fill_buffers(core, &leftover);
            self.keep_rest(core, leftover.slice(leftover.len() - rest..));
            return core.drop_user(leftover, "buffer");
        }
        self.deliver(core, &leftover, |rest| leftover.slice(leftover.len() - rest..));
        core.drop_user(leftover, "buffer");
    }

    /// Puts bytes in the memory of a `BufferedProtocol`, a few times. Returns how many are left
    /// then.
    fn fill_buffers(self: &Rc<Self>, core: &Rc<Core>, mut data: &[u8]) -> usize {
        for _ in 0..READS_PER_TURN {
            if data.is_empty() || !self.has(Flags::BUFFERED) || !self.is_reading() {
                break;
            }
            let filled = self.fill_protocol(core, data.len(), |memory| {
                let count = memory.len().min(data.len());
                memory[..count].copy_from_slice(&data[..count]);
                Ok(count)
            });
            data = match filled {
                Some(Ok(count)) => &data[count..],
                // The callback failed, and the connection is closed.
                Some(Err(_)) | None => &[],
            };
        }
        data.len()
    }

    /// Asks a `BufferedProtocol` for memory, has it filled, and tells the protocol how much was put in
    /// it, unless that is nothing. `None`: the callback failed.
    pub(in crate::transport::stream) fn fill_protocol(
        self: &Rc<Self>,
        core: &Rc<Core>,
        size_hint: usize,
        fill: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let called = Cell::new("get_buffer");
        let callback = |protocol: &mut dyn Protocol, transport: &dyn Transport| {
            let Some(protocol) = protocol.as_buffered(Token) else {
                return Err(Error::invalid("the protocol is no longer a buffered one").into());
            };
            let memory = protocol.get_buffer(transport, size_hint)?;
            if memory.is_empty() {
                return Err(empty_buffer().into());
            }
            let result = fill(memory);
            if let Ok(count @ 1..) = result {
                called.set("buffer_updated");
                protocol.buffer_updated(transport, count)?;
            } else {
                protocol.buffer_unused(Token);
            }
            Ok(result)
        };
        let result = match self.run_callback(core, FILLING, callback) {
            Ok(result) => Some(result),
            Err(Failed::Busy) => None,
            Err(Failed::With(failure)) => {
                self.callback_failed(core, called.get(), failure.into_error());
                None
            }
        };
        if self.needs_update() {
            self.update_after_read(core);
        }
        result
    }

    /// Keeps what is to be delivered later.
    pub(in crate::transport::stream) fn keep_rest(self: &Rc<Self>, core: &Core, rest: Bytes) {
        if !rest.is_empty() && !self.has(Flags::CLOSING.union(Flags::CLOSED)) {
            if self.has(Flags::TLS) && !self.has(Flags::LEFTOVER) {
                self.feed_handshake();
            }
            self.keep_leftover(core, rest);
            self.enqueue_if_readable(core);
        }
    }
}

/// A copy of the last `count` bytes of what lies in the loop's buffer.
pub(super) fn last(data: &[u8], count: usize) -> Bytes {
    Bytes::copy_from_slice(&data[data.len() - count..])
}
