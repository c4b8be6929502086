//! Requests of one connection.

use std::fmt;
use std::rc::Rc;

use wharf::Result;
use wharf_protocols::http::{Exchange, HttpError, HttpHandler, RequestHead};

use super::access::Access;
use super::answers::{page, say};
use super::metrics;
use super::pages::{self, SIGN_IN, WRONG_TOKEN};
use super::server::Shared;
use super::session::Session;

/// The most content of a request, in bytes: a token.
const MOST_CONTENT: usize = 4096;

/// Answers the requests of one connection.
pub struct Site {
    shared: Rc<Shared>,
    /// Somebody is signing in.
    signing_in: Option<SigningIn>,
}

struct SigningIn {
    /// The cookie, if the token is right.
    cookie: Option<String>,
    content: Vec<u8>,
}

impl Site {
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self { shared, signing_in: None }
    }

    fn look(
        &self,
        request: &RequestHead<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), HttpError> {
        let path = request.path();
        if path == "/healthz" {
            return self.health(exchange);
        }
        if !self.shared.access.allows(request) {
            return match (path, pages::public(path)) {
                (_, Some(public)) => page(exchange, 200, &public, &[]),
                ("/", _) => page(exchange, 401, &SIGN_IN, &[]),
                _ => say(exchange, 401, "sign in", &[("WWW-Authenticate", b"Bearer")]),
            };
        }
        match path {
            "/metrics" => {
                let text = metrics::text(&self.shared.hub.source().overview());
                let fields = [("Content-Type", metrics::KIND.as_bytes())];
                say(exchange, 200, &text, &fields)
            }
            "/live" => {
                let session = Session::new(Rc::clone(&self.shared.hub));
                let options = Rc::clone(&self.shared.sockets);
                self.shared.handshake.answer(request, exchange, options, session)
            }
            _ => match pages::page(path) {
                Some(found) => page(exchange, 200, &found, &[]),
                None => say(exchange, 404, "not found", &[]),
            },
        }
    }

    /// For whoever watches over processes: it does not say more than how it is.
    fn health(&self, exchange: &mut Exchange<'_>) -> Result<(), HttpError> {
        let overview = self.shared.hub.source().overview();
        match (overview.store_error, overview.is_draining) {
            (Some(_), _) => say(exchange, 503, "the store cannot be written", &[]),
            (None, true) => say(exchange, 200, "draining", &[]),
            (None, false) => say(exchange, 200, "ok", &[]),
        }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Site").finish_non_exhaustive()
    }
}

impl HttpHandler for Site {
    fn request(&mut self, request: &RequestHead<'_>, exchange: &mut Exchange<'_>) -> Result {
        self.signing_in = None;
        if !self.shared.access.is_for_this_host(request) {
            let text = "this is not a name of this host: see --http-name";
            say(exchange, 421, text, &[])?;
        } else if request.path() == "/sign-in" && request.method() == "POST" {
            if Access::is_of_this_host(request) {
                let cookie = self.shared.access.cookie(request);
                self.signing_in = Some(SigningIn { cookie, content: Vec::new() });
            } else {
                say(exchange, 403, "this is not from a page of this host", &[])?;
            }
        } else if matches!(request.method(), "GET" | "HEAD") {
            self.look(request, exchange)?;
        } else {
            say(exchange, 405, "pages are looked at", &[("Allow", b"GET, HEAD")])?;
        }
        Ok(())
    }

    fn data(&mut self, data: &[u8], exchange: &mut Exchange<'_>) -> Result {
        if let Some(SigningIn { content, .. }) = &mut self.signing_in {
            content.extend_from_slice(data);
            if content.len() > MOST_CONTENT {
                self.signing_in = None;
                say(exchange, 413, "a token is shorter", &[("Connection", b"close")])?;
            }
        }
        Ok(())
    }

    /// The form is `text/plain`: `token=` and what was typed.
    fn end(&mut self, exchange: &mut Exchange<'_>) -> Result {
        let Some(SigningIn { cookie, content }) = self.signing_in.take() else { return Ok(()) };
        let text = std::str::from_utf8(&content).unwrap_or_default();
        let token = text.strip_prefix("token=").unwrap_or_default().trim();
        if !self.shared.access.is_token(token) {
            page(exchange, 401, &WRONG_TOKEN, &[])?;
            return Ok(());
        }
        let cookie = cookie.unwrap_or_default();
        let mut fields = vec![("Location", &b"/"[..])];
        if !cookie.is_empty() {
            fields.push(("Set-Cookie", cookie.as_bytes()));
        }
        say(exchange, 303, "welcome", &fields)?;
        Ok(())
    }
}
