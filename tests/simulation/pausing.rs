//! Writing that does not go on, and reading that does not.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use wharf::sim::{Check, Faults, Simulation};
use wharf::{Error, Protocol, Result, Transport, TransportHandle, WriteStatus};

use crate::planted::{MS, SECOND, connect, is_found};

const LENGTH: usize = 10_000;
const MESSAGES: usize = 50;

/// Has a queue of its own, of which the transport takes as much as it has room for.
struct Sender {
    queue: VecDeque<u8>,
    is_paused: bool,
    has_bug: bool,
}

impl Sender {
    fn send(&mut self, transport: &dyn Transport, data: &[u8]) {
        self.queue.extend(data);
        self.flush(transport);
    }

    fn flush(&mut self, transport: &dyn Transport) {
        while !self.is_paused && !self.queue.is_empty() {
            let count = self.queue.len().min(1_000);
            let part: Vec<u8> = self.queue.drain(..count).collect();
            self.is_paused = transport.write(&part) == WriteStatus::AboveHighWater;
        }
    }
}

impl Protocol for Sender {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("a receiver has nothing to say".into())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.is_paused = true;
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.is_paused = false;
        if !self.has_bug {
            // The bug is to leave it until something else is sent.
            self.flush(transport);
        }
        Ok(())
    }
}

#[test]
fn a_flush_that_is_missing_after_a_short_write_is_found() {
    let check = Check::new().faults(Faults::of_links().every(SECOND).until(6 * SECOND));
    let failure = is_found(&check, |simulation, has_bug| {
        simulation.host("receiver").start(async |event_loop| {
            let listener = event_loop.listen("0.0.0.0:1").await?;
            let mut count = 0;
            while count < MESSAGES * LENGTH {
                // Not of a connect that was given up.
                let (mut reader, _writer) = listener.accept().await?;
                while count < MESSAGES * LENGTH {
                    match reader.read_chunk().await?.len() {
                        0 => break,
                        length => count += length,
                    }
                }
            }
            Ok(())
        });
        simulation.host("sender").serve(async move |event_loop| {
            let make = move || Sender { queue: VecDeque::new(), is_paused: false, has_bug };
            let connection = loop {
                match event_loop.create_connection(make, "receiver:1").await {
                    Ok(connection) => break connection,
                    Err(_) => event_loop.sleep(100 * MS).await,
                }
            };
            for _ in 0..MESSAGES {
                connection.with(|sender, transport| sender.send(transport, &[b'x'; LENGTH]))?;
                event_loop.sleep(100 * MS).await;
            }
            Ok(connection.handle().wait_closed().await?)
        });
        simulation.limit(600 * SECOND);
        simulation.run()
    });
    assert!(failure.error.contains("not over after"), "{failure}");
}

/// Passes on what sources send to a sink, which comes anew when it was gone.
#[derive(Default)]
struct Relay {
    sink: RefCell<Option<TransportHandle>>,
    sources: RefCell<Vec<TransportHandle>>,
    is_full: Cell<bool>,
    has_bug: bool,
}

impl Relay {
    fn resume(&self) {
        self.is_full.set(false);
        self.sources.borrow().iter().for_each(TransportHandle::resume_reading);
    }
}

struct FromSource(Rc<Relay>);

impl Protocol for FromSource {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if self.0.is_full.get() {
            transport.pause_reading();
        }
        self.0.sources.borrow_mut().push(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        // What comes while there is no sink is for nobody.
        if let Some(sink) = &*self.0.sink.borrow() {
            sink.write(data);
        }
        Ok(())
    }
}

struct ToSink(Rc<Relay>);

impl ToSink {
    fn is_current(&self, transport: &dyn Transport) -> bool {
        self.0.sink.borrow().as_ref().is_some_and(|sink| sink.id() == transport.id())
    }
}

impl Protocol for ToSink {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        *self.0.sink.borrow_mut() = Some(transport.handle());
        if !self.0.has_bug {
            self.0.resume();
        }
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("a sink has nothing to say".into())
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        if self.is_current(transport) {
            self.0.is_full.set(true);
            self.0.sources.borrow().iter().for_each(TransportHandle::pause_reading);
        }
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        if self.is_current(transport) {
            self.0.resume();
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
        if self.is_current(transport) {
            self.0.sink.take();
            if !self.0.has_bug {
                // The bug is that nobody resumes for a sink that is gone.
                self.0.resume();
            }
        }
        Ok(())
    }
}

fn relays(simulation: &Simulation, has_bug: bool) -> Result {
    simulation.host("relay").serve(async move |event_loop| {
        let relay = Rc::new(Relay { has_bug, ..Relay::default() });
        let (sources, sinks) = (Rc::clone(&relay), relay);
        event_loop.create_server(move || FromSource(Rc::clone(&sources)), "0.0.0.0:1").await?;
        let server =
            event_loop.create_server(move || ToSink(Rc::clone(&sinks)), "0.0.0.0:2").await?;
        Ok(server.wait_closed().await?)
    });
    simulation.host("sink").serve(async |event_loop| {
        let (mut reader, _writer) = connect(&event_loop, "relay:2").await;
        // It is slow.
        while let Ok([_, ..]) = reader.read_chunk().await {
            event_loop.sleep(200 * MS).await;
        }
        Ok(())
    });
    simulation.host("source").start(async |event_loop| {
        event_loop.sleep(SECOND).await;
        let (_reader, writer) = connect(&event_loop, "relay:1").await;
        for _ in 0..4 * MESSAGES {
            writer.write_all(&[b'x'; LENGTH]).await?;
            event_loop.sleep(50 * MS).await;
        }
        Ok(())
    });
    simulation.limit(600 * SECOND);
    simulation.run()
}

#[test]
fn a_resume_that_is_forgotten_is_found() {
    let check = Check::new().faults(Faults::of_hosts().spare("relay").spare("source"));
    let failure = is_found(&check, relays);
    assert!(failure.error.contains("not over after"), "{failure}");
}
