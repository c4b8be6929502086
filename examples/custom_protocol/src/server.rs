//! The server: callbacks, and no `async`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Error, Result, Timeout, Transport};
use wharf_protocols::codec::Encoder;
use wharf_protocols::framing::{FrameProtocol, Framed};

use crate::{Message, MessageDecoder, MessageEncoder};

/// A connection without messages for so long is closed.
pub const IDLE: Duration = Duration::from_secs(60);

/// How many counters there may be: whoever can make one for each name can fill the memory.
const MOST_COUNTERS: usize = 1000;

/// The counters that all connections share. They are all on one loop, so this is an `Rc`, and no lock.
pub type Counters = Rc<RefCell<BTreeMap<String, u64>>>;

/// The protocol of one connection, for `create_server`.
///
/// ```
/// use custom_protocol::{Counters, server};
/// use wharf::testing::Recorder;
///
/// # fn main() -> wharf::Result {
/// let counters = Counters::default();
/// let mut recorder = Recorder::new(|| server(&counters))?;
/// recorder.receive(b"\xc7A\0\x0a\0\0\0\x03apples")?;
/// assert_eq!(recorder.sent()?, b"\xc7T\0\x08\0\0\0\0\0\0\0\x03");
/// assert_eq!(counters.borrow()["apples"], 3);
/// # Ok(())
/// # }
/// ```
pub fn server(counters: &Counters) -> Framed<Tally, MessageDecoder> {
    Framed::new(Tally { counters: Rc::clone(counters) }, MessageDecoder::default())
}

/// What the server does with messages.
#[derive(Debug)]
pub struct Tally {
    counters: Counters,
}

impl Tally {
    fn add(&self, name: &str, amount: u32) -> Message<'static> {
        let mut counters = self.counters.borrow_mut();
        if counters.len() >= MOST_COUNTERS && !counters.contains_key(name) {
            return Message::Refused("there are too many counters");
        }
        let total = counters.entry(name.to_owned()).or_default();
        *total = total.saturating_add(amount.into());
        Message::Total(*total)
    }

    fn get(&self, name: &str) -> Message<'static> {
        let total = self.counters.borrow().get(name).copied();
        total.map_or(Message::Refused("there is no such counter"), Message::Total)
    }
}

impl FrameProtocol<MessageDecoder> for Tally {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        transport.set_timeout(Timeout::Idle, Some(IDLE));
        Ok(())
    }

    fn frame_received(&mut self, transport: &dyn Transport, message: Message<'_>) -> Result {
        let answer = match message {
            Message::Add { amount, name } => self.add(name, amount),
            Message::Get { name } => self.get(name),
            Message::Total(_) | Message::Refused(_) => {
                return Err(Error::protocol_violation("an answer to no question").into());
            }
        };
        MessageEncoder.write_to(transport, &answer)?;
        Ok(())
    }
}
