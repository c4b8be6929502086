use std::cell::RefCell;
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::testing::{Recorder, settle};
use wharf::{Eof, Error, Protocol, Result, Transport, WriteStatus};

use super::*;
use crate::codec::{Decoder, Encoder};
use crate::line::LineDecoder;
use crate::testing::check_splits;

type Calls = Rc<RefCell<Vec<String>>>;

/// Notes every callback, and does what the frame says.
#[derive(Default)]
struct Script {
    calls: Calls,
    tolerant: bool,
}

impl Script {
    fn note(&self, call: impl Into<String>) {
        self.calls.borrow_mut().push(call.into());
    }
}

impl<D> FrameProtocol<D> for Script
where
    D: for<'a> Decoder<Frame<'a> = &'a [u8]> + 'static,
{
    fn frame_received(&mut self, transport: &dyn Transport, frame: &[u8]) -> Result {
        self.note(String::from_utf8_lossy(frame));
        match frame {
            b"PAUSE" => transport.pause_reading(),
            b"SWITCH" => transport.set_protocol(Box::new(Raw(self.calls.clone())), Bytes::new()),
            b"CLOSE" => transport.close(),
            _ => {}
        }
        Ok(())
    }

    fn frame_refused(&mut self, _: &dyn Transport, error: D::Error) -> Result {
        self.note("refused");
        if self.tolerant { Ok(()) } else { Err(Error::protocol_violation(error).into()) }
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.note("eof");
        Ok(Eof::Close)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.note(format!("lost {error:?}"));
        Ok(())
    }
}

struct Raw(Calls);

impl Protocol for Raw {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().push(format!("raw {}", String::from_utf8_lossy(data)));
        Ok(())
    }
}

fn netstrings(tolerant: bool) -> Result<(Recorder<Framed<Script, NetstringDecoder>>, Calls)> {
    let script = Script { tolerant, ..Script::default() };
    let calls = Rc::clone(&script.calls);
    Ok((Recorder::new(|| Framed::new(script, NetstringDecoder::new().max_length(9)))?, calls))
}

#[test]
fn frames_are_the_same_however_they_come() {
    check_splits(b"3:one,3:two,0:,5:three,", |parts| {
        let (mut recorder, calls) = netstrings(false).unwrap();
        for part in parts {
            recorder.receive(part).unwrap();
        }
        recorder.receive_eof().unwrap();
        assert_eq!(calls.take(), ["one", "two", "", "three", "eof", "lost None"]);
    });
}

#[test]
fn an_end_within_a_frame_is_an_error_that_says_where() {
    check_splits(b"3:one,3:tw", |parts| {
        let (mut recorder, calls) = netstrings(false).unwrap();
        for part in parts {
            recorder.receive(part).unwrap();
        }
        recorder.receive_eof().unwrap();
        let lost = "lost Some(byte 10: the stream ends within the frame that begins at byte 6)";
        assert_eq!(calls.take(), ["one", "refused", lost]);
    });
    let (mut recorder, calls) = netstrings(true).unwrap();
    recorder.receive(b"3:tw").unwrap();
    recorder.receive_eof().unwrap();
    assert_eq!(calls.take(), ["refused", "eof", "lost None"]);
}

#[test]
fn a_last_frame_without_an_end_is_refused_unless_accepted() -> Result {
    let script = Script::default();
    let calls = Rc::clone(&script.calls);
    let mut recorder = Recorder::new(|| Framed::new(script, LineDecoder::new()))?;
    recorder.receive(b"one\ntw")?;
    recorder.receive_eof()?;
    assert_eq!(calls.take(), ["one", "lost Some(byte 6: the stream ends within a frame)"]);
    Ok(())
}

#[test]
fn what_is_refused_ends_the_connection_also_if_the_protocol_would_go_on() -> Result {
    let lost = "lost Some(byte 5: a frame of 10 bytes, where at most 9 are allowed)";
    for tolerant in [false, true] {
        let (mut recorder, calls) = netstrings(tolerant)?;
        recorder.receive(b"2:ok,10:0123456789,2:no,")?;
        assert_eq!(calls.take(), ["ok", "refused", lost]);
    }
    Ok(())
}

#[test]
fn pausing_switching_and_closing_take_effect_between_two_frames() -> Result {
    let (mut recorder, calls) = netstrings(false)?;
    recorder.receive(b"5:PAUSE,3:one,5:PAUSE,")?;
    assert_eq!(calls.take(), ["PAUSE"]);
    recorder.connection().handle().resume_reading();
    settle(recorder.event_loop())?;
    assert_eq!(calls.take(), ["one", "PAUSE"]);
    recorder.with(|_, transport| transport.resume_reading())?;
    recorder.receive(b"6:SWITCH,raw")?;
    assert_eq!(calls.take(), ["SWITCH", "raw raw"]);

    let (mut recorder, calls) = netstrings(false)?;
    recorder.receive(b"3:one,2:t")?;
    recorder.with(|framed, transport| {
        let leftover = framed.take_remainder();
        let raw = Raw(framed.protocol.calls.clone());
        transport.set_protocol(Box::new(raw), leftover.into());
    })?;
    recorder.receive(b"wo,")?;
    assert_eq!(calls.take(), ["one", "raw 2:t", "raw wo,"]);

    let (mut recorder, calls) = netstrings(false)?;
    recorder.receive(b"5:CLOSE,3:one,")?;
    recorder.receive_eof()?;
    assert_eq!(calls.take(), ["CLOSE", "lost None"]);
    Ok(())
}

/// Answers every frame with 10,000 bytes.
struct Amplifier {
    most_waiting: usize,
}

impl FrameProtocol<FixedSizeDecoder<1>> for Amplifier {
    fn frame_received(&mut self, transport: &dyn Transport, _: &[u8; 1]) -> Result {
        NetstringEncoder::new().write_to(transport, &[b'x'; 10_000][..])?;
        self.most_waiting = self.most_waiting.max(transport.write_buffer_size());
        Ok(())
    }
}

#[test]
fn a_paused_protocol_holds_no_memory() -> Result {
    let decoder = LineDecoder::new();
    let mut recorder = Recorder::new(|| Framed::new(Script::default(), decoder))?;
    recorder.receive(b"PAU")?;
    let held = |framed: &mut Framed<Script, LineDecoder>| framed.decoder_mut().buffer_capacity();
    assert!(recorder.with(|framed, _| held(framed))? > 0);
    recorder.receive(b"SE\nnext")?;
    assert_eq!(recorder.with(|framed, _| held(framed))?, 0);

    let mut recorder = netstrings(false)?.0;
    recorder.receive(b"5:PAU")?;
    recorder.receive(b"SE,next")?;
    assert_eq!(recorder.with(|framed, _| framed.decoder_mut().buffer_capacity())?, 0);
    Ok(())
}

#[test]
fn bytes_are_sent_as_frames_without_a_copy() -> Result {
    let mut recorder = Recorder::new(|| Framed::new(Script::default(), NetstringDecoder::new()))?;
    let payload = Bytes::from(vec![b'x'; 60_000]);
    let frame = NetstringEncoder::new();
    let prefixed = LengthPrefixEncoder::new(LengthPrefix::U32);
    recorder.with(|_, transport| {
        for _ in 0..3 {
            frame.write_bytes_to(transport, payload.clone())?;
            prefixed.write_bytes_to(transport, payload.clone())?;
        }
        prefixed.write_bytes_to(transport, Bytes::new())?;
        let error = frame.max_length(3).write_bytes_to(transport, Bytes::from_static(b"four"));
        assert!(error.is_err());
        Result::<(), PayloadError>::Ok(())
    })??;
    // The queue holds the payload itself.
    assert!(!payload.is_unique());
    let mut expected = Vec::new();
    for _ in 0..3 {
        NetstringEncoder::new().encode(&payload, &mut expected)?;
        LengthPrefixEncoder::new(LengthPrefix::U32).encode(&payload, &mut expected)?;
    }
    expected.extend([0; 4]);
    assert!(recorder.sent()? == expected);
    assert!(payload.is_unique());
    let closed = recorder.with(|_, transport| {
        transport.close();
        NetstringEncoder::new().write_bytes_to(transport, payload.clone())
    })??;
    assert_eq!(closed, WriteStatus::Closed);
    Ok(())
}

#[test]
fn answers_to_many_frames_at_once_are_bounded() -> Result {
    let framed = Framed::new(Amplifier { most_waiting: 0 }, FixedSizeDecoder::new());
    let mut recorder = Recorder::new(|| framed)?;
    recorder.receive(&[0; 1000])?;
    let mut sent = 0;
    loop {
        let some = recorder.take_sent(5_000)?.len();
        sent += some;
        if some == 0 {
            break;
        }
    }
    assert_eq!(sent, 1000 * 10_007);
    let waiting = recorder.with(|framed, _| framed.protocol.most_waiting)?;
    assert!(waiting <= 64 * 1024 + 10_007, "{waiting}");
    Ok(())
}
