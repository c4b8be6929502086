//! Attempts to connect, one or several at a time.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::connect::Opened;
use super::happy_eyeballs::{Attempt, AttemptId, Finish, Race, RaceError, Step};
use crate::address::Address;
use crate::driver::{Key, Readiness, Socket, SocketOptions};
use crate::error::{ConnectAttempt, ConnectAttempts, Error, Kind};
use crate::event_loop::{Core, Entry, EventLoop, Source};
use crate::task::Sleep;

/// One socket that is connecting. Dropping it gives up.
pub(super) struct Connecting {
    opened: Option<Opened>,
    watch: Rc<Watch>,
}

impl Connecting {
    pub(super) fn new(core: &Rc<Core>, socket: Socket) -> Result<Self, Error> {
        let watch = Rc::new(Watch::default());
        let key = core.reserve_slot()?;
        core.fill_slot(key, Entry::Source(Rc::clone(&watch) as Rc<dyn Source>));
        let opened = Opened {
            core: Rc::clone(core),
            key,
            socket: Some(socket),
            readiness: Readiness::NONE,
            peer: None,
        };
        if let Some(socket) = &opened.socket {
            core.driver
                .register(socket, key, &core.signals)
                .map_err(|error| Error::io("the socket could not be registered", error))?;
        }
        Ok(Self { opened: Some(opened), watch })
    }

    /// What became of it, if anything has.
    fn check(&mut self) -> Option<io::Result<Opened>> {
        let readiness = self.watch.readiness.get();
        if readiness == Readiness::NONE {
            return None;
        }
        let socket = self.opened.as_ref()?.socket.as_ref()?;
        if let Some(error) = socket.take_error() {
            return Some(Err(error));
        }
        // Some systems report sockets that are not connected yet as hung up.
        let peer = socket.peer_address()?;
        if is_itself(socket, &peer) {
            return Some(Err(itself()));
        }
        let mut opened = self.opened.take()?;
        opened.readiness = readiness;
        opened.peer = Some(peer);
        Some(Ok(opened))
    }
}

impl Future for Connecting {
    type Output = io::Result<Opened>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.check() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.watch.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

/// Gets the readiness of a socket that is connecting, and wakes the task that waits for it.
struct Watch {
    readiness: Cell<Readiness>,
    queued: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            readiness: Cell::new(Readiness::NONE),
            queued: Cell::new(false),
            waker: Cell::new(None),
        }
    }
}

impl Source for Watch {
    fn note(&self, _: Key, readiness: Readiness) -> bool {
        self.readiness.set(self.readiness.get().union(readiness));
        !self.queued.replace(true)
    }

    fn run(self: Rc<Self>, _: &Rc<Core>) {
        self.queued.set(false);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// The operation that waits is a task, and ends as those do.
    fn close(self: Rc<Self>, _: &Rc<Core>) {}
}

/// A race over addresses: RFC 8305 on the loop's sockets and clock.
pub(super) struct RaceFuture<'a> {
    core: Rc<Core>,
    race: Race,
    /// At most one of each family is used: the first.
    local: Vec<SocketAddr>,
    options: &'a SocketOptions,
    /// By attempt; `None` for those that are over.
    connecting: Vec<Option<Connecting>>,
    addresses: Vec<SocketAddr>,
    alarm: Option<Sleep>,
    begun: bool,
    /// The failures so far, also for a connect that times out.
    failures: &'a mut Vec<ConnectAttempt>,
}

impl<'a> RaceFuture<'a> {
    pub(super) fn new(
        core: &Rc<Core>,
        addresses: Vec<SocketAddr>,
        local: Vec<SocketAddr>,
        delay: Option<Duration>,
        options: &'a SocketOptions,
        failures: &'a mut Vec<ConnectAttempt>,
    ) -> Self {
        Self {
            core: Rc::clone(core),
            race: Race::new(addresses, delay),
            local,
            options,
            connecting: Vec::new(),
            addresses: Vec::new(),
            alarm: None,
            begun: false,
            failures,
        }
    }

    fn now(&self) -> Instant {
        self.core.driver.now()
    }

    /// Does what the race says, until it says to wait; the error when it is lost.
    fn follow(&mut self, mut step: Step) -> Option<Error> {
        loop {
            match step {
                Step::Start { attempt, wake_at } => {
                    self.set_alarm(wake_at);
                    match self.attempt(attempt) {
                        Ok(connecting) => {
                            self.connecting.push(Some(connecting));
                            return None;
                        }
                        Err(error) => {
                            self.connecting.push(None);
                            step = self.failed(attempt.id, error);
                        }
                    }
                }
                Step::Wait { wake_at } => {
                    self.set_alarm(wake_at);
                    return None;
                }
                Step::Lost(lost) => return Some(lost_race(lost)),
                Step::Over => return None,
            }
        }
    }

    fn attempt(&mut self, attempt: Attempt) -> io::Result<Connecting> {
        let remote = attempt.address;
        self.addresses.push(remote);
        let local = self.local.iter().find(|local| local.is_ipv4() == remote.is_ipv4()).copied();
        let connect = || self.core.driver.connect(remote, local, self.options);
        let open = self.core.open_descriptor(connect);
        let socket = open.map_err(|error| match local {
            Some(local) => with_text(&error, &format!("from {local}: {error}")),
            None => error,
        })?;
        Connecting::new(&self.core, socket).map_err(io::Error::other)
    }

    fn failed(&mut self, id: AttemptId, error: io::Error) -> Step {
        let copy = match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => with_text(&error, &error.to_string()),
        };
        self.failures.push(ConnectAttempt { address: self.addresses[id.0], error: copy });
        self.race.attempt_failed(id, error, self.core.driver.now())
    }

    fn set_alarm(&mut self, wake_at: Option<Instant>) {
        let event_loop = EventLoop::from_core(Rc::clone(&self.core));
        self.alarm = wake_at.map(|wake_at| event_loop.sleep_until(wake_at));
    }
}

impl Future for RaceFuture<'_> {
    type Output = Result<Opened, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.begun {
            this.begun = true;
            let step = this.race.start(this.now());
            if let Some(error) = this.follow(step) {
                return Poll::Ready(Err(error));
            }
        }
        let mut position = 0;
        while position < this.connecting.len() {
            let id = AttemptId(position);
            position += 1;
            let Some(connecting) = &mut this.connecting[id.0] else { continue };
            match Pin::new(connecting).poll(context) {
                Poll::Pending => {}
                Poll::Ready(Ok(opened)) => {
                    if let Finish::Won { .. } = this.race.attempt_succeeded(id) {
                        // The losers' sockets are closed with the race, in this same tick.
                        this.connecting.clear();
                        return Poll::Ready(Ok(opened));
                    }
                }
                Poll::Ready(Err(error)) => {
                    this.connecting[id.0] = None;
                    let step = this.failed(id, error);
                    if let Some(error) = this.follow(step) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
        while let Some(alarm) = &mut this.alarm {
            if Pin::new(alarm).poll(context).is_pending() {
                break;
            }
            this.alarm = None;
            let step = this.race.timer_expired(this.now());
            if let Some(error) = this.follow(step) {
                return Poll::Ready(Err(error));
            }
            for connecting in this.connecting.iter_mut().flatten() {
                // New attempts have to know which task to wake; their readiness is looked at when
                // they do.
                connecting.watch.waker.set(Some(context.waker().clone()));
            }
        }
        Poll::Pending
    }
}

impl Drop for RaceFuture<'_> {
    /// Given up with attempts that had no answer: they are listed, too.
    fn drop(&mut self) {
        if let Some((_, given_up)) = self.race.give_up() {
            let unfinished = given_up.unfinished.into_iter();
            self.failures.extend(
                unfinished.map(|address| ConnectAttempt {
                    address,
                    error: io::ErrorKind::TimedOut.into(),
                }),
            );
        }
    }
}

fn lost_race(lost: RaceError) -> Error {
    let attempts = lost
        .failures
        .into_iter()
        .map(|(address, error)| ConnectAttempt { address, error })
        .collect();
    Error::with_source(Kind::Connect, "could not connect", ConnectAttempts(attempts))
}

/// Whether the socket is connected to itself. TCP does that when the port of its own end happens to
/// be the one that it connects to: nobody listens there, so it was free.
fn is_itself(socket: &Socket, peer: &Address) -> bool {
    peer.as_ip().is_some() && socket.local_address().as_ref() == Some(peer)
}

#[cold]
fn itself() -> io::Error {
    let text = "nobody listens there (the socket was connected to itself)";
    io::Error::new(io::ErrorKind::ConnectionRefused, text)
}

/// The same kind of error with another text.
fn with_text(error: &io::Error, text: &str) -> io::Error {
    io::Error::new(error.kind(), text.to_owned())
}
