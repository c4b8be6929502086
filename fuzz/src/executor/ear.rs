use std::cell::RefCell;
use std::rc::Rc;

use wharf::{Error, Protocol, Result, Transport, TransportHandle};

/// One end of a connection, which keeps what it hears.
#[derive(Clone, Default)]
pub(super) struct Ear(Rc<RefCell<Heard>>);

#[derive(Default)]
struct Heard {
    transport: Option<TransportHandle>,
    bytes: Vec<u8>,
    is_lost: bool,
}

impl Ear {
    pub(super) fn say(&self, bytes: &[u8]) {
        if let Some(transport) = &self.0.borrow().transport {
            transport.write(bytes);
        }
    }

    /// Does something with the connection, if there is one.
    pub(super) fn with(&self, act: impl FnOnce(&TransportHandle)) {
        // Not in the borrow: callbacks may follow.
        let transport = self.0.borrow().transport.clone();
        if let Some(transport) = transport {
            act(&transport);
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.borrow().is_lost
    }

    /// How many bytes of a message were heard of which some are missing.
    pub(super) fn rest(&self) -> usize {
        self.0.borrow().bytes.len()
    }

    /// The next message.
    pub(super) fn message(&self) -> Option<Vec<u8>> {
        let mut heard = self.0.borrow_mut();
        let (head, rest) = heard.bytes.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*head) as usize;
        let message = rest.get(..length)?.to_vec();
        heard.bytes.drain(..4 + length);
        Some(message)
    }
}

impl Protocol for Ear {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.0.borrow_mut().transport = Some(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().bytes.extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        let mut heard = self.0.borrow_mut();
        heard.transport = None;
        heard.is_lost = true;
        Ok(())
    }
}
