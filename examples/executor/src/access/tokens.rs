//! Who may do what.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// How long one who has shown a wrong token waits for the answer, on a connection that counts: whoever tries many can try
/// as many in that time as there may be of those.
pub(crate) const WRONG_TOKEN: Duration = Duration::from_millis(500);

/// What workers and clients must know. Without any, everybody may do everything.
#[derive(Clone, Default)]
pub struct Tokens {
    /// Who knows this may do everything.
    pub all: Option<Box<str>>,
    /// Who knows this may submit tasks, and ask about them and change them.
    pub submit: Option<Box<str>>,
    /// Who knows this may run tasks.
    pub work: Option<Box<str>>,
}

/// What a peer may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Submit tasks, ask about them, and change them.
    pub submit: bool,
    /// Run tasks.
    pub work: bool,
    /// What is about the coordinator itself: drain, restart, back up.
    pub operate: bool,
}

impl Tokens {
    /// One that everybody must know, if any.
    pub fn one(token: impl Into<Option<Box<str>>>) -> Self {
        Self { all: token.into(), ..Self::default() }
    }

    /// Whether none has to be known.
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.submit.is_none() && self.work.is_none()
    }

    /// What somebody may do who knows `token`.
    pub fn rights(&self, token: Option<&str>) -> Rights {
        let is = |known: &Option<Box<str>>| match (known, token) {
            (Some(known), Some(token)) => is_same(known, token),
            _ => false,
        };
        let all = self.is_empty() || is(&self.all);
        Rights { submit: all || is(&self.submit), work: all || is(&self.work), operate: all }
    }
}

impl fmt::Debug for Tokens {
    /// Which there are, and not what they are.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokens")
            .field("all", &self.all.is_some())
            .field("submit", &self.submit.is_some())
            .field("work", &self.work.is_some())
            .finish()
    }
}

/// How long it takes says nothing about the secret: what is compared are digests.
fn is_same(known: &str, token: &str) -> bool {
    Sha256::digest(known) == Sha256::digest(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_gives_its_rights_and_no_token_none() {
        let everything = Rights { submit: true, work: true, operate: true };
        assert_eq!(Tokens::default().rights(None), everything);
        assert_eq!(Tokens::default().rights(Some("x")), everything);
        let token = |text: &str| Some(text.into());
        let tokens = Tokens { all: token("a"), submit: token("s"), work: token("w") };
        assert_eq!(tokens.rights(Some("a")), everything);
        assert_eq!(tokens.rights(Some("s")), Rights { submit: true, ..Rights::default() });
        assert_eq!(tokens.rights(Some("w")), Rights { work: true, ..Rights::default() });
        for stranger in [None, Some(""), Some("aa"), Some("b")] {
            assert_eq!(tokens.rights(stranger), Rights::default());
        }
        // Nobody operates where only some may submit.
        let tokens = Tokens { submit: token("s"), ..Tokens::default() };
        assert_eq!(tokens.rights(None), Rights::default());
        assert!(!format!("{tokens:?}").contains("\"s\""));
    }
}
