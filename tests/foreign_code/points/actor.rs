//! A protocol that reaches the point in one of its callbacks.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::{BufferedProtocol, Eof, Error, Protocol, Result, Timeout, Transport, WaterMarks};

use crate::bomb::{Bomb, DropError, OnDrop, Owner, TextError};
use crate::stage::{Counts, Stage};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    Made,
    Data,
    Eof,
    Pause,
    Resume,
    TimedOut,
    ShuttingDown,
    Established,
    Descriptors,
    Lost,
    GetBuffer,
    BufferUpdated,
    Nowhere,
}

/// How a callback comes to the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Panic,
    /// It fails with an error that panics when it is dropped.
    DroppedError,
    /// It fails with an error whose text panics.
    ErrorsText,
    /// It hands out `Bytes` whose owner panics when it is dropped.
    WrittenBytes,
    /// It installs a protocol, with bytes left over.
    Leftover,
}

pub(super) struct Actor {
    at: At,
    by: By,
    bomb: Bomb,
    counts: Rc<Counts>,
    buffer: [u8; 16],
    _on_drop: Option<OnDrop>,
}

impl Actor {
    pub(super) fn new(stage: &Stage, at: At, by: By) -> impl FnMut() -> Self + use<> {
        let (bomb, counts) = (stage.bomb.clone(), Rc::clone(&stage.counts));
        move || Self {
            at,
            by,
            bomb: bomb.clone(),
            counts: Rc::clone(&counts),
            buffer: [0; 16],
            _on_drop: None,
        }
    }

    /// One whose `Drop` is the point.
    pub(super) fn dropped(stage: &Stage) -> impl FnMut() -> Self + use<> {
        let bomb = stage.bomb.clone();
        let mut make = Self::new(stage, At::Nowhere, By::Panic);
        move || Self { _on_drop: Some(bomb.on_drop()), ..make() }
    }

    fn answer(&self, transport: &dyn Transport, data: &[u8]) -> Result {
        if matches!(self.at, At::Pause | At::Resume) {
            transport.set_write_buffer_limits(WaterMarks::from_high(0))?;
            transport.write(&vec![0; 8 << 20]);
        } else {
            transport.write(data);
        }
        Ok(())
    }

    fn reach(&self, transport: &dyn Transport, at: At) -> Result {
        if at != self.at {
            return Ok(());
        }
        match self.by {
            By::Panic => self.bomb.tick(),
            By::DroppedError => return Err(DropError(self.bomb.on_drop()).into()),
            By::ErrorsText => return Err(TextError(self.bomb.clone()).into()),
            By::WrittenBytes => {
                let owner = Owner(vec![7; 40_000], self.bomb.on_drop());
                transport.write_bytes(Bytes::from_owner(owner));
            }
            By::Leftover => {
                for _ in 0..2 {
                    let owner = Owner(vec![7; 20], self.bomb.on_drop());
                    let next = Self {
                        at: At::Nowhere,
                        by: By::Panic,
                        bomb: self.bomb.clone(),
                        counts: Rc::clone(&self.counts),
                        buffer: [0; 16],
                        _on_drop: None,
                    };
                    transport.set_protocol(Box::new(next), Bytes::from_owner(owner));
                }
            }
        }
        Ok(())
    }
}

impl Protocol for Actor {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.counts.made.set(self.counts.made.get() + 1);
        if self.at == At::TimedOut {
            transport.set_timeout(Timeout::Idle, Some(Duration::from_millis(1)));
        }
        self.reach(transport, At::Made)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.counts.received.set(self.counts.received.get() + 1);
        self.answer(transport, data)?;
        self.reach(transport, At::Data)
    }

    fn descriptors_received(&mut self, transport: &dyn Transport, _: Vec<OwnedFd>) -> Result {
        self.reach(transport, At::Descriptors)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.reach(transport, At::Eof)?;
        Ok(Eof::Close)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.reach(transport, At::Pause)
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.reach(transport, At::Resume)
    }

    fn timed_out(&mut self, transport: &dyn Transport, _: Timeout) -> Result {
        transport.set_timeout(Timeout::Idle, None);
        self.reach(transport, At::TimedOut)
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        transport.close();
        self.reach(transport, At::ShuttingDown)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        self.reach(transport, At::Established)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
        self.counts.lost.set(self.counts.lost.get() + 1);
        self.reach(transport, At::Lost)
    }
}

impl BufferedProtocol for Actor {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        Protocol::connection_made(self, transport)
    }

    fn get_buffer(&mut self, transport: &dyn Transport, _: usize) -> Result<&mut [u8]> {
        self.reach(transport, At::GetBuffer)?;
        Ok(&mut self.buffer)
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) -> Result {
        self.answer(transport, &self.buffer[..count])?;
        self.reach(transport, At::BufferUpdated)
    }

    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        Protocol::descriptors_received(self, transport, descriptors)
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

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        Protocol::shutting_down(self, transport)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        Protocol::tls_established(self, transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        Protocol::connection_lost(self, transport, error)
    }
}
