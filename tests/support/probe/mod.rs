//! A protocol that records what is called, and watches that the rules of every protocol are kept.

mod log;
mod rules;
mod traces;

use std::cell::Cell;
use std::rc::Rc;

use wharf::{BufferedProtocol, Eof, Error, Protocol, Result, Timeout, Transport};

use self::rules::{DEPTH, LIVE, MADE, violate};

pub use self::log::{Call, Cause, Log};
pub use self::rules::{Inside, assert_rules_were_kept, depth};
pub use self::traces::{End, Trace, traced};

type Hook<R = ()> = Option<Box<dyn FnMut(&dyn Transport) -> Result<R>>>;
type DataHook = Option<Box<dyn FnMut(&dyn Transport, &[u8]) -> Result>>;
type LostHook = Option<Box<dyn FnMut(&dyn Transport) -> Result>>;

/// A protocol that records its calls, does what its hooks say, and else what the defaults do.
pub struct Probe {
    log: Log,
    made: Hook,
    data: DataHook,
    eof: Hook<Eof>,
    pause: Hook,
    resume: Hook,
    timed_out: Hook,
    tls_established: Hook,
    lost: LostHook,
    /// What a [`BufferedProtocol`] receives into.
    buffer: Vec<u8>,
    buffer_requests: Rc<Cell<u32>>,
}

impl Probe {
    pub fn new(log: &Log) -> Self {
        LIVE.set(LIVE.get() + 1);
        Self {
            log: log.clone(),
            made: None,
            data: None,
            eof: None,
            pause: None,
            resume: None,
            timed_out: None,
            tls_established: None,
            lost: None,
            buffer: vec![0; 4096],
            buffer_requests: Rc::default(),
        }
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn on_made(mut self, hook: impl FnMut(&dyn Transport) -> Result + 'static) -> Self {
        self.made = Some(Box::new(hook));
        self
    }

    pub fn on_data(mut self, hook: impl FnMut(&dyn Transport, &[u8]) -> Result + 'static) -> Self {
        self.data = Some(Box::new(hook));
        self
    }

    pub fn on_eof(mut self, hook: impl FnMut(&dyn Transport) -> Result<Eof> + 'static) -> Self {
        self.eof = Some(Box::new(hook));
        self
    }

    pub fn on_pause(mut self, hook: impl FnMut(&dyn Transport) -> Result + 'static) -> Self {
        self.pause = Some(Box::new(hook));
        self
    }

    pub fn on_resume(mut self, hook: impl FnMut(&dyn Transport) -> Result + 'static) -> Self {
        self.resume = Some(Box::new(hook));
        self
    }

    pub fn on_timed_out(mut self, hook: impl FnMut(&dyn Transport) -> Result + 'static) -> Self {
        self.timed_out = Some(Box::new(hook));
        self
    }

    pub fn on_tls_established(
        mut self,
        hook: impl FnMut(&dyn Transport) -> Result + 'static,
    ) -> Self {
        self.tls_established = Some(Box::new(hook));
        self
    }

    pub fn on_lost(mut self, hook: impl FnMut(&dyn Transport) -> Result + 'static) -> Self {
        self.lost = Some(Box::new(hook));
        self
    }

    /// Sends back what it receives.
    pub fn echoing(self) -> Self {
        self.on_data(|transport, data| {
            transport.write(data);
            Ok(())
        })
    }

    /// Reads nothing from the beginning on.
    pub fn not_reading(self) -> Self {
        self.on_made(|transport| {
            transport.pause_reading();
            Ok(())
        })
    }

    /// Keeps its side open at the peer's end.
    pub fn half_open(self) -> Self {
        self.on_eof(|_| Ok(Eof::KeepOpen))
    }

    /// As a [`BufferedProtocol`]: receives into so many bytes at a time.
    pub fn buffer_of(mut self, len: usize) -> Self {
        self.buffer = vec![0; len];
        self
    }

    /// How often a [`BufferedProtocol`] was asked for its buffer.
    pub fn buffer_requests(&self) -> Rc<Cell<u32>> {
        Rc::clone(&self.buffer_requests)
    }

    fn received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.log.note(Call::Data);
        if data.is_empty() {
            violate("data_received without data".into());
        }
        self.log.0.received.borrow_mut().extend_from_slice(data);
        self.log.0.chunks.borrow_mut().push(data.len());
        match &mut self.data {
            Some(hook) => hook(transport, data),
            None => Ok(()),
        }
    }
}

/// What the defaults of [`Protocol`] do.
struct Defaults;

impl Protocol for Defaults {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

fn run<R>(
    hook: &mut Hook<R>,
    transport: &dyn Transport,
    default: impl FnOnce(&mut Defaults, &dyn Transport) -> Result<R>,
) -> Result<R> {
    match hook {
        Some(hook) => hook(transport),
        None => default(&mut Defaults, transport),
    }
}

impl Protocol for Probe {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let _inside = Inside::enter("connection_made");
        MADE.set(MADE.get() + 1);
        let known = self.log.0.handle.set(transport.handle()).is_err();
        if known {
            violate("connection_made twice".into());
        }
        self.log.note(Call::Made);
        run(&mut self.made, transport, |default, transport| default.connection_made(transport))
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let _inside = Inside::enter("data_received");
        self.received(transport, data)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        let _inside = Inside::enter("eof_received");
        self.log.note(Call::Eof);
        run(&mut self.eof, transport, |default, transport| default.eof_received(transport))
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        let _inside = Inside::enter("pause_writing");
        self.log.note(Call::Pause);
        run(&mut self.pause, transport, |default, transport| default.pause_writing(transport))
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        let _inside = Inside::enter("resume_writing");
        self.log.note(Call::Resume);
        run(&mut self.resume, transport, |default, transport| default.resume_writing(transport))
    }

    fn timed_out(&mut self, transport: &dyn Transport, kind: Timeout) -> Result {
        let _inside = Inside::enter("timed_out");
        self.log.note(Call::TimedOut(kind));
        run(&mut self.timed_out, transport, |default, transport| default.timed_out(transport, kind))
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        let _inside = Inside::enter("shutting_down");
        self.log.note(Call::ShuttingDown);
        transport.close();
        Ok(())
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        let _inside = Inside::enter("tls_established");
        self.log.note(Call::TlsEstablished);
        run(&mut self.tls_established, transport, |default, transport| {
            default.tls_established(transport)
        })
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        let _inside = Inside::enter("connection_lost");
        MADE.set(MADE.get() - 1);
        self.log.note(Call::Lost);
        *self.log.0.lost.borrow_mut() = Some(error.map(Cause::of));
        run(&mut self.lost, transport, |_, _| Ok(()))
    }
}

impl BufferedProtocol for Probe {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        Protocol::connection_made(self, transport)
    }

    fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
        self.buffer_requests.set(self.buffer_requests.get() + 1);
        Ok(&mut self.buffer)
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) -> Result {
        let _inside = Inside::enter("buffer_updated");
        if count > self.buffer.len() {
            violate("buffer_updated with more than the buffer holds".into());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.received(transport, &buffer[..count]);
        self.buffer = buffer;
        result
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        Protocol::eof_received(self, transport)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        Protocol::pause_writing(self, transport)
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        Protocol::resume_writing(self, transport)
    }

    fn timed_out(&mut self, transport: &dyn Transport, kind: Timeout) -> Result {
        Protocol::timed_out(self, transport, kind)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        Protocol::tls_established(self, transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        Protocol::connection_lost(self, transport, error)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
        self.log.0.drops.set(self.log.0.drops.get() + 1);
        if DEPTH.get() != 0 && self.log.is_made() && !self.log.is_lost() {
            violate("a protocol was dropped inside a callback, before connection_lost".into());
        }
    }
}
