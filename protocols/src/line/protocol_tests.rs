use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use wharf::bytes::Bytes;
use wharf::testing::{Recorder, settle};
use wharf::{Eof, Error, Protocol, Result, Timeout, Transport};

use super::{LineDecoder, LineError, LineProtocol, Lines};
use crate::testing::check_splits;

/// What was called, in order.
type Calls = Rc<RefCell<Vec<String>>>;

/// Notes every callback, and does what the line says.
#[derive(Default)]
struct Script {
    calls: Calls,
    tolerant: bool,
}

impl Script {
    fn note(&self, call: &str, line: &[u8]) {
        self.calls.borrow_mut().push(format!("{call}{}", String::from_utf8_lossy(line)));
    }
}

impl LineProtocol for Script {
    fn connection_made(&mut self, _: &dyn Transport) -> Result {
        self.note("made", b"");
        Ok(())
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        self.note("", line);
        match line {
            b"PAUSE" => transport.pause_reading(),
            b"SWITCH" => transport.set_protocol(Box::new(Raw(self.calls.clone())), Bytes::new()),
            b"CLOSE" => transport.close(),
            b"ABORT" => transport.abort(),
            b"FAIL" => return Err(std::io::Error::other("asked to fail").into()),
            _ => {}
        }
        Ok(())
    }

    fn line_refused(&mut self, transport: &dyn Transport, error: LineError) -> Result {
        self.note("refused", b"");
        if self.tolerant { Ok(()) } else { Defaults.line_refused(transport, error) }
    }

    fn unfinished_line_received(&mut self, _: &dyn Transport, line: &[u8]) -> Result {
        self.note("unfinished ", line);
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.note("eof", b"");
        Ok(Eof::KeepOpen)
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.note("pause_writing", b"");
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.note("resume_writing", b"");
        Ok(())
    }

    fn timed_out(&mut self, _: &dyn Transport, kind: Timeout) -> Result {
        self.note(&format!("{kind:?}"), b"");
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.note(&format!("lost {error:?}"), b"");
        Ok(())
    }
}

/// A protocol with nothing but lines.
struct Defaults;

impl LineProtocol for Defaults {
    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        transport.write(line);
        transport.write(b";");
        Ok(())
    }
}

/// What takes over: bytes as they come.
struct Raw(Calls);

impl Protocol for Raw {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().push(format!("raw {}", String::from_utf8_lossy(data)));
        Ok(())
    }
}

/// Runs a [`Script`] with lines of at most 8 bytes.
fn script(tolerant: bool) -> Result<(Recorder<Lines<Script>>, Calls)> {
    let calls = Calls::default();
    let script = Script { calls: Rc::clone(&calls), tolerant };
    let decoder = LineDecoder::new().max_length(8);
    let recorder = Recorder::new(move || Lines::with_decoder(script, decoder))?;
    assert_eq!(take(&calls), ["made"]);
    Ok((recorder, calls))
}

fn take(calls: &Calls) -> Vec<String> {
    calls.take()
}

#[test]
fn lines_are_the_same_however_they_come() {
    check_splits(b"one\r\ntwo\n\nthree\nfour", |parts| {
        let (mut recorder, calls) = script(false).unwrap();
        for part in parts {
            recorder.receive(part).unwrap();
        }
        assert_eq!(take(&calls), ["one", "two", "", "three"]);
    });
}

#[test]
fn pausing_stops_between_two_lines() -> Result {
    let (mut recorder, calls) = script(false)?;
    recorder.receive(b"one\nPAUSE\ntwo\nPAUSE\nth")?;
    assert_eq!(take(&calls), ["one", "PAUSE"]);
    recorder.connection().handle().resume_reading();
    settle(recorder.event_loop())?;
    assert_eq!(take(&calls), ["two", "PAUSE"]);
    recorder.receive(b"ree\n")?;
    recorder.receive_eof()?;
    assert_eq!(take(&calls), [""; 0]);
    recorder.with(|_, transport| transport.resume_reading())?;
    assert_eq!(take(&calls), ["three", "eof"]);
    Ok(())
}

#[test]
fn the_next_protocol_gets_what_follows_the_line() -> Result {
    for parts in [vec!["one\nSWITCH\nraw\nby"], vec!["one\nSWI", "TCH\nraw\nby"]] {
        let (mut recorder, calls) = script(false)?;
        for part in parts {
            recorder.receive(part.as_bytes())?;
        }
        recorder.receive(b"tes")?;
        assert_eq!(take(&calls), ["one", "SWITCH", "raw raw\nby", "raw tes"]);
    }
    Ok(())
}

#[test]
fn the_next_protocol_can_be_set_from_outside() -> Result {
    let (mut recorder, calls) = script(false)?;
    recorder.receive(b"one\ntw")?;
    recorder.with(|lines, transport| {
        let leftover = lines.take_remainder();
        transport.set_protocol(Box::new(Raw(lines.protocol.calls.clone())), leftover.into());
    })?;
    recorder.receive(b"o\n")?;
    assert_eq!(take(&calls), ["one", "raw tw", "raw o\n"]);
    Ok(())
}

#[test]
fn nothing_comes_after_the_end() -> Result {
    for (last, lost) in [("CLOSE", "lost None"), ("ABORT", "lost None")] {
        let (mut recorder, calls) = script(false)?;
        recorder.receive(format!("one\n{last}\ntwo\n").as_bytes())?;
        recorder.receive_eof()?;
        assert_eq!(take(&calls), ["one", last, lost]);
    }
    let (mut recorder, calls) = script(false)?;
    recorder.receive(b"one\nFAIL\ntwo\n")?;
    assert_eq!(take(&calls), ["one", "FAIL", "lost Some(asked to fail)"]);
    Ok(())
}

#[test]
fn a_line_above_the_maximum_aborts_and_is_not_reported() -> Result {
    let (mut recorder, calls) = script(false)?;
    let reported = Rc::new(RefCell::new(0));
    let count = Rc::clone(&reported);
    recorder.event_loop().set_exception_handler(move |_, _| *count.borrow_mut() += 1);
    recorder.receive(b"one\n123456789\ntwo\n")?;
    let lost = "lost Some(byte 12: a line is longer than 8 bytes)";
    assert_eq!(take(&calls), ["one", "refused", lost]);
    assert_eq!(*reported.borrow(), 0);
    Ok(())
}

#[test]
fn a_line_above_the_maximum_can_be_tolerated() {
    check_splits(b"one\n12345678901234567890\r\ntwo\n123456789", |parts| {
        let (mut recorder, calls) = script(true).unwrap();
        for part in parts {
            recorder.receive(part).unwrap();
        }
        assert_eq!(take(&calls), ["one", "refused", "two", "refused"]);
        recorder.receive(b"0\nthree\n").unwrap();
        assert_eq!(take(&calls), ["three"]);
    });
}

#[test]
fn an_unfinished_line_comes_before_the_end() -> Result {
    let (mut recorder, calls) = script(false)?;
    recorder.receive(b"one\ntwo")?;
    recorder.receive_eof()?;
    assert_eq!(take(&calls), ["one", "unfinished two", "eof"]);

    let (mut recorder, calls) = script(true)?;
    // The beginning of the delimiter is no part of the line.
    recorder.receive(b"12345678\r")?;
    recorder.receive_eof()?;
    assert_eq!(take(&calls), ["unfinished 12345678", "eof"]);

    let (mut recorder, calls) = script(true)?;
    recorder.receive(b"1234567\r8")?;
    recorder.receive_eof()?;
    assert_eq!(take(&calls), ["refused", "eof"]);

    // By default it is dropped, and the connection closed.
    let mut recorder = Recorder::new(|| Lines::new(Defaults))?;
    recorder.receive(b"one\ntwo")?;
    recorder.receive_eof()?;
    assert_eq!(recorder.sent()?, b"one;");
    assert!(recorder.is_closing());
    Ok(())
}

#[test]
fn other_callbacks_are_passed_on() -> Result {
    let (mut recorder, calls) = script(false)?;
    recorder.with(|_, transport| {
        transport.set_timeout(Timeout::Idle, Some(Duration::from_secs(1)));
    })?;
    recorder.advance(Duration::from_secs(1))?;
    assert_eq!(take(&calls), ["Idle"]);
    recorder.with(|_, transport| transport.set_timeout(Timeout::Idle, None))?;
    recorder.with(|_, transport| transport.write(&[0; 200_000]))?;
    assert_eq!(take(&calls), ["pause_writing"]);
    recorder.sent()?;
    assert_eq!(take(&calls), ["resume_writing"]);
    recorder.with(|lines, transport| lines.shutting_down(transport))??;
    recorder.receive_eof()?;
    assert_eq!(take(&calls), ["lost None"]);
    Ok(())
}

#[test]
fn defaults_are_those_of_a_protocol() -> Result {
    let mut recorder = Recorder::new(|| Lines::new(Defaults))?;
    recorder.with(|_, transport| {
        transport.set_timeout(Timeout::Idle, Some(Duration::from_secs(1)));
    })?;
    recorder.advance(Duration::from_secs(1))?;
    assert!(recorder.is_closing());
    Ok(())
}

/// Answers every line with 10,000 bytes.
struct Amplifier {
    most_waiting: usize,
    paused: usize,
    holds: bool,
}

const ANSWER: usize = 10_000;

impl LineProtocol for Amplifier {
    fn line_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
        transport.write(&[b'x'; ANSWER]);
        self.most_waiting = self.most_waiting.max(transport.write_buffer_size());
        Ok(())
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.paused += 1;
        if self.holds {
            transport.hold_reading();
        }
        Ok(())
    }
}

#[test]
fn answers_to_many_lines_at_once_are_bounded() -> Result {
    let amplifier = Amplifier { most_waiting: 0, paused: 0, holds: true };
    let mut recorder = Recorder::new(|| Lines::new(amplifier))?;
    recorder.receive(&b"\n".repeat(1000))?;
    let mut sent = 0;
    loop {
        let some = recorder.take_sent(5_000)?.len();
        sent += some;
        if some == 0 {
            break;
        }
    }
    assert_eq!(sent, 1000 * ANSWER);
    let (waiting, paused) =
        recorder.with(|lines, _| (lines.protocol.most_waiting, lines.protocol.paused))?;
    assert!(waiting <= 64 * 1024 + ANSWER, "{waiting}");
    assert!(paused > 50, "{paused}");
    Ok(())
}

#[test]
fn who_does_not_hold_gets_all_lines() -> Result {
    let amplifier = Amplifier { most_waiting: 0, paused: 0, holds: false };
    let mut recorder = Recorder::new(|| Lines::new(amplifier))?;
    let before = recorder.event_loop().statistics().callbacks;
    recorder.receive(&b"\n".repeat(1000))?;
    let callbacks = recorder.event_loop().statistics().callbacks - before;
    assert!(callbacks < 10, "{callbacks}");
    let (waiting, paused) =
        recorder.with(|lines, transport| (transport.write_buffer_size(), lines.protocol.paused))?;
    assert!(waiting > 1000 * ANSWER - 2 * 64 * 1024, "{waiting}");
    assert_eq!(paused, 1);
    assert_eq!(recorder.sent()?.len(), 1000 * ANSWER);
    Ok(())
}

proptest! {
    #[test]
    fn pauses_lose_and_move_nothing(
        lines in proptest::collection::vec(prop_oneof![Just("PAUSE"), Just("a"), Just("bc")], 0..20),
        parts in proptest::collection::vec(0_usize..12, 0..10),
        overlong in any::<bool>(),
    ) {
        let mut input = lines.join("\n").into_bytes();
        input.push(b'\n');
        if overlong {
            input.extend_from_slice(b"0123456789\nlast\n");
        }
        let (mut recorder, calls) = script(true).unwrap();
        let mut rest = &input[..];
        for part in parts.into_iter().chain([usize::MAX]) {
            let (part, after) = rest.split_at(part.min(rest.len()));
            rest = after;
            recorder.receive(part).unwrap();
            if part.len() % 2 == 0 {
                recorder.with(|_, transport| transport.resume_reading()).unwrap();
            }
        }
        for _ in &lines {
            recorder.with(|_, transport| transport.resume_reading()).unwrap();
        }
        let mut expected: Vec<_> = if lines.is_empty() { vec![""] } else { lines };
        if overlong {
            expected.extend(["refused", "last"]);
        }
        prop_assert_eq!(take(&calls), expected);
    }
}
