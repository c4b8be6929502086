//! Signals as callbacks of the loop.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook_mio::v1_0::Signals;

use super::core::Core;
use super::slots::{Source, Tenant};
use super::EventLoop;
use crate::driver::Driver;
use crate::error::{Error, Kind};
use crate::transport::{Key, Readiness};

type SignalCallback = Box<dyn FnMut()>;

/// The signal handlers of a loop.
#[derive(Default)]
pub(crate) struct SignalTable {
    source: RefCell<Option<Rc<SignalSource>>>,
    handlers: RefCell<BTreeMap<i32, Handler>>,
}

struct Handler {
    callback: Rc<Cell<Option<SignalCallback>>>,
    /// Without a handler of ours, the signal does what it did before there was one.
    default: DefaultAction,
}

/// signal-hook leaves a signal without effect when its last hook is removed; this hook, which
/// stays, then does what the system would have done.
struct DefaultAction {
    wanted: Arc<AtomicBool>,
}

impl Drop for DefaultAction {
    fn drop(&mut self) {
        self.wanted.store(true, Ordering::SeqCst);
    }
}

/// The descriptor by which signals reach the poll.
struct SignalSource {
    key: Key,
    signals: RefCell<Signals>,
    queued: Cell<bool>,
}

impl EventLoop {
    /// Has `callback` called on the loop whenever the process gets the signal (`SIGTERM` is 15).
    ///
    /// It runs as any callback of the loop does, not in the signal's context, and wakes a loop that
    /// sleeps. A handler that was there before is replaced. Several loops can watch one signal; all
    /// are told.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for a number that is no signal or one that cannot be
    /// caught (`SIGKILL`, `SIGSTOP`, and those of faults such as `SIGSEGV`);
    /// [`is_closed`](Error::is_closed); [`is_unsupported`](Error::is_unsupported) on a loop in
    /// memory.
    pub fn add_signal_handler(
        &self,
        signal: i32,
        callback: impl FnMut() + 'static,
    ) -> Result<(), Error> {
        let core = self.core();
        core.check_open()?;
        if signal_hook::consts::FORBIDDEN.contains(&signal) {
            return Err(Error::invalid(format!("signal {signal} cannot be caught")));
        }
        let table = &core.signal_handlers;
        let source = table.source(core)?;
        let callback: SignalCallback = Box::new(callback);
        let known = table.handlers.borrow().get(&signal).map(|known| Rc::clone(&known.callback));
        if let Some(place) = known {
            let former = place.replace(Some(callback));
            drop(former);
            return Ok(());
        }
        let default = default_action(signal)?;
        let added = source.signals.borrow().add_signal(signal);
        added.map_err(|error| invalid_signal(signal, error))?;
        let callback = Rc::new(Cell::new(Some(callback)));
        table.handlers.borrow_mut().insert(signal, Handler { callback, default });
        Ok(())
    }

    /// Takes the handler of a signal back; whether there was one. The signal then has its default
    /// effect again. A handler may remove itself.
    pub fn remove_signal_handler(&self, signal: i32) -> bool {
        let former = self.core().signal_handlers.handlers.borrow_mut().remove(&signal);
        former.is_some()
    }
}

impl SignalTable {
    fn source(&self, core: &Rc<Core>) -> Result<Rc<SignalSource>, Error> {
        if let Some(source) = &*self.source.borrow() {
            return Ok(Rc::clone(source));
        }
        let Driver::Os(driver) = &core.driver else {
            let text = "a loop in memory gets no signals";
            return Err(Error::new(Kind::Unsupported, text));
        };
        let failed = |error| Error::io("signals cannot be watched", error);
        let mut signals = Signals::new([] as [i32; 0]).map_err(failed)?;
        let key = core.reserve_slot()?;
        if let Err(error) = driver.register_source(&mut signals, key) {
            core.free_slot(key);
            return Err(failed(error));
        }
        let source = Rc::new(SignalSource {
            key,
            signals: RefCell::new(signals),
            queued: Cell::new(false),
        });
        core.fill_slot(key, Tenant::Source(Rc::clone(&source) as Rc<dyn Source>));
        *self.source.borrow_mut() = Some(Rc::clone(&source));
        Ok(source)
    }

    /// Removes every handler.
    pub(crate) fn close(&self, core: &Core) {
        let handlers = std::mem::take(&mut *self.handlers.borrow_mut());
        core.drop_user(handlers, "signal handler");
        let source = self.source.borrow_mut().take();
        if let Some(source) = source {
            core.free_slot(source.key);
        }
    }
}

impl Source for SignalSource {
    fn note(&self, _: Readiness) -> bool {
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
                core.run_caught("a signal handler failed", &mut callback);
                // It may have put another in its own place.
                match place.take() {
                    Some(other) => place.set(Some(other)),
                    None => place.set(Some(callback)),
                }
            }
        }
    }

    fn close(self: Rc<Self>, core: &Rc<Core>) {
        core.signal_handlers.close(core);
    }
}

/// Has the signal do what it does by default whenever the loop has no handler for it.
fn default_action(signal: i32) -> Result<DefaultAction, Error> {
    let wanted = Arc::new(AtomicBool::new(false));
    let hook: Result<SigId, _> =
        signal_hook::flag::register_conditional_default(signal, Arc::clone(&wanted));
    hook.map_err(|error| invalid_signal(signal, error))?;
    Ok(DefaultAction { wanted })
}

fn invalid_signal(signal: i32, error: std::io::Error) -> Error {
    Error::with_source(Kind::Invalid, format!("signal {signal} cannot be watched"), error)
}
