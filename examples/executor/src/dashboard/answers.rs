//! What each answer says to browsers.

use std::borrow::Cow;

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

/// What is answered.
pub(super) struct Reply<'a> {
    status: u16,
    fields: Vec<(&'a str, &'a [u8])>,
    content: Cow<'a, [u8]>,
}

impl<'a> Reply<'a> {
    pub(super) fn page(status: u16, page: &'a Page, fields: &[(&'a str, &'a [u8])]) -> Self {
        let mut all = FIELDS.to_vec();
        all.push(("Content-Type", page.kind.as_bytes()));
        all.extend_from_slice(fields);
        Self { status, fields: all, content: page.content.as_bytes().into() }
    }

    /// A text, as `text/plain` unless `fields` say what it is.
    pub(super) fn text(status: u16, text: &str, fields: &[(&'a str, &'a [u8])]) -> Self {
        let mut all = FIELDS.to_vec();
        if !fields.iter().any(|(name, _)| *name == "Content-Type") {
            all.push(("Content-Type", b"text/plain; charset=utf-8"));
        }
        all.extend_from_slice(fields);
        let end = if text.ends_with('\n') { "" } else { "\n" };
        Self { status, fields: all, content: format!("{text}{end}").into_bytes().into() }
    }

    /// Answers the request that is there.
    pub(super) fn send(&self, exchange: &mut Exchange<'_>) -> Result<(), HttpError> {
        exchange.respond(self.status, &self.fields, &self.content)
    }

    /// Answers one that was there before.
    pub(super) fn send_late(&self, answer: Answer) -> Result<(), HttpError> {
        answer.respond(self.status, &self.fields, &self.content)
    }
}
