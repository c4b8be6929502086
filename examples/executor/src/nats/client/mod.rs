//! A client on NATS: it answers what is asked as a coordinator would.

mod change;
mod drain;
mod heard;
mod list;
mod live;
mod output;
mod overview;
mod schedules;
mod spans;
mod submit;
mod waiting;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{EventLoop, Result};
use wharf_protocols::nats::NatsError;

use super::names::key;
use super::options::NatsOptions;
use super::records::Records;
use super::session::{Access, Session};
use crate::client::ClientError;
use crate::task::{Record, TaskId};
use crate::wire::{Answer, Ask};
use heard::Heard;
use overview::Watching;
use spans::Spans;

/// How long until it is looked whether a task has ended of which nothing was heard, at first and at most.
const LOOKS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// A client of the executor on NATS.
pub(crate) struct NatsClient {
    session: Session,
    /// What ids that are made up here begin with.
    prefix: String,
    heard: Rc<RefCell<Heard>>,
    is_listening: OnceCell<()>,
    watching: Watching,
    spans: Spans,
    /// When it was seen last that tasks are taken.
    no_drain: Cell<Option<Instant>>,
}

impl NatsClient {
    /// Begins to connect.
    ///
    /// # Errors
    /// An address or the name is none, or the loop is closed.
    pub(crate) fn start<A: AsRef<str>>(
        event_loop: &EventLoop,
        servers: impl IntoIterator<Item = A>,
        access: Access<'_>,
        options: NatsOptions,
    ) -> Result<Self> {
        Ok(Self {
            session: Session::start(event_loop, servers, access, options)?,
            prefix: format!("{:016x}", fastrand::u64(..)),
            heard: Rc::default(),
            is_listening: OnceCell::new(),
            watching: Watching::default(),
            spans: Spans::default(),
            no_drain: Cell::default(),
        })
    }

    /// What the ids of its tasks begin with, before a dot: it is told of their ends.
    pub(crate) fn session_name(&self) -> &str {
        &self.prefix
    }

    /// Does what is asked. What only a coordinator can do is [`Answer::Failed`].
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, ClientError> {
        let answer = match ask {
            Ask::Submit(specs) | Ask::Run(specs) => self.submit(specs).await,
            Ask::Status(id) => self.status(&id).await,
            Ask::Wait(id) => self.wait(&id).await,
            Ask::Cancel(id) => self.cancel(&id).await.map(Answer::Changed),
            Ask::CancelAll(ids) => self.cancel_all(&ids).await.map(Answer::Count),
            Ask::Retry(id) => self.retry(&id).await.map(Answer::Changed),
            Ask::List(asked) => self.list(asked).await,
            Ask::Overview => self.overview().await,
            Ask::Output(asked) => self.output(asked).await,
            Ask::Schedule(asked) => self.schedule(asked).await,
            Ask::Drain(on) => self.drain(on).await,
            ask => return Ok(Answer::Failed(only_by_coordinator(&ask).into())),
        };
        answer.map_err(refused)
    }

    /// Waits until stream and bucket are there.
    pub(crate) async fn ready(&self) -> Result<(), ClientError> {
        self.records().await.map(drop).map_err(refused)
    }

    /// Why there is no connection, or what a server refused last.
    pub(crate) fn failure(&self) -> Option<Box<str>> {
        self.session.failure()
    }

    /// Ends the connection, and what waits.
    pub(crate) fn close(&self) {
        self.session.connection.close();
        self.heard.borrow_mut().close();
        self.watching.close();
        self.spans.stop();
    }

    /// Whether a task was submitted here, which its id says.
    fn is_own(&self, id: &TaskId) -> bool {
        id.as_str().split('.').next() == Some(&*self.prefix)
    }

    async fn status(&self, id: &TaskId) -> Result<Answer, NatsError> {
        let found = self.records().await?.find(id).await?;
        Ok(Answer::Task(found.map(|(record, _)| Box::new(record))))
    }

    async fn wait(&self, id: &TaskId) -> Result<Answer, NatsError> {
        let records = self.records().await?;
        let key = key(id);
        let is_own = self.is_own(id);
        let told = self.heard.borrow_mut().take(&key);
        let is_told = told.is_some();
        if let Some(record) = told.and_then(|told| parsed(&told)) {
            return Ok(Answer::Task(Some(Box::new(record))));
        }
        let _tidy = Tidy { heard: &self.heard, key: &key };
        let mut pause = LOOKS.0;
        // What a session that was never interrupted submits is told to it.
        let mut is_sure =
            is_own && !is_told && self.heard.borrow().is_complete(&self.session.connection);
        loop {
            let (event_loop, connection) = (&self.session.event_loop, &self.session.connection);
            let subject = (!is_own).then(|| self.session.names.ended(id));
            // First this: what is told between the two is not missed.
            let told = Heard::wait(&self.heard, event_loop, connection, &key, subject)?;
            let is_told = std::mem::replace(&mut is_sure, false);
            let found = if is_told { None } else { Some(records.find(id).await?) };
            match found.flatten() {
                None if is_told => {}
                None => return Ok(Answer::Task(None)),
                Some((record, _)) if record.outcome().is_some() => {
                    return Ok(Answer::Task(Some(Box::new(record))));
                }
                Some(_) => {}
            }
            if let Ok(told) = event_loop.timeout(pause, told).await {
                let told = told.map_err(|_| NatsError::Closed)?;
                if let Some(record) = parsed(&told) {
                    return Ok(Answer::Task(Some(Box::new(record))));
                }
            }
            pause = (pause * 2).min(LOOKS.1);
        }
    }

    async fn records(&self) -> Result<Records, NatsError> {
        let (records, _) = self.session.records().await?;
        if self.is_listening.set(()).is_ok() {
            let subject = self.session.names.ended_of(&self.prefix);
            // Behind that is the key.
            let length = subject.len() - self.prefix.len() - ".*".len();
            Heard::listen(&self.heard, &self.session.connection, subject, length)?;
        }
        Ok(records)
    }
}

impl fmt::Debug for NatsClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("NatsClient").field(&self.session.connection).finish()
    }
}

fn refused(error: NatsError) -> ClientError {
    match error {
        NatsError::Closed => ClientError::Closed,
        error => ClientError::Refused(error.to_string().into()),
    }
}

/// Why something cannot be done.
fn only_by_coordinator(ask: &Ask) -> &'static str {
    match ask {
        Ask::BackUp | Ask::ReadBackUp(_) => {
            "on NATS there is no coordinator whose store could be copied: `nats stream backup` copies streams"
        }
        _ => "only a coordinator does that, and on NATS there is none",
    }
}

/// A record as workers tell it; `None`: it is to be read.
fn parsed(told: &[u8]) -> Option<Record> {
    serde_json::from_slice(told).ok().filter(|record: &Record| record.outcome().is_some())
}

/// Nobody waits for a task any more.
struct Tidy<'a> {
    heard: &'a RefCell<Heard>,
    key: &'a str,
}

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        self.heard.borrow_mut().tidy(self.key);
    }
}
