use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll};

use wharf::Result;

use super::body::Upload;

/// A request on its way to the server, which may begin to answer meanwhile.
pub(super) struct Sending {
    upload: Option<Upload>,
    /// The request was written, all of it.
    pub(super) is_sent: bool,
}

impl Sending {
    pub(super) fn begin(&mut self, upload: Upload) {
        (self.upload, self.is_sent) = (Some(upload), false);
    }

    /// Sends no more of it.
    pub(super) fn give_up(&mut self) {
        self.upload = None;
    }

    /// Goes on with the request until `reading` is over. What waits for `may_continue` is looked after when that changes.
    pub(super) async fn while_receiving<T>(
        &mut self,
        may_continue: &Cell<bool>,
        reading: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut reading = pin!(reading);
        poll_fn(|context| {
            loop {
                if let Err(error) = self.go_on(context) {
                    // The server may have said why before it closed.
                    return match reading.as_mut().poll(context) {
                        Poll::Ready(Ok(seen)) => Poll::Ready(Ok(seen)),
                        _ => Poll::Ready(Err(error)),
                    };
                }
                let before = may_continue.get();
                let outcome = reading.as_mut().poll(context);
                if outcome.is_ready() || may_continue.get() == before {
                    return outcome;
                }
            }
        })
        .await
    }

    fn go_on(&mut self, context: &mut Context<'_>) -> Result {
        if let Some(upload) = &mut self.upload
            && let Poll::Ready(outcome) = upload.as_mut().poll(context)
        {
            self.upload = None;
            outcome?;
            self.is_sent = true;
        }
        Ok(())
    }
}

/// Nothing on its way.
impl Default for Sending {
    fn default() -> Self {
        Self { upload: None, is_sent: true }
    }
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("is_sent", &self.is_sent).finish_non_exhaustive()
    }
}
