//! The task of a connection that answers its requests by a service, one after the other.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use wharf::{CancelScope, EventLoop, Failure};

use super::request_body::Incoming;
use super::service::{HttpService, run};
use super::{Answer, RequestBody};

/// A request, and what to answer it through.
pub(super) struct Job {
    pub(super) request: http::Request<RequestBody>,
    pub(super) content: Option<Content>,
    pub(super) answer: Answer,
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
}

/// The content of the request, which ends with the job: it may be somebody else's by then, who would wait for what is
/// discarded.
pub(super) struct Content(pub(super) Rc<Incoming>);

impl Drop for Content {
    fn drop(&mut self) {
        self.0.end(true);
    }
}

/// The connection's side of the task. Dropping it lets the request under way be answered.
pub(super) struct Worker {
    inbox: Rc<Inbox>,
    scope: CancelScope,
}

/// Where the next request is left for the task.
#[derive(Default)]
struct Inbox {
    job: RefCell<Option<Job>>,
    waker: RefCell<Option<Waker>>,
    /// No more requests come.
    is_closed: Cell<bool>,
    /// The task has ended: a request failed.
    is_over: Cell<bool>,
}

impl Worker {
    /// A task for `job` and those to come.
    pub(super) fn new<S: HttpService>(event_loop: &EventLoop, service: Rc<S>, job: Job) -> Self {
        let (inbox, scope) = (Rc::new(Inbox::default()), CancelScope::new());
        inbox.job.replace(Some(job));
        let worker = Self { inbox: Rc::clone(&inbox), scope: scope.clone() };
        let task = async move {
            let inbox = Ending(inbox);
            let answer_all = async {
                while let Some(job) = inbox.0.next().await {
                    run(&*service, job).await?;
                }
                Ok::<_, Failure>(())
            };
            // A client that is gone cancels it.
            scope.run(answer_all).await.unwrap_or(Ok(()))
        };
        event_loop.create_task(task).detach();
        worker
    }

    /// Leaves the next request for the task, which waits for it; gives it back if the task has ended.
    pub(super) fn take(&self, job: Job) -> Option<Job> {
        if self.inbox.is_over.get() {
            return Some(job);
        }
        self.inbox.job.replace(Some(job));
        self.inbox.wake();
        None
    }

    /// Cancels the request under way.
    pub(super) fn cancel(self) {
        self.scope.cancel();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inbox.is_closed.set(true);
        self.inbox.wake();
    }
}

impl Inbox {
    /// The next request; `None` when no more come.
    async fn next(&self) -> Option<Job> {
        poll_fn(|context| {
            let job = self.job.take();
            if job.is_some() || self.is_closed.get() {
                return Poll::Ready(job);
            }
            self.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    fn wake(&self) {
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Says that the task is over, however it ends.
struct Ending(Rc<Inbox>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.is_over.set(true);
    }
}
