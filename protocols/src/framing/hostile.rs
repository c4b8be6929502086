//! Peers that do not behave, against a whole server in virtual time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{MemoryNetwork, Record, advance};
use wharf::{Connection, Error, EventLoop, Result, Timeout, Transport};

use super::*;
use crate::codec::Encoder;

/// Says what it hears, and ends connections without a frame for a minute.
struct Server {
    frames: Rc<Cell<usize>>,
    lost: Rc<Cell<usize>>,
}

impl FrameProtocol<LengthPrefixDecoder> for Server {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.set_timeout(Timeout::User, Some(Duration::from_secs(60)));
        Ok(())
    }

    fn frame_received(&mut self, transport: &dyn Transport, payload: &[u8]) -> Result {
        self.frames.set(self.frames.get() + 1);
        transport.set_timeout(Timeout::User, Some(Duration::from_secs(60)));
        LengthPrefixEncoder::new(LengthPrefix::U32).write_to(transport, payload)?;
        if payload == b"close" {
            transport.close();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        self.lost.set(self.lost.get() + 1);
        Ok(())
    }
}

struct World {
    event_loop: EventLoop,
    frames: Rc<Cell<usize>>,
    lost: Rc<Cell<usize>>,
}

impl World {
    fn new() -> Result<Self> {
        let event_loop = MemoryNetwork::new().event_loop();
        let (frames, lost) = (Rc::<Cell<usize>>::default(), Rc::<Cell<usize>>::default());
        let (for_frames, for_lost) = (Rc::clone(&frames), Rc::clone(&lost));
        let factory = move || {
            let (frames, lost) = (Rc::clone(&for_frames), Rc::clone(&for_lost));
            let decoder = LengthPrefixDecoder::new(LengthPrefix::U32).max_length(1 << 24);
            Framed::new(Server { frames, lost }, decoder)
        };
        let server = event_loop.create_server(factory, "10.0.0.1:7").start();
        event_loop.run_until_complete(server)??;
        Ok(Self { event_loop, frames, lost })
    }

    fn connect(&self) -> Result<(Connection<impl wharf::Protocol + use<>>, Record)> {
        let record = Record::new();
        let client = self.event_loop.create_connection(record.factory(), "10.0.0.1:7").start();
        Ok((self.event_loop.run_until_complete(client)??, record))
    }

    /// Another client is answered.
    fn check_served(&self) -> Result {
        let (client, record) = self.connect()?;
        client.write(b"\0\0\0\x02ok");
        advance(&self.event_loop, Duration::ZERO)?;
        assert_eq!(record.received(), b"\0\0\0\x02ok");
        client.close();
        advance(&self.event_loop, Duration::ZERO)?;
        Ok(())
    }
}

#[test]
fn slow_peers_end_and_others_are_served_meanwhile() -> Result {
    let world = World::new()?;
    let slow: Vec<_> = (0..100).map(|_| world.connect()).collect::<Result<_>>()?;
    for byte in [0_u8, 200, 0, 0].into_iter().chain([7; 8]) {
        for (client, _) in &slow {
            client.write(&[byte]);
        }
        advance(&world.event_loop, Duration::from_secs(4))?;
        world.check_served()?;
    }
    assert!(slow.iter().all(|(client, _)| !client.handle().is_closing()));
    let before = world.lost.get();
    advance(&world.event_loop, Duration::from_secs(60))?;
    assert_eq!(world.lost.get() - before, 100);
    Ok(())
}

#[test]
fn garbage_ends_one_connection() -> Result {
    let world = World::new()?;
    let (client, record) = world.connect()?;
    client.write(b"GET / HTTP/1.1\r\nHost: wharf\r\n\r\n");
    advance(&world.event_loop, Duration::ZERO)?;
    assert!(record.is_lost() && world.frames.get() == 0 && world.lost.get() == 1);
    world.check_served()
}

#[test]
fn a_flood_that_reads_nothing_is_held() -> Result {
    let world = World::new()?;
    let (client, _) = world.connect()?;
    client.pause_reading();
    // A frame of 1,000 bytes, 20,000 times, and each is answered.
    let frame = [&1000_u32.to_be_bytes()[..], &[b'x'; 1000]].concat();
    client.write(&frame.repeat(20_000));
    advance(&world.event_loop, Duration::from_secs(1))?;
    // What fits into the sockets, and into the write buffer up to its high-water mark.
    assert!(world.frames.get() < 500, "{}", world.frames.get());
    world.check_served()?;
    client.resume_reading();
    advance(&world.event_loop, Duration::from_secs(1))?;
    assert_eq!(world.frames.get(), 20_001);
    Ok(())
}

#[test]
fn who_talks_on_while_the_server_closes_has_its_answer() -> Result {
    let world = World::new()?;
    let (client, record) = world.connect()?;
    client.write(b"\0\0\0\x05close\0\0\0\x04more");
    for _ in 0..100 {
        client.write(&[0; 1000]);
    }
    advance(&world.event_loop, Duration::from_secs(1))?;
    assert_eq!(world.frames.get(), 1);
    assert_eq!(record.received(), b"\0\0\0\x05close");
    world.check_served()
}

#[test]
fn a_peer_that_ends_within_a_frame() -> Result {
    let world = World::new()?;
    let (client, record) = world.connect()?;
    client.write(b"\0\0\0\x05hel");
    client.write_eof();
    advance(&world.event_loop, Duration::ZERO)?;
    assert!(record.is_lost() && world.frames.get() == 0 && world.lost.get() == 1);
    world.check_served()
}
