//! `Transport::unread`: a protocol gives back what it did not consume.
#![forbid(unsafe_code)]

use wharf::bytes::Bytes;
use wharf::testing::{Recorder, pair, settle};
use wharf::{Connection, Eof, Protocol, Result, Transport};

/// Consumes one byte at a time, writes it, and does what it says if it is a capital letter.
#[derive(Default)]
struct ByteAtATime {
    calls: usize,
}

impl Protocol for ByteAtATime {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.calls += 1;
        transport.write(&data[..1]);
        match data[0] {
            b'P' => transport.pause_reading(),
            b'S' => transport.set_protocol(Box::new(Upper), Bytes::new()),
            b'L' => transport.set_protocol(Box::new(Upper), Bytes::from_static(b"left ")),
            b'C' => transport.close(),
            b'E' => return Err("asked to fail".into()),
            _ => {}
        }
        transport.unread(data.len() - 1);
        Ok(())
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        transport.write(b"$");
        Ok(Eof::Close)
    }
}

struct Upper;

impl Protocol for Upper {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(&data.to_ascii_uppercase());
        Ok(())
    }
}

fn recorder() -> Result<Recorder<ByteAtATime>> {
    Ok(Recorder::new(ByteAtATime::default)?)
}

#[test]
fn is_delivered_again_before_anything_else() -> Result {
    let mut recorder = recorder()?;
    recorder.receive(b"abc")?;
    recorder.receive(b"xyz")?;
    assert_eq!(recorder.sent()?, b"abcxyz");
    assert_eq!(recorder.with(|protocol, _| protocol.calls)?, 6);
    Ok(())
}

#[test]
fn waits_while_reading_is_paused() -> Result {
    let mut recorder = recorder()?;
    recorder.receive(b"aPbPc")?;
    recorder.receive(b"d")?;
    assert_eq!(recorder.sent()?, b"aP");
    recorder.connection().handle().resume_reading();
    settle(recorder.event_loop())?;
    assert_eq!(recorder.sent()?, b"bP");
    recorder.with(|_, transport| transport.resume_reading())?;
    assert_eq!(recorder.sent()?, b"cd");
    Ok(())
}

#[test]
fn comes_before_the_end() -> Result {
    let mut recorder = recorder()?;
    recorder.receive(b"aPb")?;
    recorder.receive_eof()?;
    assert_eq!(recorder.sent()?, b"aP");
    recorder.with(|_, transport| transport.resume_reading())?;
    assert_eq!(recorder.sent()?, b"b$");
    Ok(())
}

#[test]
fn goes_to_the_next_protocol() -> Result {
    let mut recorder = recorder()?;
    recorder.receive(b"Sabc")?;
    recorder.receive(b"def")?;
    assert_eq!(recorder.sent()?, b"SABCDEF");
    Ok(())
}

#[test]
fn comes_after_what_was_kept_from_earlier_input() -> Result {
    let mut recorder = recorder()?;
    recorder.receive(b"Labc")?;
    assert_eq!(recorder.sent()?, b"LLEFT ABC");
    Ok(())
}

#[test]
fn is_dropped_by_close_and_by_a_failure() -> Result {
    for input in [b"aCb", b"aEb"] {
        let mut recorder = recorder()?;
        recorder.event_loop().set_exception_handler(|_, _| {});
        recorder.receive(input)?;
        assert_eq!(recorder.sent()?, input[..2]);
        assert!(recorder.is_closing());
    }
    Ok(())
}

#[test]
fn too_much_means_all_and_the_last_call_counts() -> Result {
    struct Twice(Vec<Vec<u8>>);

    impl Protocol for Twice {
        fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
            self.0.push(data.to_vec());
            match self.0.len() {
                1 => transport.unread(usize::MAX),
                2 => {
                    transport.unread(3);
                    transport.handle().unread(1);
                }
                _ => {}
            }
            Ok(())
        }
    }

    let mut recorder = Recorder::new(|| Twice(Vec::new()))?;
    recorder.receive(b"abc")?;
    let received = recorder.with(|protocol, _| protocol.0.clone())?;
    assert_eq!(received, [&b"abc"[..], b"abc", b"c"]);
    Ok(())
}

#[test]
fn means_nothing_outside_data_received() -> Result {
    let mut recorder = recorder()?;
    recorder.with(|_, transport| transport.unread(1))?;
    recorder.connection().handle().unread(1);
    recorder.receive(b"abc")?;
    recorder.with(|_, transport| transport.unread(1))?;
    assert_eq!(recorder.sent()?, b"abc");
    Ok(())
}

#[test]
fn is_of_the_connection_whose_callback_runs() -> Result {
    struct Meddler {
        other: Connection<Upper>,
        calls: usize,
    }

    impl Protocol for Meddler {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            self.calls += 1;
            self.other.with(|_, other| other.unread(2))?;
            self.other.handle().unread(2);
            Ok(())
        }
    }

    let other = Recorder::new(|| Upper)?;
    let meddler = Meddler { other: other.connection().clone(), calls: 0 };
    let (meddler, peer) = pair(other.event_loop(), 64, meddler, Upper)?;
    peer.handle().write(b"xyz");
    settle(other.event_loop())?;
    assert_eq!(meddler.with(|protocol, _| protocol.calls)?, 1);
    Ok(())
}

#[test]
fn a_protocol_that_is_to_be_replaced_is_not_reading() -> Result {
    struct Switch;

    impl Protocol for Switch {
        fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
            assert!(transport.is_reading());
            transport.set_protocol(Box::new(Upper), Bytes::new());
            assert!(!transport.is_reading());
            assert!(!transport.handle().is_reading());
            Ok(())
        }
    }

    let mut recorder = Recorder::new(|| Switch)?;
    recorder.receive(b"a")?;
    assert!(recorder.connection().handle().is_reading());
    recorder.receive(b"a")?;
    assert_eq!(recorder.sent()?, b"A");
    Ok(())
}
