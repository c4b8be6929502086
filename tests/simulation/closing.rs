//! Ends of connections: too often, too early, not at all, or not seen.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use wharf::sim::{Check, Faults, LinkOptions, Simulation};
use wharf::{Eof, Error, Protocol, Result, Transport};

use crate::planted::{MS, SECOND, answer, connect, is_found};

/// Places that sessions have while they last.
struct Places {
    free: RefCell<Vec<usize>>,
    /// Which are really in use.
    in_use: RefCell<BTreeSet<usize>>,
}

struct Session {
    places: Rc<Places>,
    place: Option<usize>,
    has_bug: bool,
}

impl Session {
    fn close(&mut self) {
        // The bug is to close it once more, when it is another's already.
        let place = if self.has_bug { self.place } else { self.place.take() };
        self.places.free.borrow_mut().extend(place);
    }
}

impl Protocol for Session {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.place = self.places.free.borrow_mut().pop();
        let place = self.place.ok_or("there is no place")?;
        if !self.places.in_use.borrow_mut().insert(place) {
            return Err("a place was given twice".into());
        }
        transport.write(b"welcome\n");
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        if let Some(place) = self.place {
            self.places.in_use.borrow_mut().remove(&place);
        }
        self.close();
        Ok(Eof::Close)
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.close();
        Ok(())
    }
}

#[test]
fn a_place_that_is_closed_twice_is_found() {
    let failure = is_found(&Check::new(), |simulation, has_bug| {
        simulation.links(LinkOptions::new().latency(MS..=50 * MS));
        simulation.host("server").serve(async move |event_loop| {
            let places = Rc::new(Places {
                free: RefCell::new((0..10).collect()),
                in_use: RefCell::default(),
            });
            let make = move || Session { places: Rc::clone(&places), place: None, has_bug };
            let server = event_loop.create_server(make, "0.0.0.0:1").await?;
            Ok(server.wait_closed().await?)
        });
        for name in ["one", "two", "three"] {
            let client = simulation.host(name);
            let random = client.random();
            client.start(async move |event_loop| {
                for _ in 0..4 {
                    let (mut reader, writer) = event_loop.open_connection("server:1").await?;
                    reader.read_line().await?;
                    event_loop.sleep(random.duration(MS..=200 * MS)).await;
                    writer.close();
                    writer.wait_closed().await?;
                }
                Ok(())
            });
        }
        simulation.run()
    });
    assert!(failure.error.contains("a place was given twice"), "{failure}");
}

/// Takes down lines.
struct Notes {
    lines: Rc<RefCell<Vec<String>>>,
    rest: Vec<u8>,
    has_bug: bool,
}

impl Notes {
    fn note(&mut self, line: Vec<u8>) {
        self.lines.borrow_mut().push(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

impl Protocol for Notes {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.rest.extend_from_slice(data);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line = self.rest.drain(..=end).collect();
            self.note(line);
        }
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        if self.has_bug && !self.rest.is_empty() {
            // The bug: it takes what has come for what was to come.
            let line = std::mem::take(&mut self.rest);
            self.note(line);
        }
        Ok(Eof::Close)
    }
}

#[test]
fn reading_past_the_end_is_found() {
    let check = Check::new().faults(Faults::of_hosts().spare("notes"));
    let failure = is_found(&check, |simulation, has_bug| {
        let lines = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&lines);
        simulation.host("notes").serve(async move |event_loop| {
            let kept = Rc::clone(&kept);
            let make = move || Notes { lines: Rc::clone(&kept), rest: Vec::new(), has_bug };
            let server = event_loop.create_server(make, "0.0.0.0:1").await?;
            Ok(server.wait_closed().await?)
        });
        simulation.host("source").start(async |event_loop| {
            let (_reader, writer) = connect(&event_loop, "notes:1").await;
            for number in 0..100 {
                writer.write_all(format!("{number}, and ").as_bytes()).await?;
                event_loop.sleep(50 * MS).await;
                writer.write_all(b"no more\n").await?;
                event_loop.sleep(50 * MS).await;
            }
            Ok(())
        });
        simulation.run()?;
        simulation.run_for(SECOND)?;
        match lines.borrow().iter().find(|line| !line.ends_with(", and no more")) {
            Some(line) => Err(format!("half a line was taken down: {line}").into()),
            None => Ok(()),
        }
    });
    assert!(failure.error.contains("half a line"), "{failure}");
}

const REPLY: [u8; 1_000] = [b'x'; 1_000];

struct Replies {
    aborts: bool,
}

impl Protocol for Replies {
    fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        transport.write(&REPLY);
        if self.aborts {
            // The bug: what the network has lost by then is not sent again.
            transport.abort();
        } else {
            transport.close();
        }
        Ok(())
    }
}

#[test]
fn a_reply_that_an_early_close_destroys_is_found() {
    let failure = is_found(&Check::new(), |simulation, aborts| {
        simulation.links(LinkOptions::new().loss(0.02));
        simulation.host("server").serve(async move |event_loop| {
            let server = event_loop.create_server(move || Replies { aborts }, "0.0.0.0:1").await?;
            Ok(server.wait_closed().await?)
        });
        simulation.host("client").start(async |event_loop| {
            let (mut reader, writer) = event_loop.open_connection("server:1").await?;
            writer.write_all(b"what is it?\n").await?;
            let mut reply = 0;
            while let Ok(chunk @ [_, ..]) = reader.read_chunk().await {
                reply += chunk.len();
            }
            match reply {
                1_000 => Ok(()),
                count => Err(format!("{count} bytes of the reply came").into()),
            }
        });
        simulation.run()
    });
    assert!(failure.error.ends_with(" bytes of the reply came"), "{failure}");
}

/// Answers a client with what its backend says.
struct Front {
    has_bug: bool,
}

impl Protocol for Front {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let (client, has_bug) = (transport.handle(), self.has_bug);
        let event_loop = transport.event_loop();
        let own = event_loop.clone();
        let serve = async move {
            let answer = crate::planted::ask(&own, "backend:1", "who are you?").await;
            match answer {
                Some(answer) => drop(client.write(answer.as_bytes())),
                // The bug: a client whose backend cannot be reached is left alone.
                None if has_bug => return,
                None => {}
            }
            client.close();
        };
        event_loop.create_task(serve).detach();
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        // It has said all, and still waits for its answer.
        Ok(Eof::KeepOpen)
    }
}

fn fronts(simulation: &Simulation, has_bug: bool) -> Result {
    simulation.host("backend").serve(async |event_loop| {
        answer(event_loop, "0.0.0.0:1", |_| "the backend".to_owned()).await
    });
    let connections = Rc::new(Cell::new(0));
    let counted = Rc::clone(&connections);
    simulation.host("front").serve(async move |event_loop| {
        let server = event_loop.create_server(move || Front { has_bug }, "0.0.0.0:2").await?;
        loop {
            event_loop.sleep(100 * MS).await;
            counted.set(server.connections());
        }
    });
    simulation.host("client").start(async |event_loop| {
        for _ in 0..20 {
            let (mut reader, _writer) = connect(&event_loop, "front:2").await;
            // It is patient, but not for ever.
            let _ = wharf::timeout(SECOND, reader.read_to_end(1_000)).await;
            drop(reader);
            event_loop.sleep(200 * MS).await;
        }
        Ok(())
    });
    simulation.run()?;
    simulation.end_faults();
    simulation.run_for(60 * SECOND)?;
    match connections.get() {
        0 => Ok(()),
        count => Err(format!("{count} connections have leaked").into()),
    }
}

#[test]
fn a_connection_that_leaks_when_its_accept_fails_is_found() {
    let faults = Faults::of_kernels().every(500 * MS).until(10 * SECOND);
    let failure = is_found(&Check::new().faults(faults.spare("client").spare("backend")), fronts);
    assert!(failure.script.to_string().contains("no-descriptors front"), "{failure}");
}
