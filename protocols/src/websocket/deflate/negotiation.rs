//! What the two ends agree upon (RFC 7692, 7.1).

use std::fmt::Write;

use super::{Deflater, Inflater};
use crate::websocket::Role;
use crate::websocket::handshake::Extension;

/// How this end would compress messages (RFC 7692).
///
/// With context takeover, each message is compressed with what came before it: small ones of a kind become much
/// smaller, and each connection holds about 300 KB for what it sends and 40 KB for what it receives. Without, a thread
/// holds that.
///
/// ```
/// use wharf_protocols::websocket::{DeflateOptions, ServerHandshake};
///
/// // Nothing is held between messages.
/// let options = DeflateOptions::new().no_context_takeover(true);
/// let handshake = ServerHandshake::new().deflate(options);
/// # let _ = handshake;
/// ```
///
/// Compressing what is secret together with what an attacker chooses tells him of the secret by its length (as BREACH
/// does): leave it off there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeflateOptions {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: u8,
    client_max_window_bits: u8,
    level: u32,
    min_length: usize,
}

impl DeflateOptions {
    /// With context takeover if the peer agrees, windows of 15 bits (32 KiB), level 6, and for messages of 64 bytes and
    /// more.
    pub const fn new() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
            level: 6,
            min_length: 64,
        }
    }

    /// With `true`, each message is compressed by itself, both ways.
    #[must_use]
    pub const fn no_context_takeover(mut self, on: bool) -> Self {
        self.server_no_context_takeover = on;
        self.client_no_context_takeover = on;
        self
    }

    /// As [`no_context_takeover`](Self::no_context_takeover), for what the server sends.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, on: bool) -> Self {
        self.server_no_context_takeover = on;
        self
    }

    /// As [`no_context_takeover`](Self::no_context_takeover), for what the client sends.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, on: bool) -> Self {
        self.client_no_context_takeover = on;
        self
    }

    /// The largest window of what the server sends: 9 to 15 bits; others count as the nearest of them.
    #[must_use]
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = bits.clamp(9, 15);
        self
    }

    /// The largest window of what the client sends: 9 to 15 bits; others count as the nearest of them. A client that
    /// knows nothing of it cannot be limited.
    #[must_use]
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = bits.clamp(9, 15);
        self
    }

    /// How hard to try, from 1 (fast) to 9; others count as the nearest of them.
    #[must_use]
    pub fn level(mut self, level: u32) -> Self {
        self.level = level.clamp(1, 9);
        self
    }

    /// The shortest message to compress, in bytes.
    #[must_use]
    pub const fn min_length(mut self, min_length: usize) -> Self {
        self.min_length = min_length;
        self
    }

    /// What a client offers.
    pub(in crate::websocket) fn offer(&self) -> String {
        let mut offer = NAME.to_owned();
        if self.server_no_context_takeover {
            offer.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            offer.push_str("; client_no_context_takeover");
        }
        if self.server_max_window_bits < 15 {
            let _ = write!(offer, "; server_max_window_bits={}", self.server_max_window_bits);
        }
        offer.push_str("; client_max_window_bits");
        if self.client_max_window_bits < 15 {
            let _ = write!(offer, "={}", self.client_max_window_bits);
        }
        offer
    }

    /// What a server answers to an offer, and what it means; `None`: it cannot be accepted.
    pub(in crate::websocket) fn accept(
        &self,
        offer: &Extension,
    ) -> Option<(DeflateParameters, String)> {
        let offer = Fields::parse(offer)?;
        // A window of 8 bits is one that zlib does not make.
        let server_max_window_bits =
            offer.server_max_window_bits.unwrap_or(15).min(self.server_max_window_bits);
        if server_max_window_bits < 9 {
            return None;
        }
        let client_max_window_bits = match offer.client_max_window_bits {
            Some(bits) => bits.unwrap_or(15).min(self.client_max_window_bits),
            None => 15,
        };
        let parameters = DeflateParameters {
            server_no_context_takeover: offer.server_no_context_takeover
                || self.server_no_context_takeover,
            client_no_context_takeover: offer.client_no_context_takeover
                || self.client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
            level: self.level,
            min_length: self.min_length,
        };
        let mut answer = NAME.to_owned();
        if parameters.server_no_context_takeover {
            answer.push_str("; server_no_context_takeover");
        }
        if parameters.client_no_context_takeover {
            answer.push_str("; client_no_context_takeover");
        }
        if server_max_window_bits < 15 || offer.server_max_window_bits.is_some() {
            let _ = write!(answer, "; server_max_window_bits={server_max_window_bits}");
        }
        if client_max_window_bits < 15 {
            let _ = write!(answer, "; client_max_window_bits={client_max_window_bits}");
        }
        Some((parameters, answer))
    }

    /// What a server's answer to [`offer`](Self::offer) means; `None`: it is not one.
    pub(in crate::websocket) fn agree(&self, answer: &Extension) -> Option<DeflateParameters> {
        let answer = Fields::parse(answer)?;
        let server_max_window_bits = match answer.server_max_window_bits {
            Some(bits) if bits <= self.server_max_window_bits => bits,
            // It had to say that it agrees.
            None if self.server_max_window_bits == 15 => 15,
            _ => return None,
        };
        let client_max_window_bits = match answer.client_max_window_bits {
            Some(Some(bits)) => bits.min(self.client_max_window_bits),
            Some(None) => return None,
            None => self.client_max_window_bits,
        };
        if self.server_no_context_takeover && !answer.server_no_context_takeover {
            return None;
        }
        Some(DeflateParameters {
            server_no_context_takeover: answer.server_no_context_takeover,
            client_no_context_takeover: answer.client_no_context_takeover
                || self.client_no_context_takeover,
            server_max_window_bits,
            client_max_window_bits,
            level: self.level,
            min_length: self.min_length,
        })
    }
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// How messages are compressed: what both ends have agreed upon.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateParameters {
    /// Whether the server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// Whether the client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The server's window, in bits.
    pub server_max_window_bits: u8,
    /// The client's window, in bits.
    pub client_max_window_bits: u8,
    /// How hard this end tries.
    pub level: u32,
    /// The shortest message that this end compresses, in bytes.
    pub min_length: usize,
}

impl DeflateParameters {
    /// What `role` receives with.
    pub(in crate::websocket) fn inflater(&self, role: Role) -> Inflater {
        let (window_bits, no_context) = self.of(role.peer());
        Inflater::new(window_bits, !no_context)
    }

    /// What `role` sends with; `None` if its window is too small for us to compress.
    pub(in crate::websocket) fn deflater(&self, role: Role) -> Option<Deflater> {
        let (window_bits, no_context) = self.of(role);
        let deflater = Deflater::new(self.level, window_bits, !no_context, self.min_length);
        (window_bits > 8).then_some(deflater)
    }

    fn of(&self, sender: Role) -> (u8, bool) {
        match sender {
            Role::Client => (self.client_max_window_bits, self.client_no_context_takeover),
            Role::Server => (self.server_max_window_bits, self.server_no_context_takeover),
        }
    }
}

pub(in crate::websocket) const NAME: &str = "permessage-deflate";

/// The parameters of an offer or of an answer.
#[derive(Default)]
struct Fields {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// It may be there without a value.
    client_max_window_bits: Option<Option<u8>>,
}

impl Fields {
    /// `None` for what is unknown, there twice, or has a wrong value (RFC 7692, 7.1).
    fn parse(extension: &Extension) -> Option<Self> {
        let mut fields = Self::default();
        if extension.name != NAME {
            return None;
        }
        for (name, value) in &extension.parameters {
            let value = value.as_deref();
            let is_new = match name.as_str() {
                "server_no_context_takeover" if value.is_none() => {
                    !std::mem::replace(&mut fields.server_no_context_takeover, true)
                }
                "client_no_context_takeover" if value.is_none() => {
                    !std::mem::replace(&mut fields.client_no_context_takeover, true)
                }
                "server_max_window_bits" => {
                    fields.server_max_window_bits.replace(window_bits(value?)?).is_none()
                }
                "client_max_window_bits" => {
                    let bits = match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    };
                    fields.client_max_window_bits.replace(bits).is_none()
                }
                _ => return None,
            };
            if !is_new {
                return None;
            }
        }
        Some(fields)
    }
}

fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    // No leading zeros, and no sign.
    (value.len() == if bits < 10 { 1 } else { 2 }).then_some(bits)
}
