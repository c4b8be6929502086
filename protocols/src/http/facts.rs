use super::chars::host_length;
use super::{Rule, Version};
use crate::field_syntax::{is_token_text, list};

/// What the fields of a head say about how the message and the connection go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) content_length: Option<u64>,
    pub(super) is_chunked: bool,
    pub(super) has_host: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    pub(super) has_upgrade: bool,
    pub(super) expects_continue: bool,
}

impl Facts {
    /// Looks at one field of a request. The error says what is wrong with it.
    #[inline]
    pub(super) fn add_of_request(&mut self, name: &[u8], value: &[u8]) -> Result<(), Rule> {
        // Most fields are told apart by their length.
        match name.len() {
            4 if is(name, b"host") => {
                if self.has_host {
                    return Err(Rule::HostRepeated);
                }
                self.has_host = true;
                if !is_host(value) {
                    return Err(Rule::HostMalformed);
                }
            }
            6 if is(name, b"expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Rule::Expectation);
                }
                self.expects_continue = true;
            }
            7 | 10 | 14 | 17 => return self.add(name, value),
            _ => {}
        }
        Ok(())
    }

    /// Looks at one field of any message.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) -> Result<(), Rule> {
        match name.len() {
            7 if is(name, b"upgrade") => self.has_upgrade = true,
            10 if is(name, b"connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            14 if is(name, b"content-length") => {
                if self.content_length.is_some() {
                    return Err(Rule::ContentLengthRepeated);
                }
                if self.is_chunked {
                    return Err(Rule::LengthAndCoding);
                }
                self.content_length = Some(content_length(value)?);
            }
            17 if is(name, b"transfer-encoding") => {
                if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Rule::TransferCoding);
                }
                if self.content_length.is_some() {
                    return Err(Rule::LengthAndCoding);
                }
                self.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// What the fields of a request break together.
    #[inline]
    pub(super) fn check_request(&self, method: &str, version: Version) -> Result<(), Rule> {
        if !self.has_host && version == Version::Http11 {
            return Err(Rule::HostMissing);
        }
        if self.is_chunked && version == Version::Http10 {
            return Err(Rule::CodingNotAllowed);
        }
        if method == "CONNECT" && (self.is_chunked || self.content_length.is_some_and(|n| n > 0)) {
            return Err(Rule::ContentNotAllowed);
        }
        Ok(())
    }

    /// What the fields of a response break together.
    pub(super) fn check_response(&self, status: u16, version: Version) -> Result<(), Rule> {
        let has_no_content = status < 200 || status == 204;
        if self.is_chunked && (version == Version::Http10 || has_no_content) {
            return Err(Rule::CodingNotAllowed);
        }
        // A length of 0 says nothing wrong, and some send it.
        if has_no_content && self.content_length.is_some_and(|length| length > 0) {
            return Err(Rule::ContentNotAllowed);
        }
        Ok(())
    }

    pub(super) fn is_kept_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// Whether a field's name, which is a token, is `lower`; capitals make no difference.
#[inline]
fn is<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    // Of the characters of a token only capitals and small letters are told apart by that bit where it matters: no other
    // gives a letter or a hyphen.
    <&[u8; N]>::try_from(name).is_ok_and(|name| name.map(|byte| byte | 0x20) == *lower)
}

/// Whether a target has a form that the method takes (RFC 9112, 3.2).
pub(super) fn is_target_for(method: &str, target: &str) -> bool {
    let bytes = target.as_bytes();
    if method == "CONNECT" {
        let port = target.rsplit_once(':').map(|(_, port)| port);
        return port.is_some_and(|port| !port.is_empty()) && is_host(bytes);
    }
    match bytes {
        [b'/', ..] => true,
        b"*" => method == "OPTIONS",
        // Absolute: a scheme, and an authority that is no less a host than Host's.
        _ => target.split_once("://").is_some_and(|(scheme, rest)| {
            let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(is_scheme_byte)
                && end > 0
                && is_host(&rest.as_bytes()[..end])
        }),
    }
}

/// `uri-host [ ":" port ]`, and nothing in it that another program could take for something else: no user, path or list.
#[inline]
fn is_host(value: &[u8]) -> bool {
    let port = match value {
        [b'[', rest @ ..] => match memchr::memchr(b']', rest) {
            Some(end) => {
                let is_address =
                    |&byte: &u8| byte.is_ascii_alphanumeric() || b":.-_~%".contains(&byte);
                if end == 0 || !rest[..end].iter().all(is_address) {
                    return false;
                }
                &rest[end + 1..]
            }
            None => return false,
        },
        _ => &value[host_length(value)..],
    };
    match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// `1*DIGIT` that fits 64 bits: no sign, no list.
fn content_length(value: &[u8]) -> Result<u64, Rule> {
    let digit = |total: u64, &byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        total.checked_mul(10)?.checked_add(digit)
    };
    match value.is_empty() {
        true => Err(Rule::ContentLength),
        // The same number twice in one field is no better than in two.
        false => value.iter().try_fold(0, digit).ok_or(match memchr::memchr(b',', value) {
            Some(_) => Rule::ContentLengthRepeated,
            None => Rule::ContentLength,
        }),
    }
}

/// Whether a field says how a message is taken apart, whom it is for, who sends it, what is asked for, or how the connection
/// goes on: nothing that may come behind the content (RFC 9110, 6.5.1).
pub(super) fn is_forbidden_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 22] = [
        b"transfer-encoding",
        b"content-length",
        b"host",
        b"connection",
        b"upgrade",
        b"expect",
        b"trailer",
        b"te",
        b"content-encoding",
        b"content-type",
        b"content-range",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"cache-control",
        b"max-forwards",
        b"range",
        b"keep-alive",
        b"proxy-connection",
        b"location",
        b"content-location",
    ];
    FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

pub(super) fn is_method(method: &str) -> bool {
    is_token_text(method.as_bytes())
}
