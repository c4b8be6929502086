//! What callbacks a protocol got, to be asked about afterwards.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::recording::RecordingProtocol;
use crate::address::Address;
use crate::error::Error;
use crate::timeout::Timeout;

/// What callbacks a protocol got, and with what: for tests of servers, clients and whatever else calls protocols.
///
/// [`protocol`](Self::protocol) and [`factory`](Self::factory) give a protocol that records and does nothing else,
/// [`around`](Self::around) one that also passes each callback on to a protocol of yours. Both are a
/// [`Protocol`](crate::Protocol) and a [`DatagramProtocol`](crate::DatagramProtocol), and work on every loop. Clones share
/// one record. One record is for one connection or endpoint: several would be mixed up.
///
/// ```
/// use wharf::{Result, Transport as _};
/// use wharf::testing::{Call, MemoryNetwork, Record};
/// # struct Echo;
/// # impl wharf::Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn wharf::Transport, data: &[u8]) -> Result {
/// #         transport.write(data);
/// #         Ok(())
/// #     }
/// # }
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     event_loop.create_server(|| Echo, "10.0.0.1:7").await?;
///     let record = Record::new();
///     let client = event_loop.create_connection(record.factory(), "10.0.0.1:7").await?;
///
///     client.write(b"hello");
///     record.until(|record| record.received() == b"hello").await;
///     client.write_eof();
///     assert!(record.connection_lost().await.is_none());
///
///     let hello = Call::DataReceived(b"hello".to_vec());
///     assert_eq!(record.calls(), [Call::ConnectionMade, hello, Call::EofReceived, Call::ConnectionLost]);
///     Ok(())
/// })
/// # }
/// ```
#[doc(alias("StringTransport", "AccumulatingProtocol", "Mock"))]
#[derive(Clone, Default)]
pub struct Record {
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    calls: RefCell<Vec<Call>>,
    lost: Cell<bool>,
    error: RefCell<Option<Error>>,
    wakers: RefCell<Vec<Waker>>,
}

/// A callback that a [`RecordingProtocol`] got.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::{Call, Record, Recorder};
/// use wharf::{Timeout, Transport as _};
///
/// # fn main() -> wharf::Result {
/// let record = Record::new();
/// let mut recorder = Recorder::new(|| record.protocol())?;
/// recorder.connection().set_timeout(Timeout::Idle, Some(Duration::from_secs(60)));
/// recorder.receive(b"he")?;
/// recorder.receive(b"llo")?;
/// recorder.advance(Duration::from_secs(60))?;
/// assert_eq!(
///     record.calls(),
///     [
///         Call::ConnectionMade,
///         Call::DataReceived(b"hello".to_vec()),
///         Call::TimedOut(Timeout::Idle),
///         Call::ConnectionLost,
///     ]
/// );
/// assert_eq!(record.count(|call| matches!(call, Call::DataReceived(_))), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// `connection_made`.
    ConnectionMade,
    /// `data_received`. What several calls in a row brought is one entry, since where a stream is cut
    /// says nothing.
    DataReceived(Vec<u8>),
    /// `descriptors_received`, with so many.
    DescriptorsReceived(usize),
    /// `eof_received`.
    EofReceived,
    /// `pause_writing`.
    PauseWriting,
    /// `resume_writing`.
    ResumeWriting,
    /// `timed_out`.
    TimedOut(Timeout),
    /// `shutting_down`.
    ShuttingDown,
    /// `tls_established`.
    TlsEstablished,
    /// A datagram that `datagrams_received` was given, and who sent it.
    DatagramReceived(Vec<u8>, Address),
    /// `error_received`, with the error's text.
    ErrorReceived(String),
    /// `connection_lost`. [`Record::error`] has the error.
    ConnectionLost,
}

impl Record {
    /// A record of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A protocol that records into this, and else does what the defaults of its trait do.
    pub fn protocol(&self) -> RecordingProtocol {
        RecordingProtocol::new(self.clone())
    }

    /// A factory of such a protocol, for whatever takes factories.
    pub fn factory(&self) -> impl FnMut() -> RecordingProtocol + use<> {
        let record = self.clone();
        move || record.protocol()
    }

    /// A protocol that records each callback into this, and then passes it on to `protocol`.
    pub fn around<P>(&self, protocol: P) -> RecordingProtocol<P> {
        RecordingProtocol::around(self.clone(), protocol)
    }

    /// The callbacks so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.borrow().clone()
    }

    /// How many callbacks of one kind there were, or with one argument: those that `wanted` says yes to.
    pub fn count(&self, mut wanted: impl FnMut(&Call) -> bool) -> usize {
        self.shared.calls.borrow().iter().filter(|call| wanted(call)).count()
    }

    /// All that `data_received` has brought.
    pub fn received(&self) -> Vec<u8> {
        let mut received = Vec::new();
        for call in &*self.shared.calls.borrow() {
            if let Call::DataReceived(data) = call {
                received.extend_from_slice(data);
            }
        }
        received
    }

    /// The datagrams that were received, in order.
    pub fn datagrams(&self) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        for call in &*self.shared.calls.borrow() {
            if let Call::DatagramReceived(data, _) = call {
                datagrams.push(data.clone());
            }
        }
        datagrams
    }

    /// Whether `connection_lost` was called.
    pub fn is_lost(&self) -> bool {
        self.shared.lost.get()
    }

    /// What `connection_lost` was told; `None` after an orderly end, and before any.
    pub fn error(&self) -> Option<Error> {
        self.shared.error.borrow().clone()
    }

    /// Waits until `condition` holds. It is asked now, and after each callback.
    ///
    /// It waits as long as it takes: on a loop in memory, one that waits for what never comes is an
    /// error of the run; on others a test should have a deadline of its own.
    pub fn until(&self, mut condition: impl FnMut(&Self) -> bool) -> impl Future<Output = ()> {
        poll_fn(move |context| {
            if condition(self) {
                return Poll::Ready(());
            }
            let mut wakers = self.shared.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
    }

    /// Waits for `connection_lost`, and gives what it was told.
    pub async fn connection_lost(&self) -> Option<Error> {
        self.until(Self::is_lost).await;
        self.error()
    }

    pub(super) fn note(&self, call: Call) {
        {
            let mut calls = self.shared.calls.borrow_mut();
            match (calls.last_mut(), call) {
                (Some(Call::DataReceived(before)), Call::DataReceived(data)) => {
                    before.extend_from_slice(&data);
                }
                (_, call) => calls.push(call),
            }
        }
        // Wakers run code of others: not while the list is borrowed.
        let wakers = self.shared.wakers.take();
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn note_lost(&self, error: Option<&Error>) {
        *self.shared.error.borrow_mut() = error.cloned();
        self.shared.lost.set(true);
        self.note(Call::ConnectionLost);
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Record")
            .field("calls", &self.shared.calls.borrow())
            .field("error", &self.shared.error.borrow())
            .finish()
    }
}
