//! The keys of session tickets, and how long they live.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::server::ProducesTickets;

use super::clock;
use super::provider::TlsProvider;
use crate::error::{Error, Kind};

/// As long as a ticket can be used, unless set. A provider's own key lasts no longer.
pub(super) const MAX_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// Encrypts tickets, each key for half a lifetime, and decrypts with this key and the one before.
///
/// rustls has the like, which goes by the system's time; this one goes by the loop's.
pub(super) struct Tickets {
    provider: TlsProvider,
    /// In seconds.
    lifetime: u32,
    keys: Mutex<Keys>,
}

struct Keys {
    current: Arc<dyn ProducesTickets>,
    previous: Option<Arc<dyn ProducesTickets>>,
    /// When the current one was made, in seconds.
    since: u64,
}

impl Tickets {
    /// `None` if the provider cannot make keys.
    pub(super) fn new(provider: &TlsProvider, lifetime: Duration) -> Result<Option<Self>, Error> {
        let seconds = lifetime.as_secs();
        if !(2..=MAX_LIFETIME.as_secs()).contains(&seconds) {
            let text = "the lifetime of a TLS ticket must be between 2 s and 12 h";
            return Err(Error::invalid(text));
        }
        let Some(key) = provider.ticket_key() else {
            return Ok(None);
        };
        let current = key.map_err(|error| {
            Error::with_source(Kind::Unsupported, "no key for TLS tickets can be made", error)
        })?;
        let keys = Keys { current, previous: None, since: clock::now().as_secs() };
        Ok(Some(Self {
            provider: provider.clone(),
            lifetime: seconds as u32,
            keys: Mutex::new(keys),
        }))
    }

    fn keys(&self) -> (Arc<dyn ProducesTickets>, Option<Arc<dyn ProducesTickets>>) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::now().as_secs();
        // A clock that was set back must not prolong a key's life.
        keys.since = keys.since.min(now);
        let age = now - keys.since;
        let half = u64::from(self.lifetime / 2);
        if age >= half {
            // Without randomness for a new key the old one is used on.
            if let Some(Ok(fresh)) = self.provider.ticket_key() {
                let old = std::mem::replace(&mut keys.current, fresh);
                keys.previous = (age < u64::from(self.lifetime)).then_some(old);
                keys.since = now;
            }
        }
        (Arc::clone(&keys.current), keys.previous.clone())
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.lifetime
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys().0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let (current, previous) = self.keys();
        current.decrypt(cipher).or_else(|| previous?.decrypt(cipher))
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tickets").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}
