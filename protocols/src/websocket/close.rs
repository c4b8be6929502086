//! What a close frame says (RFC 6455, 5.5.1 and 7.4).

use std::fmt;

use super::Violation;

/// Why a connection is closed (RFC 6455, 7.4).
///
/// ```
/// use wharf_protocols::websocket::CloseCode;
///
/// assert_eq!(CloseCode::NORMAL.to_string(), "1000 (normal closure)");
/// assert_eq!(CloseCode::new(3000).to_string(), "3000");
/// // It says what no frame can: that there was none.
/// assert!(!CloseCode::ABNORMAL.can_be_sent());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: what the connection was for is done.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server shuts down, or a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: the peer sent a kind of data that is not accepted.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection was lost without a close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: a message does not hold what its kind says, such as text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a message breaks a policy.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// 1010: a client misses an extension that the server did not negotiate.
    pub const EXTENSION_MISSING: Self = Self(1010);
    /// 1011: a server failed.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: a server restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: a server is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid answer.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: a TLS handshake failed. Never sent.
    pub const TLS_FAILED: Self = Self(1015);

    /// Any code: 3000 to 3999 are registered for libraries and applications, 4000 to 4999 are free.
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a close frame may carry it: 1000 to 1003, 1007 to 1014, and 3000 to 4999.
    ///
    /// The others are reserved, or stand for what no frame says (RFC 6455, 7.4.1 and 7.4.2).
    pub const fn can_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NORMAL => "normal closure",
            Self::GOING_AWAY => "going away",
            Self::PROTOCOL_ERROR => "protocol error",
            Self::UNSUPPORTED_DATA => "unsupported data",
            Self::NO_STATUS => "no status received",
            Self::ABNORMAL => "abnormal closure",
            Self::INVALID_DATA => "invalid data",
            Self::POLICY_VIOLATION => "policy violation",
            Self::TOO_BIG => "message too big",
            Self::EXTENSION_MISSING => "extension missing",
            Self::INTERNAL_ERROR => "internal error",
            Self::SERVICE_RESTART => "service restart",
            Self::TRY_AGAIN_LATER => "try again later",
            Self::BAD_GATEWAY => "bad gateway",
            Self::TLS_FAILED => "TLS handshake failed",
            _ => return None,
        })
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(formatter, "{} ({name})", self.0),
            None => self.0.fmt(formatter),
        }
    }
}

/// What a close frame says: a code, and words for a log (RFC 6455, 5.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseReason<'a> {
    /// Why.
    pub code: CloseCode,
    /// The words, at most [`MAX_LENGTH`](Self::MAX_LENGTH) bytes; often none.
    pub reason: &'a str,
}

impl<'a> CloseReason<'a> {
    /// The most bytes of words.
    pub const MAX_LENGTH: usize = 123;

    /// A code without words.
    pub const fn new(code: CloseCode) -> Self {
        Self { code, reason: "" }
    }

    /// Takes the payload of a close frame apart; an empty one says nothing.
    pub(super) fn decode(payload: &'a [u8]) -> Result<Option<Self>, Violation> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return if payload.is_empty() { Ok(None) } else { Err(Violation::CloseLength) };
        };
        let code = CloseCode(u16::from_be_bytes(*code));
        if !code.can_be_sent() {
            return Err(Violation::CloseCode(code.get()));
        }
        match std::str::from_utf8(reason) {
            Ok(reason) => Ok(Some(Self { code, reason })),
            Err(_) => Err(Violation::InvalidUtf8),
        }
    }
}

impl fmt::Display for CloseReason<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(formatter)?;
        if self.reason.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.reason) }
    }
}
