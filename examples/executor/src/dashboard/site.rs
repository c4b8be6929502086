//! Requests of one connection.

use std::fmt;
use std::rc::Rc;

use wharf::{Result, TimerHandle};
use wharf_protocols::http::{Exchange, HttpError, HttpHandler, RequestHead};

use super::access::{Access, Shown};
use super::answers::Reply;
use super::metrics;
use super::pages;
use super::server::Shared;
use super::session::Session;
use super::visitors::Ticket;
use crate::access::WRONG_TOKEN;

/// The most content of a request, in bytes: a token.
const MOST_CONTENT: usize = 4096;

/// Answers the requests of one connection.
pub(super) struct Site {
    shared: Rc<Shared>,
    ticket: Rc<Ticket>,
    /// Somebody is signing in.
    signing_in: Option<SigningIn>,
    /// Somebody is told later that a token is wrong.
    late: Option<TimerHandle>,
}

struct SigningIn {
    /// The cookie, if the token is right.
    cookie: Option<String>,
    content: Vec<u8>,
}

/// What somebody is told who may not look.
#[derive(Clone, Copy)]
enum Refusal {
    /// The page to sign in.
    SignIn,
    /// The same after an attempt.
    WrongToken,
    /// For programs.
    Say,
}

impl Refusal {
    fn reply(self) -> Reply<'static> {
        match self {
            Self::SignIn => Reply::page(401, &pages::SIGN_IN, &[]),
            Self::WrongToken => Reply::page(401, &pages::WRONG_TOKEN, &[]),
            Self::Say => Reply::text(401, "sign in", &[("WWW-Authenticate", b"Bearer")]),
        }
    }
}

impl Site {
    pub(super) fn new(shared: Rc<Shared>, ticket: Rc<Ticket>) -> Self {
        Self { shared, ticket, signing_in: None, late: None }
    }

    /// Refuses a wrong token after a while: whoever tries many can try one in that time on each connection.
    fn refuse_late(
        &mut self,
        refusal: Refusal,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), HttpError> {
        let answer = exchange.later()?;
        let late = self.shared.hub.event_loop().call_later(WRONG_TOKEN, move || {
            // Whoever is gone does not hear it.
            let _ = refusal.reply().send_late(answer);
        });
        self.late = Some(late);
        Ok(())
    }

    fn look(
        &mut self,
        request: &RequestHead<'_>,
        exchange: &mut Exchange<'_>,
    ) -> Result<(), HttpError> {
        let path = request.path();
        if path == "/healthz" {
            return self.health(exchange);
        }
        if let Some(public) = pages::public(path) {
            return Reply::page(200, &public, &[]).send(exchange);
        }
        let refusal = if path == "/" { Refusal::SignIn } else { Refusal::Say };
        match self.shared.access.shown(request) {
            Shown::Nothing => return refusal.reply().send(exchange),
            Shown::Wrong => return self.refuse_late(refusal, exchange),
            Shown::Right => self.ticket.known(),
        }
        match path {
            "/metrics" => {
                let text = metrics::text(&self.shared.hub.source().overview());
                let fields = [("Content-Type", metrics::KIND.as_bytes())];
                Reply::text(200, &text, &fields).send(exchange)
            }
            "/live" => {
                let session = Session::new(Rc::clone(&self.shared.hub), Rc::clone(&self.ticket));
                let options = Rc::clone(&self.shared.sockets);
                self.shared.handshake.answer(request, exchange, options, session)
            }
            _ => match pages::page(path) {
                Some(found) => Reply::page(200, &found, &[]).send(exchange),
                None => Reply::text(404, "not found", &[]).send(exchange),
            },
        }
    }

    /// For whoever watches over processes: it does not say more than how it is.
    fn health(&self, exchange: &mut Exchange<'_>) -> Result<(), HttpError> {
        let overview = self.shared.hub.source().overview();
        match (overview.store_error, overview.is_draining) {
            (Some(_), _) => Reply::text(503, "the store cannot be written", &[]).send(exchange),
            (None, true) => Reply::text(200, "draining", &[]).send(exchange),
            (None, false) => Reply::text(200, "ok", &[]).send(exchange),
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
        self.ticket.used();
        if !self.shared.access.is_for_this_host(request) {
            let text = "this is not a name of this host: see --http-name";
            Reply::text(421, text, &[]).send(exchange)?;
        } else if request.path() == "/sign-in" && request.method() == "POST" {
            if Access::is_of_this_host(request) {
                let cookie = self.shared.access.cookie(request);
                self.signing_in = Some(SigningIn { cookie, content: Vec::new() });
            } else {
                Reply::text(403, "this is not from a page of this host", &[]).send(exchange)?;
            }
        } else if matches!(request.method(), "GET" | "HEAD") {
            self.look(request, exchange)?;
        } else {
            Reply::text(405, "pages are looked at", &[("Allow", b"GET, HEAD")]).send(exchange)?;
        }
        Ok(())
    }

    fn data(&mut self, data: &[u8], exchange: &mut Exchange<'_>) -> Result {
        if let Some(SigningIn { content, .. }) = &mut self.signing_in {
            content.extend_from_slice(data);
            if content.len() > MOST_CONTENT {
                self.signing_in = None;
                Reply::text(413, "a token is shorter", &[("Connection", b"close")])
                    .send(exchange)?;
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
            return Ok(self.refuse_late(Refusal::WrongToken, exchange)?);
        }
        self.ticket.known();
        let cookie = cookie.unwrap_or_default();
        let mut fields = vec![("Location", &b"/"[..])];
        if !cookie.is_empty() {
            fields.push(("Set-Cookie", cookie.as_bytes()));
        }
        Reply::text(303, "welcome", &fields).send(exchange)?;
        Ok(())
    }

    fn aborted(&mut self, _: Option<&HttpError>) {
        if let Some(late) = self.late.take() {
            late.cancel();
        }
    }
}
