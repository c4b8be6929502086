//! Buffers between messages.
//!
//! A connection that is idle, or whose messages come whole, holds no buffer; one whose messages are masked, cut or
//! compressed needs one for a moment. Those of a thread take turns with a few, so that nothing is allocated for a
//! message.

use std::cell::RefCell;

/// An empty buffer, with some room if there is one to spare.
pub(super) fn take() -> Vec<u8> {
    // While the thread ends there is none.
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten().unwrap_or_default()
}

/// Gives a buffer back. Large ones, and more than a few, are freed.
pub(super) fn give(mut buffer: Vec<u8>) {
    if buffer.capacity() == 0 || buffer.capacity() > MAX_CAPACITY {
        return;
    }
    buffer.clear();
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MAX_COUNT {
            spare.push(buffer);
        }
    });
}

/// The most bytes of one buffer that is kept. A message of 64 KiB with what precedes it fits twice.
const MAX_CAPACITY: usize = 160 * 1024;

/// The most buffers that a thread keeps.
const MAX_COUNT: usize = 16;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}
