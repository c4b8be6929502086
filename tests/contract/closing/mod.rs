//! Closing a loop.

mod closed;
mod ending;
mod owner;

use wharf::{Protocol, Transport};

struct Idle;

impl Protocol for Idle {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }
}
