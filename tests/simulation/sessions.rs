//! Connections that change their protocol.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use wharf::sim::{Check, LinkOptions, Simulation};
use wharf::{Protocol, Result, Transport, TransportHandle};

use crate::planted::{MS, SECOND, is_found};

/// Who is told the time, once a second.
type Listeners = Rc<RefCell<Vec<TransportHandle>>>;

/// Speaks lines, and goes on in frames when it is asked to.
struct Lines {
    listeners: Listeners,
    rest: Vec<u8>,
    has_bug: bool,
}

impl Protocol for Lines {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.listeners.borrow_mut().push(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.rest.extend_from_slice(data);
        if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let leftover = self.rest.split_off(end + 1);
            transport.write(b"ok\n");
            transport.set_protocol(Box::new(Frames), Bytes::from(leftover));
            if !self.has_bug {
                // The bug: lines are still written, when frames are read.
                let id = transport.id();
                self.listeners.borrow_mut().retain(|listener| listener.id() != id);
            }
        }
        Ok(())
    }
}

/// Sends back what it gets, which is in frames: a byte with their length, and so many.
struct Frames;

impl Protocol for Frames {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

fn upgrades(simulation: &Simulation, has_bug: bool) -> Result {
    simulation.links(LinkOptions::new().latency(MS..=20 * MS).split(0.2));
    simulation.host("server").serve(async move |event_loop| {
        let listeners = Listeners::default();
        let told = Rc::clone(&listeners);
        let make = move || Lines { listeners: Rc::clone(&listeners), rest: Vec::new(), has_bug };
        event_loop.create_server(make, "0.0.0.0:1").await?;
        loop {
            event_loop.sleep(SECOND).await;
            for listener in &*told.borrow() {
                listener.write(b"a second\n");
            }
        }
    });
    for name in ["one", "other"] {
        let client = simulation.host(name);
        let random = client.random();
        client.start(async move |event_loop| {
            let (mut reader, writer) = event_loop.open_connection("server:1").await?;
            event_loop.sleep(random.duration(MS..=3 * SECOND)).await;
            writer.write_all(b"frames, please\n").await?;
            while reader.read_line().await?.ok_or("an end")? != "ok" {}
            for number in 0..random.below(5) {
                let frame = [2, b'#', b'0' + u8::try_from(number)?];
                writer.write_all(&frame).await?;
                let answer = reader.read_exactly(3).await?;
                if answer != frame {
                    return Err(format!("no frame is {answer:?}").into());
                }
                event_loop.sleep(100 * MS).await;
            }
            Ok(())
        });
    }
    simulation.run()
}

#[test]
fn a_write_after_an_upgrade_is_found() {
    let failure = is_found(&Check::new(), upgrades);
    assert!(failure.error.contains("no frame is"), "{failure}");
}
