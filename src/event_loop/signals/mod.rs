//! Signals as callbacks of the loop.

mod stream;

mod default_action;
mod interrupt;
mod permanent;
#[cfg(feature = "sim")]
mod simulated;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use signal_hook::consts::SIGINT;
use signal_hook_mio::v1_0::Signals;

pub use self::stream::SignalStream;

pub(super) use self::interrupt::Interruptible;

use self::default_action::InsteadOfDefault;
use self::interrupt::Interrupt;
use super::core::Core;
use super::entries::{Entry, Source};
use super::{EventLoop, SlowWatch};
use crate::driver::{Key, Readiness};
use crate::error::{Error, Kind};

/// What only a loop of the operating system can do.
const GET_SIGNALS: &str = "get signals";

type SignalCallback = Box<dyn FnMut()>;

/// The signals that a loop handles, and who is told of them.
#[derive(Default)]
pub(crate) struct SignalTable {
    source: RefCell<Option<Rc<SignalSource>>>,
    handled: RefCell<BTreeMap<i32, Handled>>,
    next: Cell<u64>,
    /// What has come from a simulation and was not told yet: each once.
    #[cfg(feature = "sim")]
    simulated: RefCell<Vec<i32>>,
    /// `run` ends when SIGINT comes, as long as the program does not handle it itself.
    interrupt: RefCell<Option<Rc<Interrupt>>>,
}

struct Handled {
    /// The program's handler, if there is one.
    callback: Option<Rc<Cell<Option<SignalCallback>>>>,
    /// Streams of signals, by number.
    listeners: BTreeMap<u64, Rc<dyn Listener>>,
    /// Without all of them, the signal does again what it does by default. `None`: a simulation does that.
    _instead: Option<InsteadOfDefault>,
}

/// One of the engine's own that is told of a signal.
trait Listener {
    fn told(&self, core: &Core, signal: i32);
}

/// The descriptor by which signals reach the poll.
struct SignalSource {
    key: Key,
    signals: RefCell<Signals>,
    queued: Cell<bool>,
}

/// # Signals
impl EventLoop {
    /// Calls `callback` on the loop whenever the process gets the signal (`SIGTERM` is 15).
    ///
    /// It runs as any callback of the loop does, not in the signal's context, and wakes a loop that
    /// sleeps. A handler that was there before is replaced. Several loops can watch one signal; all
    /// are told. So are the streams of [`signals`](Self::signals).
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for a number that is no signal, for one that cannot be
    /// caught (`SIGKILL`, `SIGSTOP`, and those of faults such as `SIGSEGV`), and for real-time
    /// signals;
    /// [`is_closed`](Error::is_closed); [`is_unsupported`](Error::is_unsupported) on a loop in
    /// memory that is not a simulated host's.
    #[doc(alias("ctrl_c", "signal"))]
    pub fn add_signal_handler(
        &self,
        signal: i32,
        callback: impl FnMut() + 'static,
    ) -> Result<(), Error> {
        let core = self.core();
        core.check_open()?;
        let table = &core.signal_handlers;
        let callback: SignalCallback = Box::new(callback);
        let known = {
            let handled = table.handled.borrow();
            handled.get(&signal).and_then(|handled| handled.callback.clone())
        };
        if let Some(place) = known {
            let former = place.replace(Some(callback));
            core.drop_user(former, "signal handler");
            return Ok(());
        }
        let place = Rc::new(Cell::new(Some(callback)));
        table.handle(core, signal, |handled| handled.callback = Some(place))
    }

    /// Takes the handler of a signal back. Returns whether there was one. A handler may remove
    /// itself.
    ///
    /// Once no loop of the process handles the signal, it has its default effect again, also where
    /// the process ignored it before (Rust programs ignore `SIGPIPE`).
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        let (core, table) = (self.core(), &self.core().signal_handlers);
        let former = {
            let mut handled = table.handled.borrow_mut();
            handled.get_mut(&signal).and_then(|handled| handled.callback.take())
        };
        let was_handled = former.is_some();
        table.forget_unhandled(core, signal);
        core.drop_user(former, "signal handler");
        was_handled
    }
}

impl SignalTable {
    /// Has the signal handled from now on, by what `add` adds.
    fn handle(
        &self,
        core: &Rc<Core>,
        signal: i32,
        add: impl FnOnce(&mut Handled),
    ) -> Result<(), Error> {
        if !core.driver.is_simulated() {
            core.driver.require_os(GET_SIGNALS)?;
        }
        let mut handled = self.handled.borrow_mut();
        if let Some(handled) = handled.get_mut(&signal) {
            add(handled);
            return Ok(());
        }
        let _instead = if core.driver.is_simulated() {
            check(signal)?;
            None
        } else {
            Some(self.watch(core, signal)?)
        };
        let mut new = Handled { callback: None, listeners: BTreeMap::new(), _instead };
        add(&mut new);
        handled.insert(signal, new);
        if signal == SIGINT {
            self.withdraw_interrupt();
        }
        Ok(())
    }

    /// Has the system tell of the signal.
    fn watch(&self, core: &Rc<Core>, signal: i32) -> Result<InsteadOfDefault, Error> {
        check(signal)?;
        let failed = |error| {
            Error::with_source(Kind::Invalid, format!("signal {signal} cannot be watched"), error)
        };
        let instead = InsteadOfDefault::of(signal).map_err(failed)?;
        let source = self.source(core)?;
        let added = source.signals.borrow().add_signal(signal);
        added.map_err(failed)?;
        Ok(instead)
    }

    /// Takes a signal that has come, and of which nobody was told yet. Returns whether it had.
    fn take(&self, core: &Rc<Core>, signal: i32) -> bool {
        let Some(source) = self.source.borrow().clone() else { return false };
        let (taken, others): (Vec<i32>, Vec<i32>) =
            source.signals.borrow_mut().pending().partition(|pending| *pending == signal);
        if !others.is_empty() {
            let loop_core = Rc::clone(core);
            EventLoop::from_core(Rc::clone(core)).call_soon(move || {
                for signal in others {
                    loop_core.signal_handlers.tell(&loop_core, signal);
                }
            });
        }
        !taken.is_empty()
    }

    /// Somebody is not told of the signal any more.
    fn forget_unhandled(&self, core: &Core, signal: i32) {
        let mut handled = self.handled.borrow_mut();
        let is_handled =
            |handled: &Handled| handled.callback.is_some() || !handled.listeners.is_empty();
        if handled.get(&signal).is_some_and(|handled| !is_handled(handled)) {
            handled.remove(&signal);
        }
        drop(handled);
        self.drop_source_if_unused(core);
    }

    fn drop_source_if_unused(&self, core: &Core) {
        if self.handled.borrow().is_empty() && self.interrupt.borrow().is_none() {
            self.drop_source(core);
        }
    }

    fn source(&self, core: &Rc<Core>) -> Result<Rc<SignalSource>, Error> {
        if let Some(source) = &*self.source.borrow() {
            return Ok(Rc::clone(source));
        }
        let driver = core.driver.require_os(GET_SIGNALS)?;
        let failed = |error| Error::io("signals cannot be watched", error);
        let mut signals = Signals::new([] as [i32; 0]).map_err(failed)?;
        let key = core.reserve_slot()?;
        if let Err(error) = driver.register_source(&mut signals, key) {
            core.free_slot(key);
            return Err(failed(error));
        }
        let source =
            Rc::new(SignalSource { key, signals: RefCell::new(signals), queued: Cell::new(false) });
        core.fill_slot(key, Entry::Source(Rc::clone(&source) as Rc<dyn Source>));
        *self.source.borrow_mut() = Some(Rc::clone(&source));
        Ok(source)
    }

    /// Removes every handler.
    pub(crate) fn close(&self, core: &Core) {
        let handled = std::mem::take(&mut *self.handled.borrow_mut());
        for handled in handled.into_values() {
            core.drop_user(handled.callback, "signal handler");
        }
        self.withdraw_interrupt();
        self.drop_source(core);
    }

    /// Nothing is watched any more.
    fn drop_source(&self, core: &Core) {
        let source = self.source.borrow_mut().take();
        if let Some(source) = source {
            core.free_slot(source.key);
        }
    }
}

impl Source for SignalSource {
    fn note(&self, _: Key, _: Readiness) -> bool {
        !self.queued.replace(true)
    }

    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.queued.set(false);
        let pending: Vec<i32> = self.signals.borrow_mut().pending().collect();
        for signal in pending {
            core.signal_handlers.tell(core, signal);
        }
    }

    fn close(self: Rc<Self>, core: &Rc<Core>) {
        core.signal_handlers.close(core);
    }
}

impl SignalTable {
    fn tell(&self, core: &Rc<Core>, signal: i32) {
        let (place, listeners) = {
            let handled = self.handled.borrow();
            match handled.get(&signal) {
                Some(handled) => {
                    let listeners: Vec<_> = handled.listeners.values().cloned().collect();
                    (handled.callback.clone(), listeners)
                }
                None => {
                    drop(handled);
                    return self.interrupt(core, signal);
                }
            }
        };
        for listener in listeners {
            listener.told(core, signal);
        }
        if let Some(place) = place {
            call(core, place);
        }
    }
}

/// Refuses what cannot be caught.
fn check(signal: i32) -> Result<(), Error> {
    if signal_hook::consts::FORBIDDEN.contains(&signal) {
        return Err(Error::invalid(format!("signal {signal} cannot be caught")));
    }
    Ok(())
}

/// Calls the program's handler, which may put another in its own place, or remove itself.
fn call(core: &Rc<Core>, place: Rc<Cell<Option<SignalCallback>>>) {
    let Some(mut callback) = place.take() else { return };
    core.counters.count_callback();
    let watch = SlowWatch::start(core);
    core.run_caught("a signal handler failed", &mut callback);
    watch.stop(core, "a signal handler");
    let former = match place.take() {
        Some(other) => {
            place.set(Some(other));
            Some(callback)
        }
        None => {
            place.set(Some(callback));
            None
        }
    };
    core.drop_user(former, "signal handler");
    core.drop_user(place, "signal handler");
}
