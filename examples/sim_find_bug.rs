//! A relay with a bug in its back-pressure, which a simulation finds, makes small and shows again.
//!
//! Publishers send lines to a relay, which sends them on to a subscriber. When the subscriber takes no more, the relay
//! stops reading from the publishers; when it takes more, it goes on. But a publisher that comes while the subscriber takes
//! no more is stopped as well, and nobody lets it go on.
//!
//! ```sh
//! cargo run --example sim_find_bug
//! ```
//!
//! finds a seed with which a line never arrives, and the faults that it takes. With `--mended` nothing is found.
#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use wharf::sim::{Check, Faults, LinkOptions, Simulation};
use wharf::{
    Error, EventLoop, Protocol, Result, StreamReader, StreamWriter, Transport, TransportHandle,
};

const PUBLISHERS: usize = 4;
/// How many lines each publisher sends, and how long each is.
const LINES: usize = 50;
const LENGTH: usize = 4_000;

fn main() -> Result<ExitCode> {
    let is_mended = std::env::args().any(|argument| argument == "--mended");
    let scenario = |simulation: &Simulation| scenario(simulation, is_mended);
    // Later ones could outlast a publisher's patience with its last lines: it waits 30 s for them when it closes.
    let check = Check::new().seeds(200).faults(Faults::of_links().until(10_000 * MS));
    let mut output = io::stdout().lock();
    if let Err(failure) = check.find(scenario) {
        writeln!(output, "{failure}")?;
        return Ok(ExitCode::FAILURE);
    }
    writeln!(output, "nothing was found in 200 seeds")?;
    Ok(ExitCode::SUCCESS)
}

/// Whatever happens to the links: in the end all lines have arrived.
fn scenario(simulation: &Simulation, is_mended: bool) -> Result {
    simulation.links(LinkOptions::new().latency(MS..=20 * MS));
    let relay = Rc::new(Relay { is_mended, ..Relay::default() });
    simulation.host("relay").serve(async move |event_loop| {
        let (publishers, subscribers) = (Rc::clone(&relay), Rc::clone(&relay));
        event_loop
            .create_server(move || FromPublisher(Rc::clone(&publishers)), "0.0.0.0:1")
            .await?;
        let server = event_loop
            .create_server(move || ToSubscriber(Rc::clone(&subscribers)), "0.0.0.0:2")
            .await?;
        Ok(server.wait_closed().await?)
    });
    let received = Rc::new(Cell::new(0));
    let counted = Rc::clone(&received);
    simulation.host("subscriber").start(async move |event_loop| {
        let (mut reader, _writer) = connect(&event_loop, "relay:2").await;
        while counted.get() < PUBLISHERS * LINES * LENGTH {
            counted.set(counted.get() + reader.read_chunk().await?.len());
            // It is slow.
            event_loop.sleep(20 * MS).await;
        }
        Ok(())
    });
    for number in 0..PUBLISHERS {
        let publisher = simulation.host(&format!("publisher{number}"));
        let begin = publisher.random().duration(MS..=20_000 * MS);
        publisher.start(async move |event_loop| {
            event_loop.sleep(begin).await;
            publish(event_loop).await
        });
    }
    simulation.limit(Duration::from_secs(300));
    simulation.run()
}

const MS: Duration = Duration::from_millis(1);

async fn publish(event_loop: EventLoop) -> Result {
    let (_reader, writer) = connect(&event_loop, "relay:1").await;
    for _ in 0..LINES {
        writer.write_all(&[b'x'; LENGTH]).await?;
        event_loop.sleep(100 * MS).await;
    }
    Ok(())
}

/// Until there is a connection, whatever happens to the links.
async fn connect(event_loop: &EventLoop, address: &'static str) -> (StreamReader, StreamWriter) {
    loop {
        if let Ok(connection) = event_loop.open_connection(address).await {
            return connection;
        }
        event_loop.sleep(100 * MS).await;
    }
}

#[derive(Default)]
struct Relay {
    subscriber: RefCell<Option<TransportHandle>>,
    publishers: RefCell<Vec<TransportHandle>>,
    is_full: Cell<bool>,
    is_mended: bool,
}

struct FromPublisher(Rc<Relay>);

impl Protocol for FromPublisher {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if self.0.is_full.get() {
            transport.pause_reading();
            if !self.0.is_mended {
                // The bug: it is not among those that go on later.
                return Ok(());
            }
        }
        self.0.publishers.borrow_mut().push(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        if let Some(subscriber) = &*self.0.subscriber.borrow() {
            subscriber.write(data);
        }
        Ok(())
    }
}

struct ToSubscriber(Rc<Relay>);

impl Protocol for ToSubscriber {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        *self.0.subscriber.borrow_mut() = Some(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("a subscriber has nothing to say".into())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.0.is_full.set(true);
        self.0.publishers.borrow().iter().for_each(TransportHandle::pause_reading);
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.0.is_full.set(false);
        self.0.publishers.borrow().iter().for_each(TransportHandle::resume_reading);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.0.subscriber.take();
        Ok(())
    }
}
