//! What a capture is told by sockets.

use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use super::{Capture, Ends};
use crate::driver::memory::{Link, Network, Tap};

/// Sees for a capture what sockets write, and how much more they take.
pub(in crate::sim) struct CaptureTap {
    capture: Rc<RefCell<Capture>>,
    /// The network keeps its tap.
    elapsed: Box<dyn Fn() -> Duration>,
}

impl CaptureTap {
    pub(in crate::sim) fn new(network: &Network, capture: &Rc<RefCell<Capture>>) -> Self {
        Self { capture: Rc::clone(capture), elapsed: Box::new(network.stopwatch()) }
    }
}

impl Tap for CaptureTap {
    fn wrote(&self, link: Link<'_>, slices: &[IoSlice<'_>], count: usize) {
        let Some(ends) = ends(link) else { return };
        let mut left = count;
        for slice in slices {
            let part = slice.len().min(left);
            left -= part;
            self.capture.borrow_mut().wrote((self.elapsed)(), ends, &slice[..part]);
        }
    }

    fn has_room(&self, link: Link<'_>, room: usize) {
        if let Some(ends) = ends(link) {
            self.capture.borrow_mut().has_room((self.elapsed)(), ends, room);
        }
    }

    fn datagram(&self, link: Link<'_>, data: &[u8]) {
        if let Some(ends) = ends(link) {
            self.capture.borrow_mut().next_datagram(ends, data);
        }
    }
}

fn ends(link: Link<'_>) -> Option<Ends> {
    Some((link.from?.as_ip()?, link.to?.as_ip()?))
}
