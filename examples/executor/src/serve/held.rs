//! What a coordinator keeps of those who are connected, for tests: nothing of it may stay when they are gone.

use super::server::CoordinatorServer;

impl CoordinatorServer {
    /// How many connections there are, and how much of each thing is kept for connections.
    #[doc(hidden)]
    pub fn held(&self) -> [(&'static str, usize); 13] {
        let state = self.shared.state.borrow();
        [
            ("connections", state.peers.len()),
            ("strangers", state.strangers.len()),
            ("workers", state.workers.len()),
            ("tasks that are waited for", state.waiting.len()),
            ("who waits", state.waits.len()),
            ("watched tasks and who watches", state.watches.held()),
            ("followed outputs and who follows", state.followers.held()),
            ("who is slow", state.untold.len()),
            ("outboxes", state.outboxes.len()),
            ("outboxes with something", state.unsent.len()),
            ("copies", state.copies.taken()),
            ("who has written what is not kept", state.unkept.held()),
            ("what is said later", state.later.len() + state.waking.len()),
        ]
    }
}
