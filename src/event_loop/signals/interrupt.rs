//! A run that SIGINT ends.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use signal_hook::consts::SIGINT;

use super::SignalTable;
use super::default_action::{InsteadOfDefault, Once, is_default};
use crate::error::{Error, Kind};
use crate::event_loop::Core;

/// Whether SIGINT has come, for the run that it ends.
pub(super) struct Interrupt {
    has_come: Cell<bool>,
    /// Until it has come, or the program handles it itself.
    watch: RefCell<Option<Watch>>,
}

/// SIGINT is handled, once. The second one does what it does by default.
struct Watch {
    once: Once,
    _instead: InsteadOfDefault,
}

/// Has SIGINT end the run that goes on as long as this lives.
pub(in crate::event_loop) struct Interruptible<'a> {
    core: &'a Rc<Core>,
    interrupt: Rc<Interrupt>,
}

impl<'a> Interruptible<'a> {
    /// `None` where SIGINT is somebody else's, or nobody's: on a loop in memory; on another thread than the
    /// main one, whose loops are parts of the program and not the program; where somebody handles it, on this
    /// loop, on another, or in another library; where it is ignored, as in the background of a shell.
    pub(in crate::event_loop) fn begin(core: &'a Rc<Core>) -> Option<Self> {
        let table = &core.signal_handlers;
        let is_main = std::thread::current().name() == Some("main");
        let is_free = is_main
            && core.is_interruptible.get()
            && core.driver.os().is_some()
            && !core.may_be_in_callback()
            && !core.is_closed()
            && table.interrupt.borrow().is_none()
            && is_default(SIGINT);
        if !is_free {
            return None;
        }
        // One that was for a former run, and that nobody has taken since.
        table.take(core, SIGINT);
        // A loop without descriptors for it runs all the same, and SIGINT ends the process.
        let instead = table.watch(core, SIGINT).ok()?;
        let once = Once::of(&instead).ok()?;
        let watch = Watch { once, _instead: instead };
        let interrupt =
            Rc::new(Interrupt { has_come: Cell::new(false), watch: RefCell::new(Some(watch)) });
        *table.interrupt.borrow_mut() = Some(Rc::clone(&interrupt));
        Some(Self { core, interrupt })
    }

    /// What `main` gives; or an error once SIGINT has come, and `main` was dropped.
    pub(in crate::event_loop) async fn bound<F: Future>(
        &self,
        main: F,
    ) -> Result<F::Output, Error> {
        let mut main = pin!(Some(main));
        poll_fn(|context| {
            if self.interrupt.has_come.get() {
                main.set(None);
                return Poll::Ready(Err(Error::bare(Kind::Interrupted)));
            }
            match main.as_mut().as_pin_mut() {
                Some(steps) => steps.poll(context).map(Ok),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Whether SIGINT has come by the end of the run, when `main` was over already.
    pub(in crate::event_loop) fn came_late(&self) -> bool {
        // Without the watch it is the program's.
        let once = self.interrupt.watch.borrow().as_ref().map(|watch| watch.once.has_come());
        once.is_some_and(|has_come| has_come || self.core.signal_handlers.take(self.core, SIGINT))
    }
}

impl Drop for Interruptible<'_> {
    fn drop(&mut self) {
        let table = &self.core.signal_handlers;
        table.withdraw_interrupt();
        table.drop_source_if_unused(self.core);
    }
}

impl SignalTable {
    /// SIGINT has come, and the program has no handler of its own.
    ///
    /// Whether `Once` knows of it says nothing: its hook, on whatever thread the system chose, may run later than the one
    /// that wakes the loop.
    pub(super) fn interrupt(&self, core: &Core, signal: i32) {
        let interrupt = self.interrupt.borrow().clone();
        let Some(interrupt) = interrupt.filter(|_| signal == SIGINT) else { return };
        drop(interrupt.watch.take());
        interrupt.has_come.set(true);
        core.remote.wake_main(|| false);
    }

    /// The run is over, or the program handles SIGINT itself from now on.
    pub(super) fn withdraw_interrupt(&self) {
        let interrupt = self.interrupt.borrow_mut().take();
        drop(interrupt.and_then(|interrupt| interrupt.watch.take()));
    }

    /// Whether the descriptor for signals is there only for the run to be ended by SIGINT: it is no source
    /// of the program's.
    pub(in crate::event_loop) fn serves_the_run_alone(&self) -> bool {
        self.source.borrow().is_some() && self.handled.borrow().is_empty()
    }
}
