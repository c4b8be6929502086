//! The predecessor's end of the control socket: what it says to a successor.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::offer::{Offer, State};
use super::wire::{Frame, FrameDecoder, VERSION};
use super::{PATIENCE, is_own_user, next_frame, send, unexpected};
use crate::error::{Error, Result};
use crate::net::Server;
use crate::protocol::Protocol;
use crate::timeout::Timeout;
use crate::transport::{Transport, WaterMarks};

/// How long somebody who has connected may take to ask.
const ASKING: Duration = Duration::from_secs(5);

/// Above this many bytes no further connections are written: about a hundred.
const HIGH_WATER: usize = 2048;

/// Talks to one successor.
pub(super) struct Giver {
    offer: Rc<Offer>,
    decoder: FrameDecoder,
    /// Whether this one is the successor that the offer's state is about.
    chosen: bool,
    connections: VecDeque<(String, OwnedFd)>,
    given: usize,
}

impl Giver {
    pub(super) fn new(offer: &Rc<Offer>) -> Self {
        Self {
            offer: Rc::clone(offer),
            decoder: FrameDecoder::default(),
            chosen: false,
            connections: VecDeque::new(),
            given: 0,
        }
    }

    fn take(&mut self, transport: &dyn Transport, frame: Frame) -> Result {
        match (frame, self.offer.state.get()) {
            (Frame::Request { lowest, highest }, State::Open) if !self.chosen => {
                match self.why_not(lowest, highest) {
                    Some(reason) => refuse(transport, reason),
                    None => self.offer_all(transport)?,
                }
            }
            (Frame::Request { .. }, _) => refuse(transport, "another successor is being served"),
            (Frame::Serving, State::Asked) if self.chosen => self.release(transport)?,
            (frame, _) => return Err(unexpected(&frame).into()),
        }
        Ok(())
    }

    fn why_not(&self, lowest: u16, highest: u16) -> Option<&'static str> {
        if !(lowest..=highest).contains(&VERSION) {
            Some("no version that both can speak")
        } else if !self.offer.servers.are_open() {
            Some("the servers are closed")
        } else {
            None
        }
    }

    fn offer_all(&mut self, transport: &dyn Transport) -> Result {
        let control = self.offer.control.borrow().as_ref().map(Server::only_listener);
        let Some(control) = control else {
            refuse(transport, "the offer is not ready");
            return Ok(());
        };
        let (listeners, control) = (self.offer.servers.listeners()?, control?);
        send(transport, &Frame::Hello { version: VERSION });
        for (server, removes_path, descriptor) in listeners {
            pass(transport, &Frame::Listener { server, removes_path }, descriptor)?;
        }
        pass(transport, &Frame::Control, control)?;
        send(transport, &Frame::End);
        self.chosen = true;
        self.offer.state.set(State::Asked);
        *self.offer.successor.borrow_mut() = Some(transport.handle());
        // Whatever it says meanwhile: others wait for their turn.
        transport.set_timeout(Timeout::User, Some(PATIENCE));
        Ok(())
    }

    /// The successor serves: it is its turn now.
    fn release(&mut self, transport: &dyn Transport) -> Result {
        self.offer.state.set(State::Giving);
        // From here on it takes as long as it takes, while it takes something.
        transport.set_timeout(Timeout::User, None);
        transport.set_timeout(Timeout::Idle, Some(PATIENCE));
        let control = self.offer.control.borrow_mut().take();
        if let Some(control) = control {
            control.release();
        }
        self.connections = self.offer.servers.release().into();
        transport.set_write_buffer_limits(WaterMarks::from_high(HIGH_WATER))?;
        self.give(transport)
    }

    /// Passes connections as fast as they are taken, then the last word.
    fn give(&mut self, transport: &dyn Transport) -> Result {
        while transport.write_buffer_size() <= HIGH_WATER {
            let Some((server, socket)) = self.connections.pop_front() else {
                send(transport, &Frame::Released);
                transport.close();
                return Ok(());
            };
            pass(transport, &Frame::Connection { server }, socket)?;
            self.given += 1;
        }
        Ok(())
    }
}

impl Protocol for Giver {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if is_own_user(&transport.info()) {
            transport.set_timeout(Timeout::User, Some(ASKING));
        } else {
            refuse(transport, "a successor has to run as the same user");
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.decoder.push(data);
        while let Some(frame) = next_frame(&mut self.decoder, transport)? {
            self.take(transport, frame)?;
        }
        Ok(())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        if self.chosen && self.offer.state.get() == State::Giving {
            self.give(transport)?;
        }
        Ok(())
    }

    fn timed_out(&mut self, transport: &dyn Transport, _: Timeout) -> Result {
        refuse(transport, "it took too long");
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        if !self.chosen {
            return Ok(());
        }
        self.offer.successor.borrow_mut().take();
        match self.offer.state.get() {
            // Nothing has happened: the next one may come.
            State::Asked => self.offer.state.set(State::Open),
            State::Giving => {
                self.offer.state.set(State::Over(self.given));
                self.offer.tell(Some(self.given));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Says why not, and closes.
pub(super) fn refuse(transport: &dyn Transport, reason: &str) {
    send(transport, &Frame::Refused { reason: reason.to_owned() });
    transport.close();
}

fn pass(transport: &dyn Transport, frame: &Frame, descriptor: OwnedFd) -> Result {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    transport.write_with_descriptors(&bytes, vec![descriptor])?;
    Ok(())
}
