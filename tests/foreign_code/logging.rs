//! The logger that the default exception handler reports to.

use std::cell::RefCell;

use log::{LevelFilter, Log, Metadata, Record};

use crate::bomb::{Bomb, ON_PURPOSE};
use crate::stage::{Point, Stage, blow_up, elsewhere};

thread_local! {
    /// Reached by what this thread logs.
    static POINT: RefCell<Option<Bomb>> = const { RefCell::new(None) };
}

/// The logger of the whole process: it reaches the point of the thread that logs.
struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let point = POINT.with_borrow(Clone::clone);
        if let Some(point) = point.filter(|_| record.target() == "wharf") {
            // The text is foreign code, too.
            let _ = record.args().to_string();
            point.tick();
        }
    }

    fn flush(&self) {}
}

fn logs(stage: &Stage, report: impl FnOnce(&Stage)) {
    // Once for all tests of the process.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Trace);
    POINT.set(Some(stage.bomb.clone()));
    stage.event_loop.set_exception_handler(wharf::log_exception);
    let before = stage.bomb.count();
    report(stage);
    stage.until_reached(before);
}

const POINTS: &[Point] = &[
    elsewhere("a logger that is told", |stage| {
        logs(stage, |stage| stage.event_loop.call_exception_handler("something", None));
    }),
    elsewhere("a logger that is told what a callback panicked with", |stage| {
        logs(stage, |stage| {
            stage.event_loop.call_soon(|| std::panic::panic_any(ON_PURPOSE));
        });
    }),
    elsewhere("a logger that is told what a drop panicked with", |stage| {
        logs(stage, |stage| {
            let bomb = Bomb::new(1);
            let guard = bomb.on_drop();
            stage.event_loop.call_soon(move || drop(guard));
        });
    }),
];

#[test]
fn a_logger_may_panic() {
    blow_up(POINTS);
    POINT.set(None);
}
