//! A client's connection to its coordinator.

use std::rc::{Rc, Weak};
use std::time::Duration;

use wharf::{Error, Result, Timeout, Transport};
use wharf_protocols::framing::{FrameProtocol, LengthPrefixDecoder};
use wharf_protocols::reconnect::Attempt;

use super::error::ClientError;
use super::handle::Shared;
use crate::wire::{
    Ask, FromCoordinator, Hello, Role, ToCoordinator, VERSION, WELCOME_TWICE, decode, greet,
};

/// So many leases after the first that was quiet the connection is given up.
const MOST_ASKED: u32 = 2;
/// What counts as a lease, in milliseconds, whatever the coordinator says.
const LEASES: std::ops::RangeInclusive<u64> = 1_000..=60_000;

/// The protocol of one connection.
pub(super) struct ClientPeer {
    shared: Weak<Shared>,
    attempt: Attempt,
    is_welcome: bool,
    /// Nothing has come since it was looked last.
    is_quiet: bool,
    /// How often it was asked whether the coordinator is there, since something has come.
    asked: u32,
}

impl ClientPeer {
    pub(super) fn new(shared: Weak<Shared>, attempt: Attempt) -> Self {
        Self { shared, attempt, is_welcome: false, is_quiet: false, asked: 0 }
    }

    fn received(
        &mut self,
        shared: &Rc<Shared>,
        transport: &dyn Transport,
        message: FromCoordinator,
    ) -> Result<(), &'static str> {
        match message {
            FromCoordinator::Welcome { .. } if self.is_welcome => return Err(WELCOME_TWICE),
            FromCoordinator::Welcome { lease } => {
                self.is_welcome = true;
                shared.line.connected(transport);
                let lease = lease.clamp(*LEASES.start(), *LEASES.end());
                transport.set_timeout(Timeout::User, Some(Duration::from_millis(lease)));
                *shared.refused.borrow_mut() = None;
                self.attempt.established();
                shared.reached();
                for pending in shared.pending.borrow().values() {
                    shared.line.say_json(&pending.request);
                }
                shared.watch_again();
            }
            FromCoordinator::Answer { number, answer } => {
                let pending = shared.pending.borrow_mut().remove(&number);
                if let Some(pending) = pending {
                    let _ = pending.answer.set_result(Ok(answer));
                }
            }
            FromCoordinator::Ended(ends) => {
                for ended in ends {
                    let id = ended.id.clone();
                    shared.deliver(&id, &Ok(ended));
                }
            }
            FromCoordinator::Refused(why) => {
                *shared.refused.borrow_mut() = Some(why.clone());
                shared.give_up(&ClientError::NotAdmitted(why));
            }
            FromCoordinator::Goodbye { restarts } => {
                shared.line.disconnected();
                if restarts {
                    self.attempt.reconnect_at_once();
                }
                transport.close();
            }
            _ => {}
        }
        Ok(())
    }
}

impl FrameProtocol<LengthPrefixDecoder> for ClientPeer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        let token = shared.options.token.clone();
        let hello = ToCoordinator::Hello(Hello { version: VERSION, token, role: Role::Client });
        Ok(greet(transport, &hello)?)
    }

    fn frame_received(&mut self, transport: &dyn Transport, frame: &[u8]) -> Result {
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        (self.is_quiet, self.asked) = (false, 0);
        let message = decode(frame).map_err(|error| {
            // Asked again, it would say the same again: whoever waits would wait for ever.
            let why = format!("the coordinator's answer cannot be understood: {error}");
            shared.give_up(&ClientError::Refused(why.into()));
            Error::protocol_violation(error)
        })?;
        Ok(self.received(&shared, transport, message).map_err(Error::protocol_violation)?)
    }

    /// A coordinator whose machine is gone says nothing, and who only waits would wait for ever. So it is asked when nothing
    /// has come for a lease: one that is there again answers with a reset.
    fn timed_out(&mut self, _: &dyn Transport, timeout: Timeout) -> Result {
        let was_quiet = std::mem::replace(&mut self.is_quiet, true);
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        let is_over = !self.is_welcome || was_quiet && self.asked == MOST_ASKED;
        if timeout != Timeout::User || is_over {
            return Err(Error::timeout(timeout).into());
        }
        if was_quiet && shared.is_waiting() {
            self.asked += 1;
            // It changes nothing, and is answered at once.
            shared.say(Ask::Unwatch(Vec::new()));
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        if let Some(shared) = self.shared.upgrade() {
            shared.line.disconnected();
            shared.lost();
        }
        Ok(())
    }
}
