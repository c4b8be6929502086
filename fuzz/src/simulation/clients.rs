//! The protocols of clients.

use std::rc::Rc;
use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::{Error, Promise, Protocol, Result, TlsUpgrade, Transport};
use wharf_protocols::line::{LineProtocol, WriteLine as _};

use super::ledger::Ledger;
use super::plan::Manner;
use super::speech::Speech;

/// What a client waits for before it says the words of [`UPGRADE`], and after.
pub(super) const UPGRADE: &[u8] = b"STARTTLS\n";
pub(super) const GO_AHEAD: &[u8] = b"GO\n";

/// Says a speech, and hears it.
pub(super) struct Speaker {
    pub(super) ledger: Rc<Ledger>,
    pub(super) speech: Speech,
    pub(super) manner: Manner,
    /// With which it goes on before it speaks.
    pub(super) upgrade: Option<TlsUpgrade>,
    /// Whether all was heard, and the error at the end.
    pub(super) told: Option<Promise<Outcome>>,
    pub(super) said: usize,
    pub(super) heard: usize,
    pub(super) is_paused: bool,
    pub(super) answer: Vec<u8>,
}

/// How a conversation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All was heard, and the connection ended in order.
    Whole,
    /// All was heard, and then it broke.
    WholeThenError,
    Part,
}

impl Outcome {
    pub(super) fn of(is_whole: bool, error: Option<&Error>) -> Self {
        match (is_whole, error) {
            (true, None) => Self::Whole,
            (true, Some(_)) => Self::WholeThenError,
            (false, _) => Self::Part,
        }
    }
}

impl Speaker {
    fn speak(&mut self, transport: &dyn Transport) {
        while !self.is_paused && self.said < self.speech.len() {
            let end = self.speech.len().min(self.said + self.manner.step);
            let status = transport.write(&self.speech.bytes()[self.said..end]);
            if !status.is_taken() {
                return;
            }
            self.said = end;
            if status == wharf::WriteStatus::AboveHighWater {
                // It is told when to go on.
                return;
            }
        }
        if self.said == self.speech.len() && !self.manner.closes && transport.can_write_eof() {
            transport.write_eof();
        }
    }

    fn hear(&mut self, transport: &dyn Transport, data: &[u8]) {
        let is_right = self.speech.has(self.heard, data) && self.heard + data.len() <= self.said;
        self.ledger.check(is_right, || format!("a client heard what it has not said: {data:?}"));
        self.heard += data.len();
        if self.heard < self.speech.len() {
            if self.manner.is_slow {
                rest(transport);
            }
        } else if self.manner.closes || !transport.can_write_eof() {
            transport.close();
        }
    }
}

/// Reads no more for a while.
fn rest(transport: &dyn Transport) {
    transport.pause_reading();
    let handle = transport.handle();
    transport.event_loop().call_later(REST, move || handle.resume_reading());
}

const REST: Duration = Duration::from_millis(100);

impl Protocol for Speaker {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if self.upgrade.is_some() {
            transport.write(UPGRADE);
        } else {
            self.speak(transport);
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        if self.upgrade.is_none() {
            self.hear(transport, data);
            return Ok(());
        }
        self.answer.extend_from_slice(data);
        self.ledger.check(GO_AHEAD.starts_with(&self.answer), || "a wrong go-ahead".to_owned());
        if self.answer.len() >= GO_AHEAD.len()
            && let Some(upgrade) = self.upgrade.take()
        {
            transport.start_tls(upgrade, Bytes::new());
        }
        Ok(())
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        self.speak(transport);
        Ok(())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        self.is_paused = true;
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.is_paused = false;
        // What waits may belong to the handshake.
        if self.upgrade.is_none() && self.said > 0 {
            self.speak(transport);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let outcome = Outcome::of(self.heard == self.speech.len(), error);
        if let Some(promise) = self.told.take() {
            // Nobody waits where the program has ended.
            let _ = promise.set_result(outcome);
        }
        Ok(())
    }
}

/// Says lines, and hears each again.
pub(super) struct LineSpeaker {
    pub(super) ledger: Rc<Ledger>,
    pub(super) manner: Manner,
    pub(super) key: u8,
    /// How many it says.
    pub(super) lines: usize,
    /// How many it says before it has heard the first.
    pub(super) ahead: usize,
    pub(super) told: Option<Promise<Outcome>>,
    pub(super) said: usize,
    pub(super) heard: usize,
}

impl LineSpeaker {
    fn speak(&mut self, transport: &dyn Transport) -> Result {
        while self.said < self.lines && self.said < self.heard + self.ahead {
            transport.write_line(self.line(self.said))?;
            self.said += 1;
        }
        if self.said == self.lines && !self.manner.closes && transport.can_write_eof() {
            transport.write_eof();
        }
        Ok(())
    }

    fn line(&self, number: usize) -> String {
        format!("{} {number} {}", self.key, "x".repeat(number * 7 % 300))
    }
}

impl LineProtocol for LineSpeaker {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.speak(transport)
    }

    fn line_received(&mut self, transport: &dyn Transport, line: &[u8]) -> Result {
        let is_right = self.heard < self.said && self.line(self.heard).as_bytes() == line;
        self.ledger.check(is_right, || format!("a client heard the line {line:?}"));
        self.heard += 1;
        if self.heard == self.lines && (self.manner.closes || !transport.can_write_eof()) {
            transport.close();
            return Ok(());
        }
        if self.manner.is_slow {
            rest(transport);
        }
        self.speak(transport)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let outcome = Outcome::of(self.heard == self.lines, error);
        if let Some(promise) = self.told.take() {
            let _ = promise.set_result(outcome);
        }
        Ok(())
    }
}
