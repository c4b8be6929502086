//! A connection to NATS, and what an executor has there.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use wharf::{EventLoop, Result, TlsClient};
use wharf_protocols::nats::jetstream::JetStream;
use wharf_protocols::nats::{Client as Connection, Credentials, Event, NatsError, Options};

use super::names::Names;
use super::options::NatsOptions;
use super::records::{Records, is_unreachable};
use super::setup;

/// How much may wait to be sent, in bytes.
const MOST_PENDING: usize = 64 * 1024 * 1024;
/// How long stream and bucket may take to be made.
const SETUP: Duration = Duration::from_secs(10);
/// How long until a server is asked again.
const PAUSE: Duration = Duration::from_millis(250);

/// What servers want to hear and see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Access<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) tls: Option<&'a TlsClient>,
}

pub(super) struct Session {
    pub(super) event_loop: EventLoop,
    pub(super) connection: Connection,
    failure: Rc<RefCell<Option<Box<str>>>>,
    pub(super) names: Names,
    pub(super) options: NatsOptions,
    opened: RefCell<Option<(Records, Duration)>>,
}

impl Session {
    /// Begins to connect.
    ///
    /// # Errors
    /// An address or the name is none, or the loop is closed.
    pub(super) fn start<A: AsRef<str>>(
        event_loop: &EventLoop,
        servers: impl IntoIterator<Item = A>,
        access: Access<'_>,
        options: NatsOptions,
    ) -> Result<Self> {
        let names = Names::new(&options.name)?;
        let mut connecting = Options::new()
            .name("wharf-executor")
            .retry_first_connect(true)
            .max_pending(MOST_PENDING);
        if let Some(token) = access.token {
            connecting = connecting.credentials(Credentials::Token(token.to_owned()));
        }
        if let Some(tls) = access.tls {
            connecting = connecting.tls(tls.clone());
        }
        let failure: Rc<RefCell<Option<Box<str>>>> = Rc::default();
        let last = Rc::clone(&failure);
        let connecting = connecting.on_event(move |event| match event {
            Event::Connected { .. } => *last.borrow_mut() = None,
            Event::ServerError(why) => *last.borrow_mut() = Some(why.as_str().into()),
            Event::Disconnected { error: Some(error) } => {
                *last.borrow_mut() = Some(format!("{error:#}").into());
            }
            _ => {}
        });
        let connection = connecting.start(event_loop, servers)?;
        let opened = RefCell::default();
        Ok(Self { event_loop: event_loop.clone(), connection, failure, names, options, opened })
    }

    /// What went wrong last, if it was not mended since.
    pub(super) fn failure(&self) -> Option<Box<str>> {
        self.failure.borrow().clone()
    }

    /// The bucket and the stream, and how long records are kept. The first call makes them; it waits for servers that can.
    ///
    /// # Errors
    /// They are refused, or the client is closed.
    pub(super) async fn records(&self) -> Result<(Records, Duration), NatsError> {
        if let Some(opened) = &*self.opened.borrow() {
            return Ok(opened.clone());
        }
        let opened = self.open().await?;
        *self.opened.borrow_mut() = Some(opened.clone());
        Ok(opened)
    }

    async fn open(&self) -> Result<(Records, Duration), NatsError> {
        let jetstream = JetStream::new(&self.connection).timeout(SETUP);
        loop {
            self.connection.connected().await?;
            match setup::open(&jetstream, &self.names, &self.options).await {
                Ok((bucket, control, keep)) => {
                    let records =
                        Records::new(&jetstream, &self.names, &self.options, bucket, control);
                    return Ok((records, keep));
                }
                Err(NatsError::NoResponders) if !self.connection.server_info().jetstream => {
                    return Err(NatsError::Invalid("the server has no JetStream".to_owned()));
                }
                Err(error) if is_unreachable(&error) => self.event_loop.sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }
}
