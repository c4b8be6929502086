//! The order of callbacks.

use std::rc::Rc;

use wharf::{
    DatagramProtocol, DatagramTransport, Eof, Error, Protocol, Result, Timeout, Transport,
};

use super::ledger::Ledger;

/// A protocol whose callbacks are looked at on their way to it.
pub(super) struct Watched<P> {
    inner: P,
    name: String,
    ledger: Rc<Ledger>,
    state: State,
    is_ended: bool,
    is_paused: bool,
    is_established: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Made,
    Lost,
}

impl<P> Watched<P> {
    pub(super) fn new(ledger: &Rc<Ledger>, name: &str, inner: P) -> Self {
        ledger.add_protocol();
        Self {
            inner,
            name: name.to_owned(),
            ledger: Rc::clone(ledger),
            state: State::New,
            is_ended: false,
            is_paused: false,
            is_established: false,
        }
    }

    fn called(&self, what: &str, may_come: bool) {
        let Self { name, state, .. } = self;
        self.ledger.note(format!("{name}: {what}"));
        let is_expected = (*state == State::New) == (what == "made") && *state != State::Lost;
        self.ledger.check(is_expected && may_come, || format!("{name}: {what} in {state:?}"));
    }

    fn lost(&mut self, error: Option<&Error>) {
        match error {
            None => self.called("lost", true),
            Some(error) => {
                self.called(&format!("lost: {error:#}"), true);
                self.ledger.check_error(&self.name, error);
            }
        }
        self.state = State::Lost;
    }

    fn pause(&mut self, on: bool) {
        self.called(if on { "pause" } else { "resume" }, self.is_paused != on);
        self.is_paused = on;
    }
}

impl<P: Protocol> Protocol for Watched<P> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let info = transport.info();
        match (info.local_address(), info.peer_address()) {
            (Some(local), Some(peer)) => self.name = format!("{} {local} of {peer}", self.name),
            _ => self.ledger.broken(format!("{}: no address", self.name)),
        }
        self.called("made", true);
        self.state = State::Made;
        self.inner.connection_made(transport)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.called(&format!("{} bytes", data.len()), !self.is_ended && !data.is_empty());
        self.inner.data_received(transport, data)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.called("end", !self.is_ended);
        self.is_ended = true;
        self.inner.eof_received(transport)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.pause(true);
        self.inner.pause_writing(transport)
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.pause(false);
        self.inner.resume_writing(transport)
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        self.called(&format!("{timeout:?}"), !transport.is_closing());
        self.inner.timed_out(transport, timeout)
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.called("shutting down", true);
        self.inner.shutting_down(transport)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        self.called("established", !self.is_established);
        self.is_established = true;
        self.inner.tls_established(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        self.lost(error);
        let is_closed = transport.is_closing() && transport.close_reason().is_some();
        self.ledger.check(is_closed, || format!("{}: lost, but not closed", self.name));
        self.inner.connection_lost(transport, error)
    }
}

impl<P: DatagramProtocol> DatagramProtocol for Watched<P> {
    fn connection_made(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.called("made", true);
        self.state = State::Made;
        self.inner.connection_made(transport)
    }

    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &wharf::Address,
    ) -> Result {
        self.called(&format!("a datagram of {} bytes", data.len()), true);
        self.inner.datagram_received(transport, data, from)
    }

    fn error_received(&mut self, transport: &dyn DatagramTransport, error: &Error) -> Result {
        self.called(&format!("{error:#}"), true);
        self.inner.error_received(transport, error)
    }

    fn pause_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.pause(true);
        self.inner.pause_writing(transport)
    }

    fn resume_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.pause(false);
        self.inner.resume_writing(transport)
    }

    fn connection_lost(
        &mut self,
        transport: &dyn DatagramTransport,
        error: Option<&Error>,
    ) -> Result {
        self.lost(error);
        self.inner.connection_lost(transport, error)
    }
}

impl<P> Drop for Watched<P> {
    fn drop(&mut self) {
        let Self { name, state, .. } = self;
        self.ledger.check(*state != State::Made, || format!("{name}: dropped, but not lost"));
        self.ledger.remove_protocol();
    }
}
