//! The loops of this thread, so that a waker, which has to be `Send`, finds its loop without a lock.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use async_task::Runnable;

use super::{Core, Ready, RemoteItem, RemoteQueue};

thread_local! {
    static LOOPS: RefCell<Vec<(*const RemoteQueue, Weak<Core>)>> = const { RefCell::new(Vec::new()) };
}

/// Makes a new loop known on its thread.
pub(crate) fn enter(core: &Rc<Core>) {
    LOOPS.with_borrow_mut(|loops| {
        loops.retain(|(_, known)| known.strong_count() > 0);
        loops.push((Arc::as_ptr(&core.remote), Rc::downgrade(core)));
    });
}

/// Schedules a task's next step: on its own thread by the ready list, from others through the
/// queue.
pub(crate) fn schedule(queue: &Arc<RemoteQueue>, runnable: Runnable) {
    match find(queue) {
        Some(core) => core.push_ready(Ready::Task(runnable)),
        None => {
            if let Err(RemoteItem::Task(runnable)) = queue.push(RemoteItem::Task(runnable)) {
                // A closed loop has run all its tasks to their ends, so none is left to schedule.
                // Were there one, it must not be dropped here: it belongs to the loop's thread.
                std::mem::forget(runnable);
            }
        }
    }
}

fn find(queue: &Arc<RemoteQueue>) -> Option<Rc<Core>> {
    let wanted = Arc::as_ptr(queue);
    LOOPS
        .try_with(|loops| {
            let loops = loops.borrow();
            loops.iter().find(|(queue, _)| *queue == wanted).and_then(|(_, core)| core.upgrade())
        })
        .ok()
        .flatten()
}
