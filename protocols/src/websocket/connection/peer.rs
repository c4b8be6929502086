//! The other end of a session, played by hand.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::Recorder;
use wharf::{Error, Result, Transport};

use super::*;
use crate::codec::Decoder;
use crate::websocket::{
    ClientHandshake, CloseCode, CloseReason, DataKind, FrameHeader, HandshakeError, MaskKeys,
    Opcode, Part, RequestDecoder, Role, ServerHandshake,
};

/// Echoes messages, and notes everything else.
#[derive(Default)]
pub(super) struct Echo {
    pub(super) log: Rc<RefCell<Vec<String>>>,
    /// Closes when this text comes.
    pub(super) closes_at: Option<&'static str>,
    pub(super) parts: Vec<u8>,
}

impl Echo {
    fn note(&self, what: impl Into<String>) -> Result {
        self.log.borrow_mut().push(what.into());
        Ok(())
    }
}

impl WebSocketProtocol for Echo {
    fn opened(&mut self, socket: &WebSocket) -> Result {
        assert!(socket.is_open());
        self.note("opened")
    }

    fn opening_failed(&mut self, error: &HandshakeError) -> Result {
        self.note(format!("failed: {error}"))
    }

    fn text_received(&mut self, socket: &WebSocket, text: &str) -> Result {
        if self.closes_at == Some(text) {
            socket.close(CloseCode::NORMAL, "enough")?;
        } else if socket.is_open() {
            socket.send_text(text)?;
        } else {
            self.note(format!("late: {text}"))?;
        }
        Ok(())
    }

    fn binary_received(&mut self, socket: &WebSocket, bytes: &[u8]) -> Result {
        socket.send_binary(bytes)?;
        Ok(())
    }

    fn part_received(&mut self, socket: &WebSocket, part: Part<'_>) -> Result {
        assert_eq!(part.is_first, self.parts.is_empty() && part.is_first);
        self.parts.extend_from_slice(part.data);
        socket.send_part(&part)?;
        if part.is_last {
            let kind = if part.kind == DataKind::Text { "text" } else { "binary" };
            let length = std::mem::take(&mut self.parts).len();
            self.note(format!("{kind} of {length}"))?;
        }
        Ok(())
    }

    fn ping_received(&mut self, _: &WebSocket, payload: &[u8]) -> Result {
        self.note(format!("ping {}", payload.len()))
    }

    fn pong_received(&mut self, _: &WebSocket, payload: &[u8]) -> Result {
        self.note(format!("pong {}", payload.len()))
    }

    fn close_received(&mut self, _: &WebSocket, reason: Option<CloseReason<'_>>) -> Result {
        let reason = reason.map_or_else(|| "nothing".to_owned(), |reason| reason.to_string());
        self.note(format!("close {reason}"))
    }

    fn connection_lost(
        &mut self,
        socket: &WebSocket,
        closure: &Closure,
        error: Option<&Error>,
    ) -> Result {
        assert!(!socket.is_open());
        let clean = if closure.is_clean { "clean" } else { "unclean" };
        let error = match error {
            None => String::new(),
            Some(error) if error.is_protocol_violation() => " violation".to_owned(),
            Some(error) => format!(" {error}"),
        };
        self.note(format!("lost {clean} {}{error}", closure.code.get()))
    }
}

/// A frame that the session sent: its first byte, and its payload.
pub(super) type Sent = (u8, Vec<u8>);

/// The other end.
pub(super) struct Peer {
    pub(super) recorder: Recorder<WebSocketSession<Echo>>,
    pub(super) log: Rc<RefCell<Vec<String>>>,
    /// The session's.
    pub(super) role: Role,
    unread: Vec<u8>,
}

impl Peer {
    /// The peer of an echo that has opened.
    pub(super) fn of(role: Role) -> Self {
        Self::with(role, WebSocketOptions::new().max_message_length(16 << 20), Echo::default())
    }

    pub(super) fn with(role: Role, options: WebSocketOptions, echo: Echo) -> Self {
        let mut peer = Self::connect(role, options, echo);
        peer.handshake();
        assert_eq!(peer.notes(), ["opened"]);
        peer
    }

    /// The peer of a session that is about to open.
    pub(super) fn connect(role: Role, options: WebSocketOptions, echo: Echo) -> Self {
        let log = Rc::clone(&echo.log);
        let factory = || match role {
            Role::Server => WebSocketSession::server(echo, ServerHandshake::new(), options),
            Role::Client => WebSocketSession::client(echo, client(), options),
        };
        let recorder = Recorder::with_capacity(1 << 20, factory).unwrap();
        Self { recorder, log, role, unread: Vec::new() }
    }

    pub(super) fn handshake(&mut self) {
        let mut bytes = Vec::new();
        if self.role == Role::Server {
            client().encode(&mut bytes);
            self.recorder.receive(&bytes).unwrap();
            let answer = self.recorder.sent().unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
        } else {
            let sent = self.recorder.sent().unwrap();
            let request = RequestDecoder::new().decode(&mut &sent[..]).unwrap().unwrap();
            ServerHandshake::new().accept(&request).unwrap().encode(&mut bytes);
            self.recorder.receive(&bytes).unwrap();
        }
    }

    /// A frame of any bits, as this end sends it.
    pub(super) fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = (self.role == Role::Server).then_some([0xa1, 0xb2, 0xc3, 0xd4]);
        let length = payload.len() as u64;
        let (is_final, is_compressed, opcode) = (true, false, Opcode::Binary);
        let header = FrameHeader { is_final, is_compressed, opcode, mask, length };
        let mut bytes = header.encode(&mut [0; FrameHeader::MAX_LENGTH]).to_vec();
        bytes[0] = first;
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        if let Some(mask) = mask {
            crate::websocket::mask::apply_mask(mask, &mut bytes[start..]);
        }
        bytes
    }

    pub(super) fn send(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let bytes = self.frame(first, payload.as_ref());
        self.send_bytes(&bytes);
    }

    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        // What is sent back meanwhile is read, so that nobody waits for the other.
        for chunk in bytes.chunks(1 << 16) {
            self.recorder.receive(chunk).unwrap();
            self.unread.extend(self.recorder.sent().unwrap());
        }
    }

    /// The frames that the session has sent since the last call.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        let mut bytes = std::mem::take(&mut self.unread);
        bytes.extend(self.recorder.sent().unwrap());
        let mut rest = &bytes[..];
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let (header, length) = FrameHeader::decode(rest, self.role.peer()).unwrap().unwrap();
            let (payload, after) = rest[length..].split_at(header.length as usize);
            let mut payload = payload.to_vec();
            if let Some(mask) = header.mask {
                crate::websocket::mask::apply_mask(mask, &mut payload);
            }
            frames.push((rest[0], payload));
            rest = after;
        }
        frames
    }

    /// The close that the session has sent, as the last of its frames, after which the connection ends.
    #[track_caller]
    pub(super) fn assert_failed(&mut self, before: &[Sent], code: CloseCode) {
        let mut sent = self.sent();
        let (first, payload) = sent.pop().expect("a close");
        assert_eq!(sent, before);
        assert_eq!((first, &payload[..2]), (0x88, &code.get().to_be_bytes()[..]));
        assert!(std::str::from_utf8(&payload[2..]).is_ok_and(|words| !words.is_empty()));
        assert!(self.recorder.is_closing());
        self.recorder.receive_eof().unwrap();
        assert!(self.notes().last().unwrap().starts_with("lost unclean"));
    }

    /// What the protocol has noted since the last call.
    pub(super) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.log.borrow_mut())
    }

    pub(super) fn advance(&mut self, seconds: u64) {
        self.recorder.advance(Duration::from_secs(seconds)).unwrap();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.recorder.connection().handle().is_closing()
    }
}

pub(super) fn client() -> ClientHandshake {
    ClientHandshake::new("ws://192.0.2.1/echo".parse().unwrap(), &mut MaskKeys::random())
}
