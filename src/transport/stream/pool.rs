//! The memory of closed connections, for new ones.

use std::cell::RefCell;
use std::rc::Rc;

use super::Stream;

/// How many are kept: a burst of connections that come and go costs the allocator nothing.
const KEPT: usize = 128;

/// Closed streams that nothing refers to any more.
#[derive(Default)]
pub(crate) struct StreamPool(RefCell<Vec<Rc<Stream>>>);

impl StreamPool {
    /// Puts a new stream into the memory of a closed one, or into memory of its own.
    #[inline]
    pub(super) fn place(&self, stream: Stream) -> Rc<Stream> {
        let vacant = self.0.borrow_mut().pop();
        if let Some(mut vacant) = vacant
            && let Some(place) = Rc::get_mut(&mut vacant)
        {
            // There is nothing in it any more that would have to be dropped: asking costs.
            std::mem::forget(std::mem::replace(place, stream));
            return vacant;
        }
        Rc::new(stream)
    }

    /// Closes the socket of a closed stream, and keeps its memory.
    ///
    /// A stream that something still refers to (an entry of the ready list) goes with that.
    #[inline(always)]
    pub(crate) fn retire(&self, mut stream: Rc<Stream>) {
        if let Some(place) = Rc::get_mut(&mut stream) {
            place.vacate();
            let mut kept = self.0.borrow_mut();
            if kept.len() < KEPT {
                kept.push(stream);
            }
        }
    }
}
