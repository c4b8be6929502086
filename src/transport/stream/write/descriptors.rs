//! Descriptors that go out with bytes.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::driver::MOST_PER_MESSAGE;
use crate::error::{Error, Kind};
use crate::event_loop::Core;
use crate::transport::WriteStatus;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

/// The most descriptors that may wait to be sent on one connection.
const MOST_WAITING: usize = 1024;

impl Stream {
    pub(in crate::transport::stream) fn write_with_descriptors(
        self: &Rc<Self>,
        core: &Rc<Core>,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteStatus, Error> {
        if !self.admits_write(core) {
            return Ok(WriteStatus::Closed);
        }
        if descriptors.is_empty() {
            return Ok(self.write(core, data, None));
        }
        self.check_descriptors(data, descriptors.len())?;
        self.queue_gathered(core);
        self.push(core, |queue| queue.push_carrying(data, descriptors));
        self.update_soon(core);
        Ok(self.answer_write())
    }

    fn check_descriptors(&self, data: &[u8], count: usize) -> Result<(), Error> {
        if data.is_empty() {
            return Err(Error::invalid("descriptors are sent with bytes, and there are none"));
        }
        if count > MOST_PER_MESSAGE {
            let text = format!("{count} descriptors are more than {MOST_PER_MESSAGE} in one write");
            return Err(Error::invalid(text));
        }
        if !self.socket.passes_descriptors() || self.has(Flags::TLS) {
            let text = "descriptors are passed over Unix sockets of the operating system only, without TLS";
            return Err(Error::new(Kind::Unsupported, text));
        }
        let waiting = self.writing.queue.borrow().descriptors();
        if waiting + count > MOST_WAITING {
            let text = format!("{waiting} descriptors wait to be sent, of at most {MOST_WAITING}");
            return Err(Error::new(Kind::WriteCap, text));
        }
        Ok(())
    }
}
