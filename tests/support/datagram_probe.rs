//! A datagram protocol that records what it is told, and does what a test asks of it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::{Address, DatagramProtocol, DatagramTransport, Datagrams, Error, Result};

thread_local! {
    /// Whether a callback of any probe runs: none may run inside another.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// What a probe was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Made,
    /// A batch begins, of so many.
    Batch(usize),
    Received(Vec<u8>, Address),
    Error(Option<std::io::ErrorKind>),
    Paused,
    Resumed,
    Lost(Option<String>),
}

/// What a probe has recorded.
#[derive(Clone, Default)]
pub struct Log(Rc<RefCell<Vec<Event>>>);

impl Log {
    pub fn events(&self) -> Vec<Event> {
        self.0.borrow().clone()
    }

    /// What was received, in order.
    pub fn received(&self) -> Vec<Vec<u8>> {
        let events = self.0.borrow();
        let data = |event: &Event| match event {
            Event::Received(data, _) => Some(data.clone()),
            _ => None,
        };
        events.iter().filter_map(data).collect()
    }

    pub fn senders(&self) -> Vec<Address> {
        let events = self.0.borrow();
        let from = |event: &Event| match event {
            Event::Received(_, from) => Some(from.clone()),
            _ => None,
        };
        events.iter().filter_map(from).collect()
    }

    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0.borrow().iter().filter(|event| wanted(event)).count()
    }

    pub fn errors(&self) -> usize {
        self.count(|event| matches!(event, Event::Error(_)))
    }

    pub fn lost(&self) -> usize {
        self.count(|event| matches!(event, Event::Lost(_)))
    }

    fn push(&self, event: Event) {
        self.0.borrow_mut().push(event);
    }
}

type Reaction = Box<dyn FnMut(&Event, &dyn DatagramTransport) -> Result>;

/// Records, and reacts.
pub struct Probe {
    log: Log,
    reaction: Reaction,
    batches: bool,
}

impl Probe {
    pub fn new(log: &Log) -> Self {
        Self { log: log.clone(), reaction: Box::new(|_, _| Ok(())), batches: false }
    }

    /// Has `reaction` called with each event, inside its callback.
    pub fn reacting(
        mut self,
        reaction: impl FnMut(&Event, &dyn DatagramTransport) -> Result + 'static,
    ) -> Self {
        self.reaction = Box::new(reaction);
        self
    }

    /// Records batches, too.
    pub fn with_batches(mut self) -> Self {
        self.batches = true;
        self
    }

    /// Sends everything back.
    pub fn echo(log: &Log) -> Self {
        Self::new(log).reacting(|event, transport| {
            if let Event::Received(data, from) = event {
                transport.send_to(data, from)?;
            }
            Ok(())
        })
    }

    fn note(&mut self, transport: &dyn DatagramTransport, event: Event) -> Result {
        let last = self.log.0.borrow().last().cloned();
        assert!(!matches!(last, Some(Event::Lost(_))), "{event:?} after connection_lost");
        assert_eq!(event == Event::Made, last.is_none(), "{event:?}");
        self.log.push(event.clone());
        (self.reaction)(&event, transport)
    }

    fn inside<R>(&mut self, act: impl FnOnce(&mut Self) -> R) -> R {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                INSIDE.set(false);
            }
        }
        assert!(!INSIDE.replace(true), "a callback inside another");
        let _leave = Leave;
        act(self)
    }
}

impl DatagramProtocol for Probe {
    fn connection_made(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.inside(|probe| probe.note(transport, Event::Made))
    }

    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        self.note(transport, Event::Received(data.to_vec(), from.clone()))
    }

    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> Result {
        self.inside(|probe| {
            if probe.batches {
                probe.note(transport, Event::Batch(batch.remaining()))?;
            }
            for datagram in batch {
                probe.datagram_received(transport, datagram.data, datagram.from)?;
            }
            Ok(())
        })
    }

    fn error_received(&mut self, transport: &dyn DatagramTransport, error: &Error) -> Result {
        self.inside(|probe| probe.note(transport, Event::Error(error.io_kind())))
    }

    fn pause_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.inside(|probe| probe.note(transport, Event::Paused))
    }

    fn resume_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
        self.inside(|probe| probe.note(transport, Event::Resumed))
    }

    fn connection_lost(
        &mut self,
        transport: &dyn DatagramTransport,
        error: Option<&Error>,
    ) -> Result {
        self.inside(|probe| probe.note(transport, Event::Lost(error.map(Error::to_string))))
    }
}
