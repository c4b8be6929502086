//! A worker's connection to its coordinator.

use std::rc::Rc;
use std::time::Duration;

use wharf::{Error, Result, Transport};
use wharf_protocols::codec::Encoder as _;
use wharf_protocols::framing::{
    FrameProtocol, LengthPrefix, LengthPrefixDecoder, LengthPrefixEncoder,
};
use wharf_protocols::reconnect::Attempt;

use super::worker::Shared;
use crate::coordinator::Stop;
use crate::wire::{FromCoordinator, MAX_LENGTH, Reported, ToCoordinator, decode, encode};

/// The protocol of one connection.
pub(super) struct WorkerPeer {
    shared: Rc<Shared>,
    attempt: Attempt,
}

impl WorkerPeer {
    pub(super) fn new(shared: Rc<Shared>, attempt: Attempt) -> Self {
        Self { shared, attempt }
    }

    fn received(&self, transport: &dyn Transport, message: FromCoordinator) {
        match message {
            FromCoordinator::Welcome { lease } => {
                self.shared.lease.set(Duration::from_millis(lease.max(3)));
                *self.shared.refused.borrow_mut() = None;
                *self.shared.connection.borrow_mut() = Some(transport.handle());
                self.attempt.established();
                // What it was told before a stop is stale, or recorded after all.
                let reports = self.shared.reports.borrow().clone();
                for (fence, outcome) in reports {
                    self.shared.say(&ToCoordinator::Report(Reported { fence, outcome }));
                }
            }
            FromCoordinator::Refused(why) => *self.shared.refused.borrow_mut() = Some(why),
            FromCoordinator::Assign(assign) => self.shared.run(assign),
            FromCoordinator::Stop { fence, why } => self.shared.stop(fence, why != Stop::Stale),
            FromCoordinator::Recorded(fence) | FromCoordinator::Stale(fence) => {
                self.shared.forget_report(fence);
            }
            FromCoordinator::Answer { .. } | FromCoordinator::Ended(_) => {}
        }
    }
}

impl FrameProtocol<LengthPrefixDecoder> for WorkerPeer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.shared.send(transport, &self.shared.hello());
        Ok(())
    }

    fn frame_received(&mut self, transport: &dyn Transport, frame: &[u8]) -> Result {
        let message = decode(frame).map_err(Error::protocol_violation)?;
        self.received(transport, message);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        *self.shared.connection.borrow_mut() = None;
        Ok(())
    }
}

impl Shared {
    /// Says something, if there is a connection.
    pub(super) fn say(&self, message: &ToCoordinator) {
        if let Some(transport) = &*self.connection.borrow() {
            self.send(transport, message);
        }
    }

    fn send(&self, transport: &dyn Transport, message: &ToCoordinator) {
        let mut buffer = self.buffer.borrow_mut();
        let mut encoder = LengthPrefixEncoder::new(LengthPrefix::U32).max_length(MAX_LENGTH);
        // What it consists of has limits that keep it below that of a message.
        if encode(message, &mut buffer).is_ok() {
            let _ = encoder.write_to(transport, &buffer[..]);
        }
    }
}
