//! One connection of a client.

use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Eof, Error, Protocol, Requests, Result, Timeout, Transport, WaterMarks};

use super::credentials::Credentials;
use super::error::NatsError;
use super::event::Event;
use super::message::Message;
use super::queue::Pushed;
use super::shared::{Live, Shared};
use super::subscribed::{Sink, Subscribed};
use super::user::call_user;
use crate::codec::{Decoder, Encoder};
use crate::nats::codec::{
    ClientOp, ClientOpEncoder, ConnectInfo, Msg, ServerInfo, ServerOp, ServerOpDecoder,
};
use crate::reconnect::Attempt;

/// How many answers to PINGs may wait when more waits to be sent than [`Options::max_pending`](super::Options::max_pending)
/// allows. A server that is only slow asks no more than a few times.
const MAX_PONGS: u32 = 1000;

/// The protocol of a connection.
pub(super) struct Link {
    decoder: ServerOpDecoder,
    session: Session,
}

struct Session {
    shared: Rc<Shared>,
    attempt: Attempt,
    /// Those of the address.
    credentials: Option<Credentials>,
    /// Of the server's certificate, for addresses that are no name.
    #[cfg(feature = "tls")]
    server_name: Option<String>,
    stage: Stage,
    info: Rc<ServerInfo>,
    pongs: Requests<()>,
    /// Something was received since the last look.
    is_alive: bool,
    pings_out: u32,
    /// Answers to PINGs since nothing waited to be sent.
    pongs_out: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The server speaks first.
    Info,
    /// TLS is being agreed on.
    Tls,
    /// `CONNECT` and `PING` were sent.
    Connect,
    Established,
}

/// What is to be done after an operation.
enum Next {
    GoOn,
    StartTls,
}

impl Link {
    pub(super) fn new(
        shared: &Rc<Shared>,
        attempt: &Attempt,
        credentials: Option<Credentials>,
        server_name: Option<String>,
    ) -> Self {
        #[cfg(not(feature = "tls"))]
        let _ = server_name;
        let session = Session {
            shared: Rc::clone(shared),
            attempt: attempt.clone(),
            credentials,
            #[cfg(feature = "tls")]
            server_name,
            stage: Stage::Info,
            info: Rc::default(),
            pongs: Requests::new(&shared.event_loop),
            is_alive: true,
            pings_out: 0,
            pongs_out: 0,
        };
        let decoder = ServerOpDecoder::new().max_payload(shared.options.max_message);
        Self { decoder, session }
    }
}

impl Protocol for Link {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let shared = &self.session.shared;
        let high = WaterMarks::default().high.min(shared.options.max_pending.max(1));
        transport.set_write_buffer_limits(WaterMarks::from_high(high))?;
        transport.set_timeout(Timeout::User, Some(shared.options.connect_timeout));
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.session.is_alive = true;
        let mut input = data;
        loop {
            let op = match self.decoder.decode(&mut input) {
                Ok(Some(op)) => op,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Error::protocol_violation(error).into()),
            };
            match self.session.operation(transport, &op)? {
                Next::GoOn => (),
                Next::StartTls => {
                    self.session.start_tls(transport, Bytes::copy_from_slice(input));
                    return Ok(());
                }
            }
            if !input.is_empty() && !transport.is_reading() {
                transport.unread(input.len());
                return Ok(());
            }
        }
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.decoder.finish().map_err(Error::protocol_violation)?;
        Ok(Eof::Close)
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        // Whoever publishes waits in `writable`. Reading goes on: of what it gives only PINGs are answered.
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        self.session.shared.changed.wake();
        Ok(())
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        if timeout != Timeout::User || self.session.stage != Stage::Established {
            return Err(Error::timeout(timeout).into());
        }
        self.session.look(transport)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        if self.session.stage == Stage::Tls {
            self.session.log_in(transport)?;
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.session.pongs.end(error);
        if self.session.stage == Stage::Established {
            self.session.shared.lost(error);
        }
        Ok(())
    }
}

impl Session {
    fn operation(&mut self, transport: &dyn Transport, op: &ServerOp<'_>) -> Result<Next> {
        match op {
            ServerOp::Msg(message) if self.stage == Stage::Established => {
                self.message(message);
            }
            ServerOp::Info(json) => return self.info(transport, json),
            ServerOp::Ping => self.answer_ping(transport)?,
            ServerOp::Pong => self.pong(transport)?,
            ServerOp::Ok => (),
            ServerOp::Err(text) => self.refused(&String::from_utf8_lossy(text))?,
            ServerOp::Msg(_) => {
                return Err(Error::protocol_violation("a message before the log-in").into());
            }
        }
        Ok(Next::GoOn)
    }

    fn info(&mut self, transport: &dyn Transport, json: &[u8]) -> Result<Next> {
        let info = ServerInfo::from_json(json).map_err(Error::protocol_violation)?;
        let is_new_lame_duck = info.lame_duck_mode && !self.info.lame_duck_mode;
        let has_new_members = info.connect_urls != self.info.connect_urls;
        self.info = Rc::new(info);
        let shared = &self.shared;
        shared.info.replace(Rc::clone(&self.info));
        if let Ok(most) = usize::try_from(self.info.max_payload)
            && most > 0
        {
            shared.encoder.set(ClientOpEncoder::new().max_payload(most));
        }
        // One that tells of no members has none to tell of: it may just have been started.
        if shared.options.learn_members
            && has_new_members
            && !self.info.connect_urls.is_empty()
            && let Some(owner) = shared.owner.get().and_then(std::rc::Weak::upgrade)
        {
            owner.reconnecting.learn_addresses(self.info.connect_urls.clone());
        }
        if self.stage != Stage::Info {
            if is_new_lame_duck {
                shared.tell(&Event::LameDuckMode);
            }
            return Ok(Next::GoOn);
        }
        let is_secure = self.is_secure(transport);
        let offers_tls = self.info.tls_required || self.info.tls_available;
        if shared.options.has_tls() && !is_secure {
            if !offers_tls {
                let text = "TLS is wanted, and the server has none";
                return Err(self.failed(NatsError::Invalid(text.to_owned())));
            }
            self.stage = Stage::Tls;
            return Ok(Next::StartTls);
        }
        if self.info.tls_required && !is_secure {
            let text = "the server requires TLS: see `Options::tls`";
            return Err(self.failed(NatsError::Invalid(text.to_owned())));
        }
        self.log_in(transport)?;
        Ok(Next::GoOn)
    }

    #[cfg(feature = "tls")]
    fn is_secure(&self, transport: &dyn Transport) -> bool {
        transport.info().tls().is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn is_secure(&self, _: &dyn Transport) -> bool {
        false
    }

    #[cfg(feature = "tls")]
    fn start_tls(&self, transport: &dyn Transport, leftover: Bytes) {
        if let Some(tls) = self.shared.options.tls.clone() {
            transport.start_tls(super::tls::upgrade(tls, self.server_name.as_deref()), leftover);
        }
    }

    #[cfg(not(feature = "tls"))]
    fn start_tls(&self, transport: &dyn Transport, _: Bytes) {
        transport.abort();
    }

    fn log_in(&mut self, transport: &dyn Transport) -> Result {
        let options = &self.shared.options;
        let mut connect = ConnectInfo::new();
        connect.name.clone_from(&options.name);
        connect.echo = options.echo;
        connect.tls_required = options.has_tls();
        connect.headers = self.info.headers;
        connect.no_responders = self.info.headers;
        let credentials = match &options.credentials {
            Some(ask) => ask(&self.info).map_err(|error| self.failed(error))?,
            None => self.credentials.clone().unwrap_or_default(),
        };
        let applied = credentials.apply(&self.info, &mut connect);
        applied.map_err(|error| self.failed(error))?;
        let mut output = Vec::new();
        // A long JWT is longer than other control lines, and servers know it.
        let mut encoder = ClientOpEncoder::new().max_control_line(64 * 1024);
        for op in [ClientOp::Connect(&connect.to_json()), ClientOp::Ping] {
            encoder.encode(&op, &mut output).map_err(|error| self.failed(error.into()))?;
        }
        transport.write(&output);
        self.stage = Stage::Connect;
        Ok(())
    }

    fn pong(&mut self, transport: &dyn Transport) -> Result {
        match self.stage {
            Stage::Connect => {
                self.stage = Stage::Established;
                let interval = self.shared.options.ping_interval;
                transport.set_timeout(Timeout::User, Some(interval));
                let live = Live { transport: transport.handle(), pongs: self.pongs.clone() };
                self.shared.established(live);
                self.attempt.established();
                Ok(())
            }
            Stage::Established => {
                self.pings_out = 0;
                Ok(self.pongs.answer(())?)
            }
            Stage::Info | Stage::Tls => {
                Err(Error::protocol_violation("an answer that nobody asked for").into())
            }
        }
    }

    fn refused(&mut self, text: &str) -> Result {
        let error = NatsError::Server(text.to_owned());
        if self.stage != Stage::Established {
            return Err(self.failed(error));
        }
        self.shared.last_error.replace(Some(error));
        // The server ends the connection after those that are serious.
        self.shared.tell(&Event::ServerError(text.to_owned()));
        Ok(())
    }

    /// A handshake that failed: the error is the client's, and ends this connection.
    fn failed(&self, error: NatsError) -> wharf::Failure {
        self.shared.last_error.replace(Some(error.clone()));
        Error::protocol_violation(error).into()
    }

    fn message(&mut self, message: &Msg<'_>) {
        let subscribed = self.shared.subscribed.borrow().get(&message.sid).cloned();
        // One that has ended already: some may be on their way.
        let Some(subscribed) = subscribed else { return };
        let count = subscribed.delivered.get() + 1;
        subscribed.delivered.set(count);
        match Message::copy(message) {
            Some(message) => self.deliver(&subscribed, message),
            None => self.shared.tell(&Event::MalformedMessage),
        }
        if subscribed.max.is_some_and(|max| count >= max) {
            self.shared.subscribed.borrow_mut().remove(&subscribed.sid);
            subscribed.end();
        }
    }

    fn deliver(&self, subscribed: &Rc<Subscribed>, message: Message) {
        let shared = &self.shared;
        match &subscribed.sink {
            Sink::Callback(callback) => {
                call_user(&shared.event_loop, || callback.borrow_mut()(message));
            }
            Sink::Requests => {
                let id = message.subject().rsplit('.').next().and_then(|id| id.parse().ok());
                if let Some(id) = id {
                    // Nobody waits for one that came too late.
                    let _ = shared.requests.answer(&id, message);
                    shared.request_ended();
                }
            }
            Sink::Queue(queue) => {
                let Pushed::Full(does_pause) = queue.push(message) else { return };
                if does_pause {
                    shared.pause(subscribed.sid);
                }
                let subject = subscribed.subject.clone();
                shared.tell(&Event::SlowConsumer { subject });
            }
        }
    }

    /// Answers a `PING`. A server that sends them and does not take the answers is not to fill our memory.
    fn answer_ping(&mut self, transport: &dyn Transport) -> Result {
        let waiting = self.shared.waiting(transport);
        self.pongs_out = if waiting == 0 { 1 } else { self.pongs_out + 1 };
        if self.pongs_out > MAX_PONGS && waiting > self.shared.options.max_pending {
            return Err(Error::protocol_violation("PINGs whose answers are not taken").into());
        }
        if self.stage == Stage::Established {
            self.shared.send(&ClientOp::Pong).map_err(Error::protocol_violation)?;
        } else {
            transport.write(b"PONG\r\n");
        }
        Ok(())
    }

    /// Whether the server is still there, asked now and then.
    fn look(&mut self, transport: &dyn Transport) -> Result {
        let is_quiet = !std::mem::take(&mut self.is_alive) && !self.shared.is_paused();
        if is_quiet && self.pings_out >= self.shared.options.max_pings_out {
            return Err(Error::timeout(Timeout::User).into());
        }
        if transport.is_reading() {
            self.pings_out = if is_quiet { self.pings_out + 1 } else { 1 };
            // Nobody awaits it; its place in the order is what counts.
            drop(self.pongs.begin()?);
            self.shared.send(&ClientOp::Ping).map_err(Error::protocol_violation)?;
        }
        Ok(())
    }
}
