//! A server of NATS, as far as clients need one: subscriptions, messages, pings.

use std::cell::RefCell;
use std::rc::Rc;

use wharf::{Error, Protocol, Result, Transport, TransportHandle, TransportId};
use wharf_protocols::codec::{Decoder as _, Encoder as _};
use wharf_protocols::nats::codec::{
    ClientOp, ClientOpDecoder, Msg, Pub, ServerInfo, ServerOp, ServerOpEncoder, subject_matches,
};

/// What all connections share.
#[derive(Clone, Default)]
pub(crate) struct Broker(Rc<RefCell<Vec<Subscription>>>);

struct Subscription {
    owner: TransportHandle,
    subject: String,
    sid: u64,
}

impl Broker {
    pub(crate) fn session(&self) -> Session {
        Session { broker: self.clone(), decoder: ClientOpDecoder::new() }
    }

    /// To whoever has subscribed; who asks where nobody has is told so.
    fn publish(&self, publisher: TransportId, message: &Pub<'_>) -> Result {
        let subject = std::str::from_utf8(message.subject)?;
        let subscriptions = self.0.borrow();
        let mut is_heard = false;
        for each in subscriptions.iter().filter(|each| subject_matches(&each.subject, subject)) {
            is_heard = true;
            let Pub { subject, reply, headers, payload } = *message;
            send(
                &each.owner,
                &ServerOp::Msg(Msg { subject, sid: each.sid, reply, headers, payload }),
            )?;
        }
        let Some(reply) = message.reply.filter(|_| !is_heard) else { return Ok(()) };
        let reply_text = std::str::from_utf8(reply)?;
        let asks = |each: &&Subscription| {
            each.owner.id() == publisher && subject_matches(&each.subject, reply_text)
        };
        if let Some(Subscription { owner, sid, .. }) = subscriptions.iter().find(asks) {
            let headers = Some(&b"NATS/1.0 503\r\n\r\n"[..]);
            let status = Msg { subject: reply, sid: *sid, reply: None, headers, payload: b"" };
            send(owner, &ServerOp::Msg(status))?;
        }
        Ok(())
    }
}

/// A connection.
pub(crate) struct Session {
    broker: Broker,
    decoder: ClientOpDecoder,
}

impl Protocol for Session {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let mut info = ServerInfo::default();
        (info.headers, info.max_payload) = (true, 1024 * 1024);
        send(transport, &ServerOp::Info(&info.to_json()))
    }

    fn data_received(&mut self, transport: &dyn Transport, mut data: &[u8]) -> Result {
        let subscriptions = &self.broker.0;
        while let Some(op) = self.decoder.decode(&mut data)? {
            match op {
                ClientOp::Pub(message) => self.broker.publish(transport.id(), &message)?,
                ClientOp::Sub { subject, sid, .. } => {
                    let subject = String::from_utf8(subject.to_vec())?;
                    let owner = transport.handle();
                    subscriptions.borrow_mut().push(Subscription { owner, subject, sid });
                }
                ClientOp::Unsub { sid, .. } => {
                    let is_it =
                        |each: &Subscription| each.sid == sid && each.owner.id() == transport.id();
                    subscriptions.borrow_mut().retain(|each| !is_it(each));
                }
                ClientOp::Ping => send(transport, &ServerOp::Pong)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
        self.broker.0.borrow_mut().retain(|each| each.owner.id() != transport.id());
        Ok(())
    }
}

fn send(transport: &dyn Transport, op: &ServerOp<'_>) -> Result {
    let mut output = Vec::new();
    ServerOpEncoder::new().encode(op, &mut output)?;
    transport.write(&output);
    Ok(())
}
