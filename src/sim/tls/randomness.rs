//! Where the simulation that runs on this thread lends its random numbers.

use std::cell::RefCell;

use rustls::crypto::{GetRandomFailed, SecureRandom};

use crate::sim::random::Random;

thread_local! {
    /// rustls asks a `static` for random bytes: the one place that it and a simulation both know is their thread.
    static SOURCE: RefCell<Option<Random>> = const { RefCell::new(None) };
}

/// Lends these numbers to what happens on this thread, until what this gives is dropped.
pub(in crate::sim) fn lend(random: &Random) -> Lent {
    Lent { former: SOURCE.replace(Some(random.clone())) }
}

/// Random numbers are lent. Dropping it gives the thread those that it had before.
pub(in crate::sim) struct Lent {
    former: Option<Random>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        SOURCE.set(self.former.take());
    }
}

/// The random numbers that are lent to this thread.
#[derive(Debug)]
pub(super) struct FromSeed;

impl SecureRandom for FromSeed {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        SOURCE.with_borrow(|source| {
            let random = source.as_ref().ok_or(GetRandomFailed)?;
            for chunk in buffer.chunks_mut(8) {
                chunk.copy_from_slice(&random.next_u64().to_le_bytes()[..chunk.len()]);
            }
            Ok(())
        })
    }
}
