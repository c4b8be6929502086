//! The end of a coordinator in good order: nothing that was said or done is lost by it.

use wharf::{LoopFuture, Transport as _};

use super::server::{CoordinatorServer, Shared, State};
use crate::wire::FromCoordinator;

impl CoordinatorServer {
    /// Ends in good order. What comes in from now on is not looked at: there is no answer to it, so whoever said it says it
    /// again to the coordinator that follows. What has changed is written, who waits for that is told, and then everybody
    /// is told of the end and disconnected. Workers keep what they run.
    ///
    /// `restarts`: a coordinator follows at once at the same addresses, and peers come back without a pause.
    ///
    /// Waits for the disk, also for one that is full. Dropping the future ends the waiting; nothing comes in all the same.
    pub async fn leave(&self, restarts: bool) {
        let shared = &self.shared;
        shared.state.borrow_mut().is_leaving = true;
        shared.settle();
        while let Some(written) = shared.next_write() {
            // It is dropped with the coordinator only.
            if written.await.is_err() {
                return;
            }
        }
        let mut state = shared.state.borrow_mut();
        let peers: Vec<_> = state.peers.keys().copied().collect();
        for peer in &peers {
            state.tell(*peer, &FromCoordinator::Goodbye { restarts });
        }
        state.send();
        for transport in state.peers.values() {
            transport.close();
        }
    }
}

impl Shared {
    /// The end of the batch that is being written; `None`: all is on the disk.
    fn next_write(&self) -> Option<LoopFuture<()>> {
        let mut state = self.state.borrow_mut();
        if state.is_all_durable() {
            return None;
        }
        let (promise, written) = self.event_loop.create_future();
        state.until_written.push(promise);
        Some(written)
    }
}

impl State {
    fn is_all_durable(&mut self) -> bool {
        self.coordinator.journal().awaited(u64::MAX).is_none()
    }

    /// A batch was written: whoever waits for all of them looks again.
    pub(super) fn wake_who_leaves(&mut self) {
        for promise in self.until_written.drain(..) {
            let _ = promise.set_result(());
        }
    }
}
