//! One connection.

use std::rc::Rc;
use std::time::Duration;

use wharf::{Error, Result, TimerHandle, Transport};
use wharf_protocols::framing::{FrameProtocol, LengthPrefixDecoder};

use super::server::{PeerKey, Shared};
use crate::access::Rights;
use crate::coordinator::{Report, WorkerInfo, WorkerKey};
use crate::wire::{
    FromCoordinator, Hello, Replied, Reported, Role, ToCoordinator, VERSION, decode,
};

pub(super) struct Peer {
    shared: Rc<Shared>,
    key: PeerKey,
    state: PeerState,
    /// Until it says who it is.
    patience: Option<TimerHandle>,
}

/// How long somebody may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Eq)]
enum PeerState {
    /// It has not said who it is.
    Unknown,
    Client(Rights),
    Worker(WorkerKey),
}

impl Peer {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, key: 0, state: PeerState::Unknown, patience: None }
    }

    fn received(&mut self, message: ToCoordinator) -> Result<(), Box<str>> {
        match (message, self.state) {
            (ToCoordinator::Hello(hello), PeerState::Unknown) => self.greeted(hello),
            (ToCoordinator::Request(asked), PeerState::Client(rights)) => {
                self.shared.asked(self.key, rights, asked);
                Ok(())
            }
            (ToCoordinator::Report(reported), PeerState::Worker(worker)) => {
                self.reported(worker, reported);
                Ok(())
            }
            (ToCoordinator::Output(written), PeerState::Worker(worker)) => {
                let wrote = self.shared.state.borrow_mut().wrote(self.key, worker, &written);
                self.shared.check(wrote);
                self.shared.settle_soon();
                Ok(())
            }
            (ToCoordinator::Takes(capacity), PeerState::Worker(worker)) => {
                let now = self.shared.now();
                let mut state = self.shared.state.borrow_mut();
                let taken = state.coordinator.worker_takes(worker, capacity, now);
                drop(state);
                self.shared.check(taken);
                self.shared.settle_soon();
                Ok(())
            }
            (ToCoordinator::Alive, PeerState::Worker(_)) => Ok(()),
            (_, PeerState::Unknown) => Err("who is there? A hello comes first".into()),
            (_, PeerState::Client(_)) => Err("a client makes requests".into()),
            (_, PeerState::Worker(_)) => Err("a worker reports".into()),
        }
    }

    fn greeted(&mut self, hello: Hello) -> Result<(), Box<str>> {
        if hello.version != VERSION {
            let text = format!("this is version {VERSION} of the protocol, not {}", hello.version);
            return Err(text.into());
        }
        let rights = self.shared.tokens.borrow().rights(hello.token.as_deref());
        let is_allowed = match hello.role {
            Role::Client => rights.submit,
            Role::Worker { .. } => rights.work,
        };
        if !is_allowed {
            let is_known = rights != Rights::default();
            let text =
                if is_known { "the token is for something else" } else { "the token is wrong" };
            return Err(text.into());
        }
        self.is_known();
        let now = self.shared.now();
        let mut state = self.shared.state.borrow_mut();
        let lease = self.shared.options.settings.lease.as_millis() as u64;
        state.tell(self.key, &FromCoordinator::Welcome { lease });
        match hello.role {
            Role::Client => self.state = PeerState::Client(rights),
            Role::Worker { name, kinds, capacity, slots, fences } => {
                let info = WorkerInfo { name: name.into(), kinds, capacity, slots, fences };
                let joined = state.coordinator.worker_joined(info, now);
                if let Ok(worker) = joined {
                    state.workers.insert(worker, self.key);
                    self.state = PeerState::Worker(worker);
                }
                drop(state);
                self.shared.check(joined);
                self.shared.settle_soon();
            }
        }
        Ok(())
    }

    fn is_known(&mut self) {
        if let Some(patience) = self.patience.take() {
            patience.cancel();
        }
    }

    fn reported(&self, worker: WorkerKey, reported: Reported) {
        let report = match reported.outcome {
            Replied::Succeeded(result) => Report::Succeeded(result),
            Replied::Failed(error) => Report::Failed(error),
            Replied::FailedForGood(error) => Report::FailedForGood(error),
            Replied::Stopped => Report::Stopped,
            Replied::GivenBack => Report::GivenBack,
        };
        let (fence, now) = (reported.fence, self.shared.now());
        let mut state = self.shared.state.borrow_mut();
        let recorded = state.coordinator.reported(worker, fence, report, now);
        match recorded {
            Ok(Some(batch)) => state.say_later(self.key, FromCoordinator::Recorded(fence), batch),
            Ok(None) => state.tell(self.key, &FromCoordinator::Stale(fence)),
            Err(_) => {}
        }
        drop(state);
        self.shared.check(recorded);
        self.shared.settle_soon();
    }
}

impl FrameProtocol<LengthPrefixDecoder> for Peer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let mut state = self.shared.state.borrow_mut();
        state.next_peer += 1;
        self.key = state.next_peer;
        state.peers.insert(self.key, transport.handle());
        let stranger = transport.handle();
        let patience = self.shared.event_loop.call_later(PATIENCE, move || stranger.abort());
        self.patience = Some(patience);
        Ok(())
    }

    fn frame_received(&mut self, transport: &dyn Transport, frame: &[u8]) -> Result {
        if self.shared.state.borrow().is_leaving {
            return Ok(());
        }
        if let PeerState::Worker(worker) = self.state {
            let now = self.shared.now();
            self.shared.state.borrow_mut().coordinator.worker_is_alive(worker, now);
        }
        let refused = match decode(frame) {
            Ok(message) => self.received(message),
            Err(error) => Err(error.to_string().into()),
        };
        if let Err(text) = refused {
            let mut state = self.shared.state.borrow_mut();
            state.tell(self.key, &FromCoordinator::Refused(text));
            state.send();
            transport.close();
        }
        // What it was told goes out.
        self.shared.settle_soon();
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.shared.state.borrow_mut().peer_has_room(self.key);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.is_known();
        let now = self.shared.now();
        let mut state = self.shared.state.borrow_mut();
        state.peers.remove(&self.key);
        state.watches.forget(self.key);
        state.outboxes.remove(&self.key);
        state.followers.forget(self.key);
        state.copies.remove(&self.key);
        if let PeerState::Worker(worker) = self.state {
            state.workers.remove(&worker);
            if state.is_leaving {
                // It comes back to the coordinator that follows, with what it runs.
                return Ok(());
            }
            let left = state.coordinator.worker_left(worker, now);
            drop(state);
            self.shared.check(left);
            self.shared.settle_soon();
        }
        Ok(())
    }
}
