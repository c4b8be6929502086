//! A loop as the host of its pipes.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use crate::driver::{FileJob, FileJobDone, OsDriver, PipeHost};
use crate::event_loop::Core;
use crate::task::run_on_own_pool;

impl PipeHost for Core {
    fn os_driver(&self) -> Option<&OsDriver> {
        self.driver.os()
    }

    fn run_job(self: Rc<Self>, job: FileJob, done: FileJobDone) {
        // A done callback is lent the outcome: it takes it out of a cell.
        let outcome = run_on_own_pool(&self, move || Cell::new(Some(job())));
        outcome.add_done_callback(move |outcome| {
            done(match outcome {
                Ok(outcome) => {
                    outcome.take().ok_or_else(|| io::Error::other("the outcome was taken"))
                }
                Err(error) => Err(io::Error::other(error.to_string())),
            });
        });
    }
}
