//! One layer of TLS, and those below it.

use std::ops::Range;

use rustls::Error;

use super::early_data::{EarlyData, TlsEarlyData};
use super::hello::{self, Hello, HelloReader, ServerHello};
use super::scratch::Scratch;
use super::session::{End, HEADROOM, MOST_PARTIAL, Panicked, Received, Session};
use crate::fence;
use crate::tls::{ExporterSecret, MasterSecret, Secret, export_unsupported};

/// A session, what it waits for the rest of, and the layer that carries its records (TLS in TLS).
pub(crate) struct Layer {
    session: Session,
    /// Input that is not complete; no memory without.
    partial: Vec<u8>,
    below: Option<Box<Layer>>,
    /// Until the peer's first message is there.
    peer_hello: Option<Box<HelloReader>>,
    /// What the server's first message said, until the handshake is done.
    server_hello: Option<Box<ServerHello>>,
    server_name: Option<String>,
    /// What keying material is exported from, once it is known.
    exporter: Option<Box<ExporterSecret>>,
    /// What a client sends before the handshake is done.
    sends_early: Option<Box<EarlyData>>,
    early_data: TlsEarlyData,
    close_sent: bool,
    sealed: bool,
}

/// What came of input.
pub(crate) struct Opened {
    /// How much plaintext lies at the front of the buffer.
    pub(crate) plaintext: usize,
    pub(crate) end: End,
}

impl Layer {
    pub(crate) fn new(session: Session, server_name: Option<String>) -> Self {
        Self {
            session,
            partial: Vec::new(),
            below: None,
            peer_hello: Some(Box::default()),
            server_hello: None,
            server_name,
            exporter: None,
            sends_early: None,
            early_data: TlsEarlyData::NotOffered,
            close_sent: false,
            sealed: false,
        }
    }

    /// To be sent with the first message, or right after the handshake.
    pub(crate) fn with_early_data(mut self, data: Vec<u8>) -> Self {
        self.sends_early = (!data.is_empty()).then(|| Box::new(EarlyData::new(data)));
        self
    }

    /// What became of early data, once the handshake is done.
    pub(crate) fn early_data(&self) -> TlsEarlyData {
        self.early_data
    }

    pub(crate) fn has_early_rest(&self) -> bool {
        self.sends_early.is_some()
    }

    /// The early data that the peer has not got; to be asked for once, when the handshake is done.
    pub(crate) fn take_early_rest(&mut self) -> Vec<u8> {
        self.sends_early.take().map(|early| early.rest()).unwrap_or_default()
    }

    /// This layer's records become the data of `below`.
    pub(crate) fn over(mut self, below: Option<Self>) -> Self {
        self.below = below.map(Box::new);
        self
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The name that the client asked for: this one, or the one at the other end.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    pub(crate) fn is_established(&self) -> bool {
        !self.session.state().is_handshaking()
    }

    pub(crate) fn close_was_sent(&self) -> bool {
        self.close_sent
    }

    /// Where in the buffer the input has to be put.
    pub(crate) fn input_start(&self) -> usize {
        let bottom = self.bottom();
        HEADROOM + bottom.partial.len()
    }

    /// As [`input_start`](Self::input_start) for [`open_own`](Self::open_own).
    pub(crate) fn own_input_start(&self) -> usize {
        HEADROOM + self.partial.len()
    }

    /// Whether input is there that is not complete.
    #[cfg(all(test, feature = "tls"))]
    pub(crate) fn has_partial(&self) -> bool {
        !self.bottom().partial.is_empty()
    }

    /// Whether data of this layer's user was sent.
    pub(crate) fn has_sealed(&self) -> bool {
        self.sealed
    }

    fn bottom(&self) -> &Self {
        let mut layer = self;
        while let Some(below) = &layer.below {
            layer = below;
        }
        layer
    }

    /// Takes the `count` bytes that were put where [`input_start`](Self::input_start) says.
    ///
    /// What has to be sent in return is appended to `output`.
    pub(crate) fn open(&mut self, buffer: &mut [u8], count: usize, output: &mut Scratch) -> Opened {
        let Some(below) = &mut self.below else {
            return self.open_input(buffer, count, output);
        };
        let carried = below.open(buffer, count, output);
        let start = self.own_input_start();
        buffer.copy_within(..carried.plaintext, start);
        let mut opened = self.open_own(buffer, carried.plaintext, output);
        if let (End::No, End::Failed(_)) = (&opened.end, &carried.end) {
            opened.end = carried.end;
        } else if let (End::No, End::Closed) = (&opened.end, &carried.end) {
            opened.end = End::Failed(Error::General(
                "the layer below was closed, and this one was not".to_owned(),
            ));
        }
        opened
    }

    /// As [`open`](Self::open), for bytes that have come through the layers below already, and were
    /// put where [`own_input_start`](Self::own_input_start) says.
    pub(crate) fn open_own(
        &mut self,
        buffer: &mut [u8],
        count: usize,
        output: &mut Scratch,
    ) -> Opened {
        let mut answer = Scratch::default();
        let mut opened = self.open_input(buffer, count, &mut answer);
        if let Err(error) = self.carry(answer.bytes(), output)
            && !matches!(opened.end, End::Failed(_))
        {
            opened.end = End::Failed(error);
        }
        opened
    }

    fn open_input(&mut self, buffer: &mut [u8], count: usize, output: &mut Scratch) -> Opened {
        let start = HEADROOM + self.partial.len();
        self.note_peer_hello(&buffer[start..start + count]);
        buffer[HEADROOM..start].copy_from_slice(&self.partial);
        let input = HEADROOM..start + count;
        let Received { plaintext, is_early, rest, end } = if self.is_established() {
            self.session.receive(buffer, input, output)
        } else {
            let before = output.bytes().len();
            let receive = || self.session.receive(buffer, input, output);
            let (received, secret) = Secret::catch(receive);
            let answer = &output.bytes()[before..];
            self.note_own_hello(answer);
            if let Some(early) = &mut self.sends_early {
                early.note_answer(answer);
                self.early_data = early.outcome;
            }
            self.note_secret(secret);
            received
        };
        if is_early {
            self.early_data = TlsEarlyData::Accepted;
        }
        let end = match self.keep(buffer, rest, end) {
            // An assertion of rustls's, in builds with debug assertions, that the peer can trip: it has
            // an alert to send then, and may not.
            End::Failed(error) if self.close_sent && Panicked::is_in(&error) => {
                End::Failed(Error::General("bad input after close_notify".to_owned()))
            }
            end => end,
        };
        Opened { plaintext, end }
    }

    fn note_peer_hello(&mut self, input: &[u8]) {
        let Some(reader) = &mut self.peer_hello else { return };
        let message = match reader.feed(input) {
            Hello::Partial => return,
            Hello::Whole(message) => message,
            Hello::None => &[],
        };
        if self.session.is_client() {
            self.server_hello = hello::server_hello(message).map(Box::new);
        } else {
            self.server_name = hello::server_name(message);
        }
        self.peer_hello = None;
    }

    /// A server's first output begins with its hello.
    fn note_own_hello(&mut self, output: &[u8]) {
        if !self.session.is_client()
            && self.server_hello.is_none()
            && let Hello::Whole(message) = HelloReader::default().feed(output)
        {
            self.server_hello = hello::server_hello(message).map(Box::new);
        }
    }

    fn note_secret(&mut self, secret: Option<Secret>) {
        match secret {
            Some(Secret::Exporter(secret)) => self.exporter = Some(Box::new(secret)),
            Some(Secret::Master(MasterSecret { secret, client_random })) => {
                // Without the extension others can have the same secret (RFC 7627, 5.4).
                if let Some(hello) = &self.server_hello
                    && hello.extends_master_secret
                {
                    let exporter = ExporterSecret::of_tls12(secret, client_random, hello.random);
                    self.exporter = Some(Box::new(exporter));
                }
            }
            None => {}
        }
        if self.is_established() {
            self.server_hello = None;
        }
    }

    fn keep(&mut self, buffer: &[u8], rest: Range<usize>, end: End) -> End {
        if rest.len() > MOST_PARTIAL {
            self.partial = Vec::new();
            let too_large = rustls::InvalidMessage::HandshakePayloadTooLarge;
            return End::Failed(Error::InvalidMessage(too_large));
        }
        if rest.is_empty() {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(&buffer[rest]);
        }
        end
    }

    /// Appends the records of `data`, as the lowest layer makes them, to `output`.
    pub(crate) fn seal(&mut self, data: &[u8], output: &mut Scratch) -> Result<(), Error> {
        self.sealed = true;
        if self.below.is_none() {
            return self.session.encrypt(&mut self.partial, data, output);
        }
        let mut records = Scratch::default();
        self.session.encrypt(&mut self.partial, data, &mut records)?;
        self.carry(records.bytes(), output)
    }

    /// Fills `output` with keying material.
    pub(crate) fn export(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), crate::error::Error> {
        match (&self.exporter, self.session.state().negotiated_cipher_suite()) {
            (Some(secret), Some(suite)) => {
                // The suite may be that of a provider of the user's.
                fence::run(|| secret.export(suite, output, label, context))
                    .unwrap_or_else(|panic| Err(panic.into_error()))
            }
            _ => Err(export_unsupported()),
        }
    }

    /// Appends our `close_notify`, that of this layer first, to `output`.
    pub(crate) fn close(&mut self, output: &mut Scratch) -> Result<(), Error> {
        if std::mem::replace(&mut self.close_sent, true) {
            return Ok(());
        }
        let Some(below) = &mut self.below else {
            return self.session.close(&mut self.partial, output);
        };
        let mut records = Scratch::default();
        self.session.close(&mut self.partial, &mut records)?;
        below.seal(records.bytes(), output)?;
        below.close(output)
    }

    #[cfg(all(test, feature = "tls"))]
    pub(crate) fn update_keys(&mut self, output: &mut Scratch) -> Result<(), Error> {
        self.session.update_keys(&mut self.partial, output)
    }

    /// Begins: what a client sends first is appended to `output`.
    pub(crate) fn begin(&mut self, output: &mut Scratch) -> Result<(), Error> {
        let mut records = Scratch::default();
        let early = self.sends_early.as_ref().map_or(&[][..], |early| early.data());
        let sent = self.session.begin(early, &mut records)?;
        if let Some(early) = &mut self.sends_early {
            early.note_sent(sent);
            self.early_data = early.outcome;
        }
        self.carry(records.bytes(), output)
    }

    /// Sends records of this layer by the one below, or as they are.
    fn carry(&mut self, records: &[u8], output: &mut Scratch) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        match &mut self.below {
            Some(below) => below.seal(records, output),
            None => {
                output.append_bytes(records);
                Ok(())
            }
        }
    }
}
