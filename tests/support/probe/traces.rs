//! What the probes of a test saw, to be compared with what those of another run saw.

use std::cell::RefCell;
use std::io;

use wharf::TimeoutKind;

use super::log::{Call, Log};

thread_local! {
    /// The logs made since tracing began.
    static LOGS: RefCell<Option<Vec<Log>>> = const { RefCell::new(None) };
}

/// The callbacks of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// In order; neighbouring `Data` are one.
    pub order: Vec<Call>,
    pub received: Vec<u8>,
    /// What `connection_lost` was told, if it was called.
    pub end: Option<End>,
    pub drops: u32,
}

/// How a connection ended. The texts of what the system says are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Orderly,
    Io(io::ErrorKind),
    Timeout(TimeoutKind),
    /// Under TLS, without saying so.
    Truncated,
    Other(String),
}

/// Runs something, and gives the traces of the logs that it made, in the order in which it made them.
pub fn traced(run: impl FnOnce()) -> Vec<Trace> {
    LOGS.set(Some(Vec::new()));
    run();
    let logs = LOGS.take().unwrap_or_default();
    logs.iter().map(Trace::of).collect()
}

pub(super) fn note(log: &Log) {
    LOGS.with_borrow_mut(|logs| {
        if let Some(logs) = logs {
            logs.push(log.clone());
        }
    });
}

impl Trace {
    fn of(log: &Log) -> Self {
        let end = log.is_lost().then(|| match log.cause() {
            None => End::Orderly,
            Some(cause) if cause.is_truncated => End::Truncated,
            Some(cause) => match (cause.timeout, cause.io_kind) {
                (Some(timeout), _) => End::Timeout(timeout),
                (None, Some(kind)) => End::Io(kind),
                (None, None) => End::Other(cause.text),
            },
        });
        Self { order: log.order(), received: log.received(), end, drops: log.drops() }
    }
}
