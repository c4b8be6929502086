//! Letting time pass.

use std::rc::Rc;
use std::time::Duration;

use super::Simulation;
use crate::error::{Failure, Result};
use crate::event_loop::EventLoop;
use crate::sim::faults::Faults;
use crate::sim::host::Host;
use crate::sim::program::waiting_for;
use crate::sim::script::Script;

impl Simulation {
    /// Runs until the programs that were [started](Host::start) are done.
    ///
    /// # Errors
    /// A program, a callback or the network has failed; the [limit](Self::limit) of time is over, which it also is when
    /// nothing can ever happen again; no program was ever started, and there is nothing to wait for; or no time has passed
    /// in so many turns that its [patience](Self::patience) is over. It runs already, or another loop does on this thread.
    pub fn run(&self) -> Result {
        let hosts = self.hosts();
        if !hosts.iter().any(|host| host.shared.was_awaited()) {
            return Err("there is no program to wait for: none was begun with `start`".into());
        }
        let shared = Rc::clone(&self.shared);
        self.run_while(move || shared.awaited.get() > 0, || waiting_for(&self.hosts()))
    }

    /// Runs for this long in virtual time.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_for(&self, time: Duration) -> Result {
        let until = self.elapsed().saturating_add(time);
        let shared = Rc::downgrade(&self.shared);
        self.after(time, |simulation| simulation.shared.look());
        let goes_on =
            move || shared.upgrade().is_some_and(|shared| shared.network.elapsed() < until);
        self.run_while(goes_on, move || format!("it was to run until {until:?}"))
    }

    /// Runs as long as `goes_on` says so, which is asked whenever a program ends or a callback of
    /// [`after`](Self::after) has been called. What it `waits_for` is said when it takes too long.
    pub(in crate::sim) fn run_while(
        &self,
        goes_on: impl Fn() -> bool,
        waits_for: impl Fn() -> String,
    ) -> Result {
        #[cfg(feature = "tls")]
        let _lent = crate::sim::tls::lend(&self.shared.cryptographic);
        let director = self.begin()?;
        let left = self.shared.limit.get().saturating_sub(self.elapsed());
        let shared = Rc::clone(&self.shared);
        let outcome = director.run(async |event_loop| {
            let ended = async {
                while shared.failure.borrow().is_none() && goes_on() {
                    let (promise, changed) = event_loop.create_future();
                    *shared.waits.borrow_mut() = Some(promise);
                    changed.await?;
                }
                Result::Ok(())
            };
            crate::timeout(left, ended).await.map_err(|_| {
                let limit = shared.limit.get();
                Failure::from(format!("it was not over after {limit:?}: {}", waits_for()))
            })?
        });
        self.take_failure()?;
        outcome.map_err(|error| Failure::from(format!("at {:?}: {error:#}", self.elapsed())))
    }

    /// Begins the faults, if that was not done, and gives the loop with which time passes.
    pub(super) fn begin(&self) -> Result<EventLoop> {
        self.begin_faults();
        let director = self.shared.director.borrow().as_ref().cloned();
        director.ok_or_else(|| "the simulation is over".into())
    }

    /// What has failed since it was asked last.
    pub(super) fn take_failure(&self) -> Result {
        self.shared.failure.take().map_or(Ok(()), Err)
    }

    fn begin_faults(&self) {
        let (script, faults) = (self.shared.script.take(), self.shared.faults.take());
        let script = self.shared.replayed.take().or(script);
        let script = script.or_else(|| faults.map(|faults| self.script_of(&faults)));
        let Some(script) = script else { return };
        self.shared.trace.set_script(&script);
        for (at, fault) in script.events() {
            let fault = fault.clone();
            self.after(*at, move |simulation| simulation.apply(&fault));
        }
    }

    /// The faults at random that the seed chooses.
    fn script_of(&self, faults: &Faults) -> Script {
        if let Some(name) = faults.named().find(|name| self.known(name).is_none()) {
            let what = format!("`Faults` spare, or fault the disk of, `{name}`, which is no host");
            self.shared.fail("the network", what);
        }
        let hosts = self.hosts();
        let names: Vec<&str> = hosts.iter().map(Host::name).collect();
        faults.script(&self.shared.random_faults, &names)
    }
}
