//! A connection to NATS, and what an executor has there.

use std::cell::RefCell;
use std::time::Duration;

use wharf::{EventLoop, Result};
use wharf_protocols::nats::jetstream::JetStream;
use wharf_protocols::nats::{Client as Connection, Credentials, NatsError, Options};

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

pub(super) struct Session {
    pub(super) event_loop: EventLoop,
    pub(super) connection: Connection,
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
        token: Option<&str>,
        options: NatsOptions,
    ) -> Result<Self> {
        let names = Names::new(&options.name)?;
        let mut connecting = Options::new()
            .name("wharf-executor")
            .retry_first_connect(true)
            .max_pending(MOST_PENDING);
        if let Some(token) = token {
            connecting = connecting.credentials(Credentials::Token(token.to_owned()));
        }
        let connection = connecting.start(event_loop, servers)?;
        let opened = RefCell::default();
        Ok(Self { event_loop: event_loop.clone(), connection, names, options, opened })
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
                Ok((bucket, keep)) => {
                    return Ok((Records::new(&jetstream, &self.names, bucket), keep));
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
