//! A copy of the coordinator's store.

use std::cell::Cell;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wharf::Result;

use super::handle::{Client, unexpected};
use crate::wire::{Answer, Ask};

impl Client {
    /// Copies the coordinator's store to `to`, as it is at one moment, while the coordinator works: every task whose submit
    /// was acknowledged before is in it. Returns its length in bytes.
    ///
    /// # Errors
    /// The coordinator refuses or cannot copy, the connection is lost meanwhile, `to` cannot be written, the client is
    /// closed, or takes a copy already. What was written to `to` is then no store.
    pub async fn back_up(&self, to: &mut dyn Write) -> Result<u64> {
        let Some(_turn) = Turn::take(&self.shared.takes_copy) else {
            return Err("this client takes a copy already".into());
        };
        let length = match self.shared.ask(Ask::BackUp).await? {
            Answer::Copied(length) => length,
            _ => return Err(unexpected().into()),
        };
        let mut offset = 0;
        while offset < length {
            let part = match self.shared.ask(Ask::ReadBackUp(offset)).await? {
                Answer::Part(part) => STANDARD.decode(&*part)?,
                _ => return Err(unexpected().into()),
            };
            if part.is_empty() {
                return Err("the copy is shorter than it was".into());
            }
            if part.len() as u64 > length - offset {
                return Err("the copy is longer than it was".into());
            }
            to.write_all(&part)?;
            offset += part.len() as u64;
        }
        Ok(length)
    }
}

/// A connection has one copy: with two at once, each would get parts of the other's.
struct Turn<'a>(&'a Cell<bool>);

impl<'a> Turn<'a> {
    fn take(is_taken: &'a Cell<bool>) -> Option<Self> {
        (!is_taken.replace(true)).then_some(Self(is_taken))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}
