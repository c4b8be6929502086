//! Looking up names on threads of their own.

mod local;
mod turns;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use self::local::is_local;
use self::turns::Turns;
use super::resolve::{copy_error, resolve_blocking};
use crate::event_loop::Core;
use crate::fence;
use crate::task::{Job, LoopFuture, Promise, ThreadPool, ThreadPoolOptions, Work, future};

/// The look-ups of a loop: a limited number of threads, and who waits for which name.
///
/// A name that is being looked up is not looked up a second time. Names take turns by their
/// domains, and one domain gets at most a quarter of the threads: a domain whose servers do not
/// answer stops no other domain's names. When all threads are busy, one more thread looks up names
/// that need no network: what `/etc/hosts` knows, and addresses in unusual forms.
pub(crate) struct Lookups {
    threads: usize,
    resolver: RefCell<Arc<dyn Resolver>>,
    state: RefCell<State>,
}

/// What looks names up; another one in tests.
pub(crate) trait Resolver: Send + Sync {
    /// The addresses, with port 0. May block for seconds.
    fn resolve(&self, host: &str) -> Answer;

    /// Whether looking it up needs no network. May read a file.
    fn is_local(&self, host: &str) -> bool;
}

type Answer = io::Result<Vec<SocketAddr>>;

struct System;

impl Resolver for System {
    fn resolve(&self, host: &str) -> Answer {
        resolve_blocking(host, 0)
    }

    fn is_local(&self, host: &str) -> bool {
        is_local(host)
    }
}

#[derive(Default)]
struct State {
    pool: Option<ThreadPool>,
    /// One thread for what needs no network.
    local: Option<ThreadPool>,
    names: BTreeMap<Rc<str>, Name>,
    turns: Turns,
    next: u64,
}

/// A name that waits for a thread, or has one.
struct Name {
    /// Nobody: they were cancelled after it had begun.
    waiting: BTreeMap<u64, Promise<Answer>>,
    /// Its place among those of its domain that have no thread yet.
    queued: Option<u64>,
    /// What asks whether it needs no network.
    local: Option<Job>,
}

impl Name {
    /// Stops asking that. What comes back is to be dropped when nothing is borrowed.
    fn give_up_local(&mut self) -> Option<Work> {
        self.local.take().and_then(|job| job.cancel())
    }
}

impl Lookups {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            resolver: RefCell::new(Arc::new(System)),
            state: RefCell::default(),
        }
    }

    /// Looks up the addresses of `host`, with port 0. Cancelling gives up the place in the queue.
    pub(super) fn look_up(&self, core: &Rc<Core>, host: &str) -> LoopFuture<Answer> {
        let (promise, answer) = future(core);
        if let Err(error) = core.check_open() {
            promise.set(Err(error));
            return answer;
        }
        let mut state = self.state.borrow_mut();
        let id = state.next;
        state.next += 1;
        let host: Rc<str> = host.into();
        promise.on_cancel_at_once({
            let (core, host) = (Rc::clone(core), Rc::clone(&host));
            move || core.lookups.cancel(&host, id)
        });
        if let Some(name) = state.names.get_mut(&host) {
            name.waiting.insert(id, promise);
            return answer;
        }
        let queued = Some(state.turns.push(&host));
        let waiting = BTreeMap::from([(id, promise)]);
        state.names.insert(Rc::clone(&host), Name { waiting, queued, local: None });
        drop(state);
        self.begin_next(core);
        self.try_local(core, &host);
        answer
    }

    /// Nobody waits any more.
    pub(crate) fn close(&self, core: &Core) {
        let state = self.state.take();
        drop((state.pool, state.local));
        for name in state.names.into_values() {
            for promise in name.waiting.into_values() {
                core.drop_user(promise, "look-up");
            }
        }
    }

    /// Gives free threads to those whose turn it is.
    fn begin_next(&self, core: &Rc<Core>) {
        loop {
            let mut state = self.state.borrow_mut();
            let Some(host) = state.turns.begin(self.threads) else { return };
            let mut unasked = None;
            if let Some(name) = state.names.get_mut(&host) {
                name.queued = None;
                unasked = name.give_up_local();
            }
            let pool = state.pool.get_or_insert_with(|| pool(self.threads));
            let resolver = Arc::clone(&self.resolver.borrow());
            let submitted =
                submit(core, pool, &host, Of::Network, move |host| Some(resolver.resolve(host)));
            drop(state);
            drop(unasked);
            if let Err(error) = submitted {
                self.finish(core, &host, Of::Network, Some(Err(error)));
            }
        }
    }

    /// The name waits: if it needs no network, it need not wait for those that do.
    fn try_local(&self, core: &Rc<Core>, host: &Rc<str>) {
        let mut state = self.state.borrow_mut();
        if state.names.get(host).is_none_or(|name| name.queued.is_none()) {
            return;
        }
        let pool = state.local.get_or_insert_with(|| pool(1));
        let resolver = Arc::clone(&self.resolver.borrow());
        let of_local = move |host: &str| resolver.is_local(host).then(|| resolver.resolve(host));
        // If that fails, the name waits for its turn like any other.
        let job = submit(core, pool, host, Of::Local, of_local).ok();
        if let Some(name) = state.names.get_mut(host) {
            name.local = job;
        }
    }

    /// A thread is done with the name. Without an answer it goes on waiting for its turn.
    fn finish(&self, core: &Rc<Core>, host: &Rc<str>, of: Of, answer: Option<Answer>) {
        let mut state = self.state.borrow_mut();
        if let Of::Network = of {
            state.turns.end(host);
        }
        let mut name = None;
        // A name that the thread for local names has looked up may have its answer already.
        if answer.is_some() {
            name = state.names.remove(host);
            if let Some(place) = name.as_ref().and_then(|name| name.queued) {
                state.turns.remove(host, place);
            }
        }
        let unasked = name.as_mut().and_then(Name::give_up_local);
        drop(state);
        drop(unasked);
        self.begin_next(core);
        if let (Some(name), Some(answer)) = (name, answer) {
            for promise in name.waiting.into_values() {
                promise.set(Ok(copy(&answer)));
            }
        }
    }

    fn cancel(&self, host: &Rc<str>, id: u64) {
        let mut state = self.state.borrow_mut();
        let Some(name) = state.names.get_mut(host) else { return };
        let promise = name.waiting.remove(&id);
        let mut unasked = None;
        if name.waiting.is_empty()
            && let Some(place) = name.queued
        {
            unasked = name.give_up_local();
            state.names.remove(host);
            state.turns.remove(host, place);
        }
        drop(state);
        drop((promise, unasked));
    }
}

/// Which of the pools a thread is of.
#[derive(Clone, Copy)]
enum Of {
    Network,
    Local,
}

/// Lets a thread look up the name and tell the loop.
fn submit(
    core: &Rc<Core>,
    pool: &ThreadPool,
    host: &str,
    of: Of,
    look_up: impl FnOnce(&str) -> Option<Answer> + Send + 'static,
) -> io::Result<Job> {
    let remote = core.remote();
    let host = host.to_owned();
    let work = move || {
        let outcome = fence::run(|| look_up(&host));
        let answer = outcome
            .unwrap_or_else(|panic| Some(Err(io::Error::other(panic.into_error().to_string()))));
        // A loop that was closed in the meantime wants no answer.
        let _ = remote.call_soon_threadsafe(move |event_loop| {
            let core = event_loop.core();
            core.lookups.finish(core, &host.into(), of, answer);
        });
    };
    match pool.submit(Box::new(work)) {
        Ok(job) => Ok(job),
        Err(rejected) => Err(io::Error::other(rejected.reason.to_string())),
    }
}

fn pool(threads: usize) -> ThreadPool {
    let name = "wharf-names".into();
    ThreadPool::with_options(ThreadPoolOptions { max_threads: threads, name, ..Default::default() })
}

fn copy(answer: &Answer) -> Answer {
    match answer {
        Ok(addresses) => Ok(addresses.clone()),
        Err(error) => Err(copy_error(error)),
    }
}

#[cfg(test)]
mod tests;
