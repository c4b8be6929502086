//! A worker's connection to its coordinator.

use std::rc::Rc;
use std::time::Duration;

use wharf::{Error, Result, Transport};
use wharf_protocols::framing::{FrameProtocol, LengthPrefixDecoder};
use wharf_protocols::reconnect::Attempt;

use super::worker::Runner;
use crate::coordinator::Stop;
use crate::wire::{FromCoordinator, Reported, ToCoordinator, WELCOME_TWICE, decode, greet};

/// The protocol of one connection.
pub(super) struct WorkerPeer {
    shared: Rc<Runner>,
    attempt: Attempt,
    is_welcome: bool,
}

impl WorkerPeer {
    pub(super) fn new(shared: Rc<Runner>, attempt: Attempt) -> Self {
        Self { shared, attempt, is_welcome: false }
    }

    fn received(
        &mut self,
        transport: &dyn Transport,
        message: FromCoordinator,
    ) -> Result<(), &'static str> {
        match message {
            FromCoordinator::Welcome { .. } if self.is_welcome => return Err(WELCOME_TWICE),
            FromCoordinator::Welcome { lease } => {
                self.is_welcome = true;
                self.shared.lease.set(Duration::from_millis(lease.max(3)));
                // The lease of the coordinator before may have been longer.
                self.shared.beat();
                *self.shared.refused.borrow_mut() = None;
                self.shared.line.connected(transport);
                self.attempt.established();
                // What it was told before a stop is stale, or recorded after all.
                let reports = self.shared.reports.all();
                for (fence, outcome) in reports {
                    self.shared.say(&ToCoordinator::Report(Reported { fence, outcome }));
                }
                for unkept in self.shared.unkept.borrow().values() {
                    self.shared.say(&ToCoordinator::Output(unkept.written.clone()));
                }
            }
            FromCoordinator::Refused(why) => self.shared.refuse(why),
            FromCoordinator::Assign(assign) => {
                self.shared.check_assignment(assign.fence)?;
                self.shared.run(assign);
            }
            FromCoordinator::Stop { fence, why } => self.shared.stop(fence, why != Stop::Stale),
            FromCoordinator::Recall(fence) => self.shared.give_back(fence),
            FromCoordinator::Recorded(fence) => self.shared.forget_report(fence),
            FromCoordinator::Stale(fence) => {
                self.shared.kept(fence, false);
                self.shared.forget_report(fence);
            }
            FromCoordinator::Goodbye { restarts } => {
                self.shared.line.disconnected();
                if restarts {
                    self.attempt.reconnect_at_once();
                }
                transport.close();
            }
            FromCoordinator::Answer { .. } | FromCoordinator::Ended(_) => {}
            FromCoordinator::Kept(fence) => self.shared.kept(fence, true),
        }
        Ok(())
    }
}

impl FrameProtocol<LengthPrefixDecoder> for WorkerPeer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        Ok(greet(transport, &self.shared.hello())?)
    }

    fn frame_received(&mut self, transport: &dyn Transport, frame: &[u8]) -> Result {
        let message = decode(frame).map_err(Error::protocol_violation)?;
        Ok(self.received(transport, message).map_err(Error::protocol_violation)?)
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.shared.line.disconnected();
        Ok(())
    }
}

impl Runner {
    /// Says something, if somebody hears it.
    pub(super) fn say(&self, message: &ToCoordinator) {
        match &*self.nats.borrow() {
            None => self.line.say(message),
            Some(nats) => {
                if let Some(nats) = nats.upgrade() {
                    nats.heard(message);
                }
            }
        }
    }
}
