//! Two protocols on one loop: one writes while it may, the other counts.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Error, EventLoop, Protocol, Transport, WaterMarks, WriteStatus};

use super::WRITE;
use crate::Result;

/// With `write`, which copies what the pipe does not take.
pub(super) fn run(writes: u64) -> Result<u64> {
    pump(writes, |transport, data| transport.write(data))
}

/// With `write_bytes`, which queues it as it is.
pub(super) fn run_shared(writes: u64) -> Result<u64> {
    pump(writes, |transport, data| transport.write_bytes(data.clone()))
}

type WriteOne = fn(&dyn Transport, &Bytes) -> WriteStatus;

fn pump(writes: u64, write: WriteOne) -> Result<u64> {
    let (reader, writer) = io::pipe()?;
    let received = Rc::new(Cell::new(0));
    let event_loop = EventLoop::new()?;
    let counting = Counting(Rc::clone(&received));
    event_loop.run(async |event_loop| {
        event_loop.connect_read_pipe(|| counting, reader).await?;
        let writing = Writing { data: vec![7; WRITE].into(), write, left: writes };
        event_loop.connect_write_pipe(|| writing, writer).await?;
        Ok(())
    })?;
    event_loop.run_forever()?;
    Ok(received.get())
}

struct Writing {
    data: Bytes,
    write: WriteOne,
    left: u64,
}

impl Writing {
    fn fill(&mut self, transport: &dyn Transport) {
        while self.left > 0 {
            self.left -= 1;
            if (self.write)(transport, &self.data) != WriteStatus::Accepted {
                return;
            }
        }
        transport.close();
    }
}

impl Protocol for Writing {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        // As one who waits for each write: the next one when everything is taken.
        transport.set_write_buffer_limits(WaterMarks::from_high(0))?;
        self.fill(transport);
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("a write pipe is not read".into())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.fill(transport);
        Ok(())
    }
}

struct Counting(Rc<Cell<u64>>);

impl Protocol for Counting {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.set(self.0.get() + data.len() as u64);
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
        transport.event_loop().stop();
        Ok(())
    }
}
