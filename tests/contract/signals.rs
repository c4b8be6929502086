//! Signal handlers. Signals are the whole process's, so each test runs in a process of its own.

use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use wharf::EventLoop;
use wharf::testing::settle;

use crate::loops::memory_loop;
use crate::probes::{
    Log, PATIENCE, complete, is_child, keeping, reports, run_forever, run_in_child, step_until,
};

const USR1: i32 = Signal::USR1.as_raw();
const USR2: i32 = Signal::USR2.as_raw();
const TERM: i32 = Signal::TERM.as_raw();

pub(crate) fn raise(signal: Signal) {
    kill_process(getpid(), signal).unwrap();
}

/// Any thread of the process may be the one that the signal reaches, a little later.
pub(crate) fn die_of(signal: Signal) {
    raise(signal);
    std::thread::sleep(PATIENCE);
    unreachable!("the signal ends the process");
}

/// Whether the test has to go on in this process; its child passed otherwise.
fn in_own_process(name: &str) -> bool {
    is_in_own_process(&format!("signals::{name}"))
}

/// As [`in_own_process`], with the test's module in its name.
pub(crate) fn is_in_own_process(name: &str) -> bool {
    if is_child() {
        return true;
    }
    let output = run_in_child(name);
    assert!(output.status.success(), "{}", text(&output));
    false
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

// 40.
#[test]
fn a_signal_handler_runs_on_the_loop_and_wakes_it() {
    if !in_own_process("a_signal_handler_runs_on_the_loop_and_wakes_it") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let own = std::thread::current().id();
    let calls = Rc::new(Cell::new(0));
    event_loop
        .add_signal_handler(USR1, {
            let (inner, calls) = (event_loop.clone(), Rc::clone(&calls));
            move || {
                assert!(inner.is_running());
                assert_eq!(std::thread::current().id(), own);
                calls.set(calls.get() + 1);
                inner.stop();
            }
        })
        .unwrap();
    // Before the loop runs, from one of its callbacks, and while it sleeps.
    raise(Signal::USR1);
    assert_eq!(calls.get(), 0, "not in the signal's own context");
    run_forever(&event_loop);
    event_loop.call_soon(|| raise(Signal::USR1));
    run_forever(&event_loop);
    for expected in 3..20 {
        let thread = std::thread::spawn(|| raise(Signal::USR1));
        run_forever(&event_loop);
        thread.join().unwrap();
        assert_eq!(calls.get(), expected);
    }
    assert_eq!(event_loop.statistics().exceptions, 0);
}

// 40.
#[test]
fn two_signals_have_their_own_handlers_and_a_second_handler_replaces_the_first() {
    if !in_own_process(
        "two_signals_have_their_own_handlers_and_a_second_handler_replaces_the_first",
    ) {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (guard, first) = (log.adds_on_drop("first dropped"), log.adds("first"));
    let first = move || {
        let _ = &guard;
        first();
    };
    event_loop.add_signal_handler(USR1, first).unwrap();
    event_loop.add_signal_handler(USR1, log.adds("usr1")).unwrap();
    assert_eq!(log.take(), ["first dropped"]);
    event_loop.add_signal_handler(USR2, log.adds("usr2")).unwrap();
    raise(Signal::USR2);
    step_until(&event_loop, || log.len() == 1);
    raise(Signal::USR1);
    step_until(&event_loop, || log.len() == 2);
    assert_eq!(log.entries(), ["usr2", "usr1"]);
    assert_eq!(event_loop.statistics().sources, 1, "one descriptor for all signals");
}

// 40.
#[test]
fn every_loop_that_watches_a_signal_is_told() {
    if !in_own_process("every_loop_that_watches_a_signal_is_told") {
        return;
    }
    let loops = [EventLoop::new().unwrap(), EventLoop::new().unwrap()];
    let log = Log::default();
    loops[0].add_signal_handler(USR1, log.adds("first")).unwrap();
    loops[1].add_signal_handler(USR1, log.adds("second")).unwrap();
    raise(Signal::USR1);
    step_until(&loops[0], || log.len() == 1);
    step_until(&loops[1], || log.len() == 2);
    assert_eq!(log.take(), ["first", "second"]);

    // One takes its handler back: the signal keeps reaching the other, and kills nobody.
    assert!(loops[0].remove_signal_handler(USR1));
    raise(Signal::USR1);
    step_until(&loops[1], || log.len() == 1);
    assert_eq!(log.entries(), ["second"]);
}

// 41.
#[test]
fn removing_tells_whether_there_was_one_and_a_handler_can_come_back() {
    if !in_own_process("removing_tells_whether_there_was_one_and_a_handler_can_come_back") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    assert!(!event_loop.remove_signal_handler(USR1));
    for expected in 1..=5 {
        let counted = Rc::clone(&calls);
        let count = move || counted.set(counted.get() + 1);
        event_loop.add_signal_handler(USR1, count).unwrap();
        raise(Signal::USR1);
        step_until(&event_loop, || calls.get() == expected);
        assert_eq!(event_loop.statistics().sources, 1);
        assert!(event_loop.remove_signal_handler(USR1));
        assert!(!event_loop.remove_signal_handler(USR1));
        assert_eq!(event_loop.statistics().sources, 0, "nothing is left to wait for");
    }
    assert_eq!(Rc::strong_count(&calls), 1);
}

// 41.
#[test]
fn removing_the_handler_restores_what_the_signal_does_by_default() {
    if !is_child() {
        let output =
            run_in_child("signals::removing_the_handler_restores_what_the_signal_does_by_default");
        assert_eq!(output.status.signal(), Some(TERM), "{}", text(&output));
        assert!(text(&output).contains("handled 2 times"), "{}", text(&output));
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    for expected in 1..=2 {
        let counted = Rc::clone(&calls);
        let count = move || counted.set(counted.get() + 1);
        event_loop.add_signal_handler(TERM, count).unwrap();
        raise(Signal::TERM);
        step_until(&event_loop, || calls.get() == expected);
        event_loop.remove_signal_handler(TERM);
    }
    eprintln!("handled {} times", calls.get());
    die_of(Signal::TERM);
}

// 41.
#[test]
fn a_signal_handler_may_remove_or_replace_itself() {
    if !in_own_process("a_signal_handler_may_remove_or_replace_itself") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    // Keeps the signal from ending the process when its handler is gone.
    let other = EventLoop::new().unwrap();
    let raised = Rc::new(Cell::new(0));
    let counted = Rc::clone(&raised);
    other.add_signal_handler(USR1, move || counted.set(counted.get() + 1)).unwrap();
    let guard = Rc::new(RefCell::new(Some(log.adds_on_drop("first dropped"))));
    event_loop
        .add_signal_handler(USR1, {
            let (inner, log) = (event_loop.clone(), log.clone());
            move || {
                assert!(guard.borrow().is_some());
                log.add("first");
                let (remover, log) = (inner.clone(), log.clone());
                inner
                    .add_signal_handler(USR1, move || {
                        log.add("second");
                        assert!(remover.remove_signal_handler(USR1));
                    })
                    .unwrap();
                assert_eq!(Rc::strong_count(&guard), 1);
            }
        })
        .unwrap();
    raise(Signal::USR1);
    step_until(&event_loop, || log.len() == 2);
    assert_eq!(log.take(), ["first", "first dropped"]);
    raise(Signal::USR1);
    step_until(&event_loop, || log.len() == 1);
    assert_eq!(log.take(), ["second"]);
    settle(&other).unwrap();
    let before = raised.get();
    raise(Signal::USR1);
    step_until(&other, || raised.get() > before);
    complete(&event_loop, event_loop.sleep(Duration::from_millis(5)));
    assert_eq!(log.len(), 0);
    assert_eq!(event_loop.statistics().exceptions, 0);
}

// 41.
#[test]
fn a_panic_in_a_signal_handler_or_its_drop_is_reported_and_the_loop_goes_on() {
    if !in_own_process("a_panic_in_a_signal_handler_or_its_drop_is_reported_and_the_loop_goes_on") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let reports = reports(&event_loop);
    event_loop.add_signal_handler(USR1, || panic!("in the handler")).unwrap();
    for _ in 0..2 {
        raise(Signal::USR1);
        step_until(&event_loop, || reports.len() == 1);
        assert_eq!(reports.take(), ["a signal handler panicked: in the handler"]);
    }
    let guard = crate::probes::panics_on_drop("in its drop");
    let inner = event_loop.clone();
    event_loop
        .add_signal_handler(USR1, move || {
            let _ = &guard;
            inner.remove_signal_handler(USR1);
        })
        .unwrap();
    raise(Signal::USR1);
    step_until(&event_loop, || reports.len() == 1);
    assert_eq!(reports.entries(), ["dropping a signal handler panicked: in its drop"]);
}

// 42.
#[test]
fn signals_that_cannot_be_caught_are_refused() {
    let event_loop = EventLoop::new().unwrap();
    for signal in [0, -1, 65, i32::MAX, i32::MIN] {
        let error = event_loop.add_signal_handler(signal, || {}).unwrap_err();
        assert!(error.is_invalid(), "{signal}: {error}");
        assert!(!event_loop.remove_signal_handler(signal));
    }
    for signal in [Signal::KILL, Signal::STOP, Signal::SEGV, Signal::FPE, Signal::ILL] {
        let error = event_loop.add_signal_handler(signal.as_raw(), || {}).unwrap_err();
        assert!(error.is_invalid(), "{signal:?}: {error}");
        assert!(format!("{error:#}").contains("cannot be caught"), "{error}");
    }
    assert_eq!(event_loop.statistics().sources, 0, "nothing is left of what was refused");
    let memory = memory_loop();
    assert!(memory.add_signal_handler(USR1, || {}).unwrap_err().is_unsupported());
}

// 42.
#[test]
fn a_loop_of_any_thread_can_handle_signals() {
    if !in_own_process("a_loop_of_any_thread_can_handle_signals") {
        return;
    }
    let thread = std::thread::spawn(|| {
        let event_loop = EventLoop::new().unwrap();
        let stopper = event_loop.clone();
        event_loop.add_signal_handler(USR1, move || stopper.stop()).unwrap();
        raise(Signal::USR1);
        run_forever(&event_loop);
    });
    thread.join().unwrap();
}

// 43.
#[test]
fn closing_the_loop_removes_its_signal_handlers() {
    if !is_child() {
        let output = run_in_child("signals::closing_the_loop_removes_its_signal_handlers");
        assert_eq!(output.status.signal(), Some(USR2), "{}", text(&output));
        assert!(text(&output).contains("closed"), "{}", text(&output));
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    for (signal, name) in [(USR1, "usr1"), (USR2, "usr2")] {
        let guard = log.adds_on_drop(name);
        event_loop.add_signal_handler(signal, keeping(guard)).unwrap();
    }
    let clone = event_loop.clone();
    drop(event_loop);
    assert_eq!(log.entries(), ["usr1", "usr2"]);
    assert!(!clone.remove_signal_handler(USR1));
    eprintln!("closed");
    die_of(Signal::USR2);
}
