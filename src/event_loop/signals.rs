//! Signals as callbacks of the loop.

mod default_action;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use signal_hook_mio::v1_0::Signals;

use self::default_action::InsteadOfDefault;
use super::core::Core;
use super::entries::{Entry, Source};
use super::{EventLoop, SlowWatch};
use crate::driver::{Key, Readiness};
use crate::error::{Error, Kind};

/// What only a loop of the operating system can do.
const GET_SIGNALS: &str = "get signals";

type SignalCallback = Box<dyn FnMut()>;

/// The signal handlers of a loop.
#[derive(Default)]
pub(crate) struct SignalTable {
    source: RefCell<Option<Rc<SignalSource>>>,
    handlers: RefCell<BTreeMap<i32, Handler>>,
}

struct Handler {
    callback: Rc<Cell<Option<SignalCallback>>>,
    /// Without a handler, the signal does again what it does by default.
    _instead: InsteadOfDefault,
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
    /// are told.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for a number that is no signal, for one that cannot be
    /// caught (`SIGKILL`, `SIGSTOP`, and those of faults such as `SIGSEGV`), and for real-time
    /// signals;
    /// [`is_closed`](Error::is_closed); [`is_unsupported`](Error::is_unsupported) on a loop in
    /// memory.
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
        let known = table.handlers.borrow().get(&signal).map(|known| Rc::clone(&known.callback));
        if let Some(place) = known {
            let former = place.replace(Some(callback));
            core.drop_user(former, "signal handler");
            return Ok(());
        }
        core.driver.require_os(GET_SIGNALS)?;
        if signal_hook::consts::FORBIDDEN.contains(&signal) {
            return Err(Error::invalid(format!("signal {signal} cannot be caught")));
        }
        let failed = |error| {
            Error::with_source(Kind::Invalid, format!("signal {signal} cannot be watched"), error)
        };
        let instead = InsteadOfDefault::of(signal).map_err(failed)?;
        let source = table.source(core)?;
        let added = source.signals.borrow().add_signal(signal);
        added.map_err(failed)?;
        let callback = Rc::new(Cell::new(Some(callback)));
        table.handlers.borrow_mut().insert(signal, Handler { callback, _instead: instead });
        Ok(())
    }

    /// Takes the handler of a signal back. Returns whether there was one. A handler may remove
    /// itself.
    ///
    /// Once no loop of the process handles the signal, it has its default effect again, also where
    /// the process ignored it before (Rust programs ignore `SIGPIPE`).
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        let table = &self.core().signal_handlers;
        let former = table.handlers.borrow_mut().remove(&signal);
        if table.handlers.borrow().is_empty() {
            table.drop_source(self.core());
        }
        let was_handled = former.is_some();
        self.core().drop_user(former, "signal handler");
        was_handled
    }
}

impl SignalTable {
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
        let handlers = std::mem::take(&mut *self.handlers.borrow_mut());
        for (_, handler) in handlers {
            core.drop_user(handler, "signal handler");
        }
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
            let place = {
                let handlers = core.signal_handlers.handlers.borrow();
                handlers.get(&signal).map(|handler| Rc::clone(&handler.callback))
            };
            let Some(place) = place else { continue };
            if let Some(mut callback) = place.take() {
                core.counters.count_callback();
                let watch = SlowWatch::start(core);
                core.run_caught("a signal handler failed", &mut callback);
                watch.stop(core, "a signal handler");
                // It may have put another in its own place, or removed itself.
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
        }
    }

    fn close(self: Rc<Self>, core: &Rc<Core>) {
        core.signal_handlers.close(core);
    }
}
