//! What was promised, and is not kept.

use std::cell::{Cell, RefCell};

use wharf::Error;
use wharf::sim::Simulation;

/// What all parts of a simulation write into.
pub(super) struct Ledger {
    simulation: Simulation,
    broken: RefCell<Vec<String>>,
    /// How many protocols there are.
    protocols: Cell<usize>,
    is_over: Cell<bool>,
    has_ended: Cell<bool>,
}

impl Ledger {
    pub(super) fn new(simulation: &Simulation) -> Self {
        Self {
            simulation: simulation.clone(),
            broken: RefCell::default(),
            protocols: Cell::new(0),
            is_over: Cell::new(false),
            has_ended: Cell::new(false),
        }
    }

    /// Into the trace, so that equal runs have equal callbacks.
    pub(super) fn note(&self, text: String) {
        self.simulation.note(text);
    }

    /// A promise is broken. It is no panic: what a host does while it is switched off is not heard of.
    pub(super) fn broken(&self, text: String) {
        self.simulation.note(format!("broken: {text}"));
        self.broken.borrow_mut().push(text);
    }

    pub(super) fn check(&self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.broken(text());
        }
    }

    /// Errors of the network and of deadlines are what a connection may end with.
    pub(super) fn check_error(&self, name: &str, error: &Error) {
        let is_ours = error.is_panic() || error.is_application() || error.is_protocol_violation();
        // Who breaks off under TLS says nothing first.
        let is_tls = error.is_tls() && !error.is_truncated();
        let is_misused = error.is_invalid() || error.is_unsupported();
        self.check(!is_ours && !is_tls && !is_misused, || format!("{name}: {error:#}"));
    }

    pub(super) fn add_protocol(&self) {
        self.protocols.set(self.protocols.get() + 1);
    }

    pub(super) fn remove_protocol(&self) {
        self.protocols.set(self.protocols.get() - 1);
    }

    /// The clients are done: the server is to end.
    pub(super) fn finish(&self) {
        self.is_over.set(true);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// The server has ended in order.
    pub(super) fn server_has_ended(&self) {
        self.has_ended.set(true);
    }

    pub(super) fn has_server_ended(&self) -> bool {
        self.has_ended.get()
    }

    /// After the end of the simulation.
    pub(super) fn sum_up(&self) -> Vec<String> {
        let left = self.protocols.get();
        let left = (left > 0).then(|| format!("{left} protocols are left"));
        self.broken.take().into_iter().chain(left).collect()
    }
}
