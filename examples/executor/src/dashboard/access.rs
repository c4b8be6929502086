//! Who may look.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use wharf_protocols::http::RequestHead;

use crate::access::{host_of, is_local};

/// How long a browser stays signed in, in seconds.
const SIGNED_IN: u32 = 30 * 24 * 60 * 60;

/// What requests have to show.
pub(super) struct Access {
    /// Of the token; `None`: everybody on this machine may look.
    digest: Option<[u8; 32]>,
    /// Names that this host has.
    names: Vec<String>,
}

/// What a request has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nothing,
    /// No token, or no cookie, that this dashboard has.
    Wrong,
    /// Whoever asks may look.
    Right,
}

/// A dashboard that others than those on this machine would reach, without a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessError(Box<str>);

impl Access {
    pub(super) fn new(
        address: &str,
        token: Option<&str>,
        names: Vec<String>,
    ) -> Result<Self, AccessError> {
        if token.is_none_or(str::is_empty) && !is_local(address) {
            return Err(AccessError(address.into()));
        }
        Ok(Self { digest: token.map(digest), names })
    }

    /// Whether a request names this host: an address, `localhost`, or a name that was given. Else a name of somebody else
    /// has been made to lead here, for their page to be of the same origin (DNS rebinding).
    pub(super) fn is_for_this_host(&self, request: &RequestHead<'_>) -> bool {
        let Some(host) = request.authority().map(host_of) else { return false };
        let is_address = host.parse::<IpAddr>().is_ok();
        let is_named = |name: &String| name.eq_ignore_ascii_case(host);
        is_address || host.eq_ignore_ascii_case("localhost") || self.names.iter().any(is_named)
    }

    /// What whoever asks has shown.
    pub(super) fn shown(&self, request: &RequestHead<'_>) -> Shown {
        let Some(digest) = &self.digest else { return Shown::Right };
        let text = |name| std::str::from_utf8(request.headers().get(name)?).ok();
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| self.is_token(token)) {
            return Shown::Right;
        }
        let cookies = text("cookie").unwrap_or_default().split(';');
        let name = cookie_name(request);
        // A browser has one. To look at more would be to look at many guesses at once.
        let value = cookies.filter_map(|cookie| cookie.trim().strip_prefix(&*name)).next();
        // What is compared is a digest of the token's digest: how long it takes tells nothing of use.
        let is_right = |value| Sha256::digest(value) == Sha256::digest(cookie_value(digest));
        match value {
            Some(value) if is_right(value) => Shown::Right,
            None if bearer.is_none() => Shown::Nothing,
            _ => Shown::Wrong,
        }
    }

    pub(super) fn is_token(&self, token: &str) -> bool {
        self.digest.is_none_or(|expected| Sha256::digest(digest(token)) == Sha256::digest(expected))
    }

    /// The cookie of a browser that has signed in. It does not tell the token, and no script can read it.
    pub(super) fn cookie(&self, request: &RequestHead<'_>) -> Option<String> {
        let (name, value) = (cookie_name(request), cookie_value(self.digest.as_ref()?));
        Some(format!("{name}{value}; Path=/; Max-Age={SIGNED_IN}; HttpOnly; SameSite=Strict"))
    }

    /// Whether a request was made by a page of this host, if it was made by a page at all.
    pub(super) fn is_of_this_host(request: &RequestHead<'_>) -> bool {
        let Some(origin) = request.headers().get("origin") else { return true };
        let origin = std::str::from_utf8(origin).ok().and_then(|origin| origin.split_once("://"));
        let authority = request.authority();
        origin.is_some_and(|(_, host)| authority.is_some_and(|own| own.eq_ignore_ascii_case(host)))
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a dashboard at {} needs a token: others can reach that address", self.0)
    }
}

impl std::error::Error for AccessError {}

fn digest(token: &str) -> [u8; 32] {
    Sha256::new().chain_update("wharf-executor dashboard\0").chain_update(token).finalize().into()
}

/// With `=`. Browsers do not keep ports of the same host apart.
fn cookie_name(request: &RequestHead<'_>) -> String {
    let authority = request.authority().unwrap_or_default();
    let port = authority.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
    format!("wharf-executor-{}=", port.unwrap_or("80"))
}

fn cookie_value(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
