//! A broker in memory: enough of a server for the client's tests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::{Error, EventLoop, Protocol, Result, Transport, TransportHandle, TransportId};

use crate::codec::{Decoder, Encoder};
use crate::nats::codec::{
    ClientOp, ClientOpDecoder, ConnectInfo, Msg, Pub, ServerInfo, ServerOp, ServerOpEncoder,
    subject_matches,
};

#[derive(Clone, Default)]
pub(super) struct Broker(Rc<State>);

#[derive(Default)]
struct State {
    subscriptions: RefCell<Vec<Subscription>>,
    connections: RefCell<Vec<TransportHandle>>,
    tokens: RefCell<Vec<String>>,
    published: Cell<usize>,
    subscribed: Cell<usize>,
    refusal: RefCell<Option<String>>,
}

struct Subscription {
    owner: TransportHandle,
    subject: String,
    queue: Option<String>,
    sid: u64,
    /// How many more it gets.
    left: Option<u64>,
}

impl Broker {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) async fn listen(&self, event_loop: &EventLoop, address: &str) -> Result {
        let broker = self.clone();
        let factory = move || Session { broker: broker.clone(), decoder: ClientOpDecoder::new() };
        event_loop.create_server(factory, address).await?;
        Ok(())
    }

    #[cfg(feature = "tls")]
    pub(super) async fn listen_with_tls(
        &self,
        event_loop: &EventLoop,
        address: &str,
        tls: &wharf::TlsServer,
    ) -> Result {
        let broker = self.clone();
        let factory = move || Session { broker: broker.clone(), decoder: ClientOpDecoder::new() };
        event_loop.create_server(factory, address).tls(tls).await?;
        Ok(())
    }

    pub(super) fn drop_connections(&self) {
        for connection in self.0.connections.borrow().iter() {
            connection.abort();
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.0.connections.borrow().len()
    }

    pub(super) fn tokens(&self) -> Vec<String> {
        self.0.tokens.borrow().clone()
    }

    pub(super) fn published(&self) -> usize {
        self.0.published.get()
    }

    /// What is subscribed to.
    pub(super) fn subjects(&self) -> Vec<String> {
        self.0.subscriptions.borrow().iter().map(|each| each.subject.clone()).collect()
    }

    pub(super) fn refuse_logins(&self, text: &str) {
        *self.0.refusal.borrow_mut() = Some(text.to_owned());
    }

    pub(super) fn take_logins(&self) {
        *self.0.refusal.borrow_mut() = None;
    }

    /// Sends a message to whoever has subscribed to `to`, with another subject, as JetStream does.
    pub(super) fn deliver(&self, to: &str, subject: &str, reply: &str) {
        let subscriptions = self.0.subscriptions.borrow();
        for each in subscriptions.iter().filter(|each| subject_matches(&each.subject, to)) {
            let message = Msg {
                subject: subject.as_bytes(),
                sid: each.sid,
                reply: Some(reply.as_bytes()),
                headers: None,
                payload: b"value",
            };
            send(&each.owner, &ServerOp::Msg(message));
        }
    }

    /// How many subscriptions there were, over all connections.
    pub(super) fn subscribed(&self) -> usize {
        self.0.subscribed.get()
    }

    fn forget(&self, owner: TransportId) {
        self.0.subscriptions.borrow_mut().retain(|each| each.owner.id() != owner);
        self.0.connections.borrow_mut().retain(|each| each.id() != owner);
    }

    fn publish(&self, publisher: &dyn Transport, message: &Pub<'_>) {
        self.0.published.set(self.0.published.get() + 1);
        let subject = std::str::from_utf8(message.subject).unwrap();
        let mut served: Vec<String> = Vec::new();
        let mut receivers = Vec::new();
        let mut subscriptions = self.0.subscriptions.borrow_mut();
        for each in subscriptions.iter_mut().filter(|each| subject_matches(&each.subject, subject))
        {
            if each.left == Some(0) {
                continue;
            }
            if let Some(queue) = &each.queue {
                if served.contains(queue) {
                    continue;
                }
                served.push(queue.clone());
            }
            each.left = each.left.map(|left| left - 1);
            receivers.push((each.owner.clone(), each.sid));
        }
        // The next message goes to the next member of a group.
        subscriptions.rotate_left(usize::from(!served.is_empty()));
        drop(subscriptions);
        for (owner, sid) in &receivers {
            send(
                owner,
                &ServerOp::Msg(Msg {
                    subject: message.subject,
                    sid: *sid,
                    reply: message.reply,
                    headers: message.headers,
                    payload: message.payload,
                }),
            );
        }
        if receivers.is_empty()
            && let Some(reply) = message.reply
        {
            let headers = Some(&b"NATS/1.0 503\r\n\r\n"[..]);
            let subscriptions = self.0.subscriptions.borrow();
            let reply_text = std::str::from_utf8(reply).unwrap();
            let own = subscriptions.iter().find(|each| {
                each.owner.id() == publisher.id() && subject_matches(&each.subject, reply_text)
            });
            if let Some(own) = own {
                let status =
                    Msg { subject: reply, sid: own.sid, reply: None, headers, payload: b"" };
                send(&own.owner, &ServerOp::Msg(status));
            }
        }
    }
}

struct Session {
    broker: Broker,
    decoder: ClientOpDecoder,
}

impl Protocol for Session {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.broker.0.connections.borrow_mut().push(transport.handle());
        let info = ServerInfo { headers: true, max_payload: 1024 * 1024, ..ServerInfo::default() };
        send(transport, &ServerOp::Info(&info.to_json()));
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, mut data: &[u8]) -> Result {
        let state = &self.broker.0;
        while let Some(op) = self.decoder.decode(&mut data)? {
            match op {
                ClientOp::Connect(json) => {
                    let connect = ConnectInfo::from_json(json)?;
                    state.tokens.borrow_mut().extend(connect.auth_token);
                    if let Some(text) = &*state.refusal.borrow() {
                        send(transport, &ServerOp::Err(text.as_bytes()));
                        transport.close();
                        return Ok(());
                    }
                }
                ClientOp::Pub(message) => self.broker.publish(transport, &message),
                ClientOp::Sub { subject, queue, sid } => {
                    state.subscribed.set(state.subscribed.get() + 1);
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                    state.subscriptions.borrow_mut().push(Subscription {
                        owner: transport.handle(),
                        subject: text(subject),
                        queue: queue.map(text),
                        sid,
                        left: None,
                    });
                }
                ClientOp::Unsub { sid, max } => {
                    let mut subscriptions = state.subscriptions.borrow_mut();
                    let is_it =
                        |each: &Subscription| each.sid == sid && each.owner.id() == transport.id();
                    match max {
                        Some(max) => {
                            for each in subscriptions.iter_mut().filter(|each| is_it(each)) {
                                each.left = Some(max);
                            }
                        }
                        None => subscriptions.retain(|each| !is_it(each)),
                    }
                }
                ClientOp::Ping => send(transport, &ServerOp::Pong),
                ClientOp::Pong => (),
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
        self.broker.forget(transport.id());
        Ok(())
    }
}

fn send(transport: &dyn Transport, op: &ServerOp<'_>) {
    let mut output = Vec::new();
    ServerOpEncoder::new().encode(op, &mut output).unwrap();
    transport.write(&output);
}
