//! What a connection starts with.

use std::rc::Rc;
use std::time::Duration;

use super::WaterMarks;
use super::rate_limit::LimitOptions;
use crate::error::Error;
use crate::event_loop::Core;
use crate::timeout::Timeout;

/// What a connection starts with; all can be changed later through its transport.
#[derive(Clone, Debug)]
pub(crate) struct StreamOptions {
    pub(crate) marks: WaterMarks,
    pub(crate) write_cap: Option<usize>,
    /// Most have the defaults.
    pub(crate) deadlines: Option<Box<DeadlineOptions>>,
    /// How many descriptors one read may bring; 0: none are received.
    pub(crate) descriptors: usize,
    /// Most have none.
    pub(crate) limits: Option<Box<LimitOptions>>,
}

/// How much of what a callback writes is gathered at most before it is sent.
pub(crate) const GATHER_LIMIT: usize = 64 * 1024;

/// A server cannot know its clients: what it may owe each of them is bounded.
pub(crate) const SERVER_WRITE_CAP: usize = 16 * 1024 * 1024;

pub(crate) const LINGER: Duration = Duration::from_secs(30);

/// In force while reading is held or the connection is closing, unless set.
pub(crate) const WRITE_STALL: Duration = Duration::from_secs(60);

impl StreamOptions {
    pub(crate) fn for_client() -> Self {
        Self {
            marks: WaterMarks::default(),
            write_cap: None,
            deadlines: None,
            descriptors: 0,
            limits: None,
        }
    }

    pub(crate) fn for_server() -> Self {
        Self { write_cap: Some(SERVER_WRITE_CAP), ..Self::for_client() }
    }

    /// No deadline is zero, the water marks are in order, and a rate group is one of the loop's own.
    pub(crate) fn check(&self, core: &Rc<Core>) -> Result<(), Error> {
        self.marks.check()?;
        self.deadlines.as_deref().map_or(Ok(()), DeadlineOptions::check)?;
        match self.limits.as_ref().and_then(|limits| limits.group.as_ref()) {
            Some(group) if !group.is_of(core) => {
                Err(Error::invalid("the rate group is of another event loop"))
            }
            _ => Ok(()),
        }
    }

    /// The process at the other end of a pipe may be stopped, or a pager that somebody reads at
    /// leisure: it is waited for as long as it takes, unless a deadline is set.
    pub(crate) fn for_pipe() -> Self {
        let deadlines = DeadlineOptions {
            linger: None,
            write_stall: Some(Duration::MAX),
            ..DeadlineOptions::default()
        };
        Self { deadlines: Some(Box::new(deadlines)), ..Self::for_client() }
    }

    pub(crate) fn set_timeout(&mut self, timeout: Timeout, after: Option<Duration>) {
        let deadlines = self.deadlines.get_or_insert_default();
        match timeout {
            Timeout::Idle => deadlines.idle = after,
            Timeout::Linger => deadlines.linger = after,
            Timeout::Closing => deadlines.closing = after,
            Timeout::WriteStall => deadlines.write_stall = after,
            Timeout::User => deadlines.user = after,
        }
    }
}

/// The times of a connection's deadlines.
#[derive(Clone, Debug)]
pub(crate) struct DeadlineOptions {
    pub(crate) idle: Option<Duration>,
    pub(crate) linger: Option<Duration>,
    /// For closing as a whole.
    pub(crate) closing: Option<Duration>,
    pub(crate) write_stall: Option<Duration>,
    /// The protocol's own.
    pub(crate) user: Option<Duration>,
}

impl DeadlineOptions {
    fn check(&self) -> Result<(), Error> {
        Error::refuse_zero("the idle timeout", self.idle)?;
        Error::refuse_zero("the linger timeout", self.linger)?;
        Error::refuse_zero("the closing timeout", self.closing)?;
        Error::refuse_zero("the write stall timeout", self.write_stall)?;
        Error::refuse_zero("the user timeout", self.user)
    }
}

impl Default for DeadlineOptions {
    fn default() -> Self {
        Self { idle: None, linger: Some(LINGER), closing: None, write_stall: None, user: None }
    }
}
