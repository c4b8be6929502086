//! What each answer says to browsers.

use wharf_protocols::http::{Answer, Exchange, HttpError};

use super::pages::Page;

/// Nothing is run or shown but what this host sends as a file; nobody else shows this page within theirs, or keeps it.
const FIELDS: [(&str, &[u8]); 7] = [
    (
        "Content-Security-Policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
          form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", b"nosniff"),
    ("X-Frame-Options", b"DENY"),
    // With `no-referrer` a form would not say which page it is of.
    ("Referrer-Policy", b"same-origin"),
    ("Cross-Origin-Opener-Policy", b"same-origin"),
    ("Cross-Origin-Resource-Policy", b"same-origin"),
    ("Cache-Control", b"no-store"),
];

/// Where an answer goes: to the request that is there, or to one that was there before.
pub(super) trait Respond {
    fn respond(
        self,
        status: u16,
        fields: &[(&str, &[u8])],
        content: &[u8],
    ) -> Result<(), HttpError>;
}

impl Respond for &mut Exchange<'_> {
    fn respond(
        self,
        status: u16,
        fields: &[(&str, &[u8])],
        content: &[u8],
    ) -> Result<(), HttpError> {
        Exchange::respond(self, status, fields, content)
    }
}

impl Respond for Answer {
    fn respond(
        self,
        status: u16,
        fields: &[(&str, &[u8])],
        content: &[u8],
    ) -> Result<(), HttpError> {
        Self::respond(self, status, fields, content)
    }
}

/// A page.
pub(super) fn page(
    to: impl Respond,
    status: u16,
    page: &Page,
    fields: &[(&str, &[u8])],
) -> Result<(), HttpError> {
    let mut all = FIELDS.to_vec();
    all.push(("Content-Type", page.kind.as_bytes()));
    all.extend_from_slice(fields);
    to.respond(status, &all, page.content.as_bytes())
}

/// A text, as `text/plain` unless `fields` say what it is.
pub(super) fn say(
    to: impl Respond,
    status: u16,
    text: &str,
    fields: &[(&str, &[u8])],
) -> Result<(), HttpError> {
    let mut all = FIELDS.to_vec();
    if !fields.iter().any(|(name, _)| *name == "Content-Type") {
        all.push(("Content-Type", b"text/plain; charset=utf-8"));
    }
    all.extend_from_slice(fields);
    let end = if text.ends_with('\n') { "" } else { "\n" };
    to.respond(status, &all, format!("{text}{end}").as_bytes())
}
