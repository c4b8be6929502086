//! One connection.

use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Error, Protocol, Result, Timeout, Transport};
use wharf_protocols::framing::{
    FrameProtocol, Framed, FramingError, LengthPrefix, LengthPrefixDecoder,
};

use super::limits::{HELLO_WITHIN, MOST_FOR_WORKER, MOST_HELLO, check_worker};
use super::server::{PeerKey, Shared};
use crate::access::{Rights, WRONG_TOKEN};
use crate::coordinator::{Report, WorkerInfo, WorkerKey};
use crate::wire::{
    FromCoordinator, Hello, MAX_LENGTH, Replied, Reported, Role, ToCoordinator, VERSION, decode,
};

pub(super) struct Peer {
    shared: Rc<Shared>,
    key: PeerKey,
    state: PeerState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PeerState {
    /// It has not said who it is.
    Unknown,
    /// It has shown a wrong token, and is told so in a while.
    Wrong,
    Client(Rights),
    Worker(WorkerKey),
}

impl Peer {
    /// The protocol of a new connection.
    pub(super) fn stranger(shared: Rc<Shared>) -> impl Protocol {
        Self { shared, key: 0, state: PeerState::Unknown }.with_messages_of(MOST_HELLO)
    }

    fn with_messages_of(self, most: usize) -> Framed<Self, LengthPrefixDecoder> {
        Framed::new(self, LengthPrefixDecoder::new(LengthPrefix::U32).max_length(most))
    }

    /// Says why a peer is sent away, and sends it away.
    fn refuse(&self, why: impl Into<Box<str>>) {
        self.shared.state.borrow_mut().refuse(self.key, why.into());
    }

    fn received(
        &mut self,
        transport: &dyn Transport,
        message: ToCoordinator,
    ) -> Result<(), Box<str>> {
        match (message, self.state) {
            (ToCoordinator::Hello(hello), PeerState::Unknown) => self.greeted(transport, hello),
            (ToCoordinator::Request(asked), PeerState::Client(rights)) => {
                self.shared.asked(self.key, rights, asked);
                Ok(())
            }
            (ToCoordinator::Report(reported), PeerState::Worker(worker)) => {
                self.reported(worker, reported);
                Ok(())
            }
            (ToCoordinator::Output(written), PeerState::Worker(worker)) => {
                let mut state = self.shared.state.borrow_mut();
                state.unkept.check(self.key, written.fence)?;
                let wrote = state.wrote(self.key, worker, &written);
                drop(state);
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
            (_, PeerState::Wrong) => Ok(()),
            (_, PeerState::Unknown) => Err("who is there? A hello comes first".into()),
            (_, PeerState::Client(_)) => Err("a client makes requests".into()),
            (_, PeerState::Worker(_)) => Err("a worker reports".into()),
        }
    }

    fn greeted(&mut self, transport: &dyn Transport, hello: Hello) -> Result<(), Box<str>> {
        if hello.version != VERSION {
            let text = format!("this is version {VERSION} of the protocol, not {}", hello.version);
            return Err(text.into());
        }
        let rights = self.shared.tokens.borrow().rights(hello.token.as_deref());
        let is_allowed = match hello.role {
            Role::Client => rights.submit,
            Role::Worker { .. } => rights.work,
        };
        if rights == Rights::default() {
            self.state = PeerState::Wrong;
            transport.pause_reading();
            transport.set_timeout(Timeout::User, Some(WRONG_TOKEN));
            return Ok(());
        }
        if !is_allowed {
            return Err("the token is for something else".into());
        }
        if let Role::Worker { name, kinds, .. } = &hello.role {
            check_worker(name, kinds)?;
        }
        let now = self.shared.now();
        let mut state = self.shared.state.borrow_mut();
        let lease = self.shared.options.settings.lease.as_millis() as u64;
        state.tell(self.key, &FromCoordinator::Welcome { lease });
        match hello.role {
            Role::Client => {
                drop(state);
                self.state = PeerState::Client(rights);
            }
            Role::Worker { name, kinds, capacity, slots, fences } => {
                let info = WorkerInfo { name: name.into(), kinds, capacity, slots, fences };
                let joined = state.coordinator.worker_joined(info, now);
                if let Ok(worker) = joined {
                    state.workers.insert(worker, self.key);
                    self.state = PeerState::Worker(worker);
                }
                drop(state);
                transport.set_write_buffer_cap(Some(MOST_FOR_WORKER));
                self.shared.check(joined);
                self.shared.settle_soon();
            }
        }
        if self.state != PeerState::Unknown {
            self.is_known(transport);
        }
        Ok(())
    }

    /// From now on messages may be longer.
    fn is_known(&self, transport: &dyn Transport) {
        self.shared.state.borrow_mut().strangers.remove(&self.key);
        transport.set_timeout(Timeout::User, None);
        let (shared, key, state) = (Rc::clone(&self.shared), self.key, self.state);
        let known = Self { shared, key, state }.with_messages_of(MAX_LENGTH);
        transport.set_protocol(Box::new(known), Bytes::new());
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
        state.stranger_came(self.key);
        drop(state);
        transport.set_timeout(Timeout::User, Some(HELLO_WITHIN));
        if let Some(error) = self.shared.broken() {
            self.refuse(error.to_string());
        }
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
        if let PeerState::Client(_) = self.state {
            self.shared.count_request(self.key, frame.len());
        }
        let refused = match decode(frame) {
            Ok(message) => self.received(transport, message),
            Err(error) => Err(error.to_string().into()),
        };
        if let Err(why) = refused {
            self.refuse(why);
        }
        // What it was told goes out.
        self.shared.settle_soon();
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        let mut state = self.shared.state.borrow_mut();
        state.follower_has_room(self.key);
        let told = state.tell_untold(self.key);
        drop(state);
        self.shared.check(told);
        // What is left in its outbox goes out.
        self.shared.settle_soon();
        Ok(())
    }

    fn frame_refused(&mut self, _: &dyn Transport, error: FramingError) -> Result {
        self.refuse(error.to_string());
        Ok(())
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        match timeout {
            Timeout::User if self.state == PeerState::Wrong => self.refuse("the token is wrong"),
            Timeout::User => {
                let seconds = HELLO_WITHIN.as_secs();
                self.refuse(format!("who is there? No hello came in {seconds} s"));
            }
            _ => transport.abort(),
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        let now = self.shared.now();
        let mut state = self.shared.state.borrow_mut();
        state.peers.remove(&self.key);
        state.strangers.remove(&self.key);
        state.stop_waiting(self.key);
        state.watches.forget(self.key);
        state.untold.remove(&self.key);
        state.outboxes.remove(&self.key);
        state.followers.forget(self.key);
        state.forget_unkept(self.key);
        state.copies.forget(self.key);
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
