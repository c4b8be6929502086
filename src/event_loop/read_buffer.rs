//! What sockets are read into.

use std::cell::RefCell;

/// What every `data_received` is lent a part of: one buffer for the whole loop.
const LENGTH: usize = 256 * 1024;

/// How many are kept for others: that of a loop in memory that waits, and that of those which take turns meanwhile.
const KEPT: usize = 2;

thread_local! {
    static KEPT_BUFFERS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// One that another loop of this thread has left, or a new one.
///
/// Whatever is in it, nobody sees more than a read has just put there.
pub(super) fn take() -> Box<[u8]> {
    let kept = KEPT_BUFFERS.try_with(|kept| kept.borrow_mut().pop()).ok().flatten();
    kept.unwrap_or_else(|| vec![0; LENGTH].into_boxed_slice())
}

/// Keeps one for other loops of this thread.
///
/// Loops in memory leave theirs when they have had their tick: thousands may be on one network, and a simulation of
/// them is often over before so much memory is cleared.
pub(super) fn leave(buffer: Box<[u8]>) {
    let _ = KEPT_BUFFERS.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::MemoryNetwork;
    use crate::{Result, sleep};

    #[test]
    fn any_number_of_loops_in_memory_on_a_thread_share_two_buffers() -> Result {
        let network = MemoryNetwork::new();
        let loops: Vec<_> = (0..5).map(|_| network.event_loop()).collect();
        for event_loop in &loops {
            event_loop.create_task(async { sleep(Duration::from_millis(1)).await }).detach();
        }
        loops[0].run(async |_| {
            sleep(Duration::from_millis(2)).await;
            Ok(())
        })?;
        assert!(loops.iter().all(|event_loop| event_loop.core().read_buffer.take().is_none()));
        assert_eq!(KEPT_BUFFERS.with_borrow(Vec::len), KEPT);
        Ok(())
    }

    #[test]
    fn no_more_are_kept_than_are_needed() {
        (0..5).for_each(|_| leave(vec![0; LENGTH].into_boxed_slice()));
        assert_eq!(KEPT_BUFFERS.with_borrow(Vec::len), KEPT);
    }
}
