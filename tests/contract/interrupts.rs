//! What `SIGINT` does to `run`. Each test runs in a process of its own, and there on a thread that is called
//! as the main one, since the tests' own are not.

use std::future::pending;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use wharf::{Error, EventLoop};

use crate::loops::memory_loop;
use crate::probes::{Log, PATIENCE, is_child, run_in_child};
use crate::signals::{die_of, is_in_own_process, raise, text};

const INT: i32 = Signal::INT.as_raw();

/// Runs `action` as a program's main thread would.
fn on_main(action: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("main".into()).spawn(action).unwrap().join().unwrap();
}

fn is_interrupted<T: std::fmt::Debug>(outcome: wharf::Result<T>) -> bool {
    Error::from(outcome.unwrap_err()).is_interrupted()
}

/// Runs what is to be ended by `SIGINT` in a child that has said `said`.
fn dies_of_sigint(name: &str, said: &str, action: impl FnOnce() + Send + 'static) {
    if is_child() {
        return on_main(action);
    }
    let output = run_in_child(&format!("interrupts::{name}"));
    assert_eq!(output.status.signal(), Some(INT), "{}", text(&output));
    assert!(text(&output).contains(said), "{}", text(&output));
}

/// A main that is never done.
async fn never(event_loop: EventLoop) -> wharf::Result {
    event_loop.call_soon(|| raise(Signal::INT));
    pending().await
}

// 326.
#[test]
fn sigint_drops_main_and_run_says_that_it_was_interrupted() {
    if !is_in_own_process("interrupts::sigint_drops_main_and_run_says_that_it_was_interrupted") {
        return;
    }
    on_main(|| {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        for _ in 0..3 {
            let guard = log.adds_on_drop("main dropped");
            let task = event_loop.create_task(pending::<()>());
            let outcome = event_loop.run(async |event_loop| {
                let _guard = guard;
                assert_eq!(event_loop.statistics().sources, 0, "the program has none");
                never(event_loop).await
            });
            assert!(is_interrupted(outcome));
            assert_eq!(log.take(), ["main dropped"]);
            // Nothing else has ended.
            assert!(!task.is_done() && !event_loop.is_closed());
            assert_eq!(event_loop.run(async |_| Ok(7)).unwrap(), 7);
        }
        assert_eq!(event_loop.statistics().exceptions, 0);
    });
}

/// The system gives a signal to any thread: its handlers and the loop run at once.
#[test]
fn each_sigint_ends_its_run_whatever_of_its_handlers_has_run() {
    if !is_in_own_process("interrupts::each_sigint_ends_its_run_whatever_of_its_handlers_has_run") {
        return;
    }
    on_main(|| {
        let event_loop = EventLoop::new().unwrap();
        for keeps_its_descriptor in [false, true] {
            if keeps_its_descriptor {
                event_loop.add_signal_handler(Signal::USR1.as_raw(), || {}).unwrap();
            }
            for _ in 0..500 {
                assert!(is_interrupted(event_loop.run(never)));
            }
        }
    });
}

// 326.
#[test]
fn a_second_sigint_ends_the_process_though_the_loop_is_stuck() {
    dies_of_sigint("a_second_sigint_ends_the_process_though_the_loop_is_stuck", "stuck", || {
        let event_loop = EventLoop::new().unwrap();
        event_loop.call_soon(|| {
            eprintln!("stuck");
            // Those that follow each other closely can be one.
            loop {
                raise(Signal::INT);
                thread::sleep(Duration::from_millis(1));
            }
        });
        let _ = event_loop.run(async |_| pending::<wharf::Result>().await);
    });
}

// 326.
#[test]
fn after_an_interrupted_run_sigint_ends_the_process() {
    dies_of_sigint("after_an_interrupted_run_sigint_ends_the_process", "interrupted once", || {
        let event_loop = EventLoop::new().unwrap();
        assert!(is_interrupted(event_loop.run(never)));
        eprintln!("interrupted once");
        die_of(Signal::INT);
    });
}

// 326.
#[test]
fn a_sigint_that_comes_while_main_ends_is_not_lost() {
    if !is_in_own_process("interrupts::a_sigint_that_comes_while_main_ends_is_not_lost") {
        return;
    }
    on_main(|| {
        let event_loop = EventLoop::new().unwrap();
        // Keeps the descriptor by which the loop is told, from one run to the next.
        event_loop.add_signal_handler(Signal::USR1.as_raw(), || {}).unwrap();
        let ends = |outcome: fn() -> wharf::Result| {
            event_loop.run(async move |_| {
                let has_come = Arc::new(AtomicBool::new(false));
                let hook = signal_hook::flag::register(INT, Arc::clone(&has_come))?;
                raise(Signal::INT);
                while !has_come.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                signal_hook::low_level::unregister(hook);
                outcome()
            })
        };
        assert!(is_interrupted(ends(|| Ok(()))));
        let failed = ends(|| Err("no luck".into()));
        assert_eq!(failed.unwrap_err().to_string(), "no luck");
        // It was for the former run alone.
        let outcome = event_loop.run(async |_| {
            wharf::sleep(Duration::from_millis(5)).await;
            Ok(())
        });
        outcome.unwrap();
    });
}

// 326.
#[test]
fn a_program_that_has_cleaned_up_after_sigint_can_end_as_by_it() {
    let name = "a_program_that_has_cleaned_up_after_sigint_can_end_as_by_it";
    dies_of_sigint(name, "cleaned up", || {
        let event_loop = EventLoop::new().unwrap();
        assert!(is_interrupted(event_loop.run(never)));
        // Whoever handles it now.
        event_loop.add_signal_handler(INT, || {}).unwrap();
        assert!(wharf::signal::act_by_default(-1).is_err());
        eprintln!("cleaned up");
        wharf::signal::act_by_default(INT).unwrap();
    });
}

// 326.
#[test]
fn after_a_run_sigint_ends_the_process() {
    dies_of_sigint("after_a_run_sigint_ends_the_process", "it ran", || {
        let event_loop = EventLoop::new().unwrap();
        event_loop.run(async |_| Ok(())).unwrap();
        eprintln!("it ran");
        die_of(Signal::INT);
    });
}

// 326.
#[test]
fn a_program_with_a_handler_or_a_stream_for_sigint_is_not_interrupted() {
    if !is_in_own_process(
        "interrupts::a_program_with_a_handler_or_a_stream_for_sigint_is_not_interrupted",
    ) {
        return;
    }
    on_main(|| {
        for before in [true, false] {
            let event_loop = EventLoop::new().unwrap();
            let log = Log::default();
            if before {
                event_loop.add_signal_handler(INT, log.adds("handled")).unwrap();
            }
            let told = log.clone();
            let outcome = event_loop.run(async |event_loop| {
                if !before {
                    event_loop.add_signal_handler(INT, told.adds("handled")).unwrap();
                }
                for expected in 1..=3 {
                    raise(Signal::INT);
                    while told.len() < expected {
                        wharf::sleep(Duration::from_millis(1)).await;
                    }
                }
                Ok(())
            });
            outcome.unwrap();
            assert_eq!(log.len(), 3);
        }
        let event_loop = EventLoop::new().unwrap();
        let outcome = event_loop.run(async |event_loop| {
            let mut signals = event_loop.signals([INT])?;
            raise(Signal::INT);
            Ok(signals.next().await)
        });
        assert_eq!(outcome.unwrap(), INT);
    });
}

// 326.
#[test]
fn a_program_that_takes_its_handler_for_sigint_back_dies_of_it_as_ever() {
    dies_of_sigint(
        "a_program_that_takes_its_handler_for_sigint_back_dies_of_it_as_ever",
        "taken back",
        || {
            let event_loop = EventLoop::new().unwrap();
            let _ = event_loop.run(async |event_loop| {
                event_loop.add_signal_handler(INT, || {})?;
                event_loop.remove_signal_handler(INT);
                eprintln!("taken back");
                die_of(Signal::INT);
                Ok(())
            });
        },
    );
}

// 326.
#[test]
fn sigint_ends_the_process_where_the_run_is_not_interruptible() {
    dies_of_sigint("sigint_ends_the_process_where_the_run_is_not_interruptible", "runs", || {
        let event_loop = EventLoop::builder().interruptible(false).build().unwrap();
        eprintln!("runs");
        let _ = event_loop.run(never);
    });
}

// 326.
#[test]
fn sigint_ends_the_process_when_the_loop_runs_for_ever() {
    dies_of_sigint("sigint_ends_the_process_when_the_loop_runs_for_ever", "runs", || {
        let event_loop = EventLoop::new().unwrap();
        eprintln!("runs");
        event_loop.call_soon(|| raise(Signal::INT));
        event_loop.run_forever().unwrap();
    });
}

// 326.
#[test]
fn sigint_ends_the_process_when_another_thread_has_the_loop() {
    dies_of_sigint("sigint_ends_the_process_when_another_thread_has_the_loop", "runs", || {
        let thread = thread::spawn(|| {
            eprintln!("runs");
            EventLoop::new().unwrap().run(never)
        });
        let _ = thread.join();
    });
}

// 326.
#[test]
fn a_sigint_that_somebody_else_handles_interrupts_nothing() {
    if !is_in_own_process("interrupts::a_sigint_that_somebody_else_handles_interrupts_nothing") {
        return;
    }
    on_main(|| {
        // Another library.
        let has_come = Arc::new(AtomicBool::new(false));
        if cfg!(target_os = "linux") {
            signal_hook::flag::register(INT, Arc::clone(&has_come)).unwrap();
            let outcome = EventLoop::new().unwrap().run(async |_| {
                raise(Signal::INT);
                while !has_come.load(Ordering::SeqCst) {
                    wharf::sleep(Duration::from_millis(1)).await;
                }
                Ok(())
            });
            outcome.unwrap();
        }
        // Another loop.
        let other = EventLoop::new().unwrap();
        let log = Log::default();
        other.add_signal_handler(INT, log.adds("told")).unwrap();
        EventLoop::new()
            .unwrap()
            .run(async |_| {
                raise(Signal::INT);
                wharf::sleep(Duration::from_millis(5)).await;
                Ok(())
            })
            .unwrap();
        crate::probes::step_until(&other, || log.len() == 1);
    });
}

// 326.
#[cfg(target_os = "linux")]
#[test]
fn a_sigint_that_is_ignored_stays_ignored() {
    let name = "interrupts::a_sigint_that_is_ignored_stays_ignored";
    if is_child() {
        return on_main(|| {
            assert!(crate::probes::ignores_sigint());
            let event_loop = EventLoop::new().unwrap();
            let outcome = event_loop.run(async |_| {
                raise(Signal::INT);
                wharf::sleep(Duration::from_millis(5)).await;
                Ok(())
            });
            outcome.unwrap();
            eprintln!("it went on");
        });
    }
    // As a shell does with what it starts in its background.
    let script = r#"trap "" INT; exec "$0" "$@""#;
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env("WHARF_TEST_CHILD", name)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success() && text(&output).contains("it went on"), "{}", text(&output));
}

// 326.
#[test]
fn a_panic_in_the_drop_of_main_goes_through_to_the_caller() {
    if !is_in_own_process("interrupts::a_panic_in_the_drop_of_main_goes_through_to_the_caller") {
        return;
    }
    on_main(|| {
        let event_loop = EventLoop::new().unwrap();
        let guard = crate::probes::panics_on_drop("in its drop");
        let run = std::panic::AssertUnwindSafe(|| {
            event_loop.run(async |event_loop| {
                let _guard = guard;
                never(event_loop).await
            })
        });
        let panic = std::panic::catch_unwind(run).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("in its drop"));
        event_loop.run(async |_| Ok(())).unwrap();
    });
}

// 326.
#[test]
fn what_a_run_does_for_sigint_is_taken_back_at_its_end() {
    if !is_in_own_process("interrupts::what_a_run_does_for_sigint_is_taken_back_at_its_end") {
        return;
    }
    on_main(|| {
        let event_loop = EventLoop::new().unwrap();
        let descriptors = || std::fs::read_dir("/dev/fd").unwrap().count();
        event_loop.run(async |_| Ok(())).unwrap();
        let before = descriptors();
        for _ in 0..200 {
            event_loop.run(async |_| Ok(())).unwrap();
        }
        assert_eq!(descriptors(), before);
        assert_eq!(event_loop.statistics().sources, 0);
        // One that is refused, too.
        let inner = event_loop.clone();
        event_loop
            .run(async |_| {
                assert!(inner.run(async |_| Ok(())).is_err());
                never(inner.clone()).await
            })
            .map_or_else(|error| assert!(Error::from(error).is_interrupted()), |()| unreachable!());
    });
}

// 326.
#[test]
fn a_program_is_closed_in_good_order_after_an_interrupt() {
    if !is_in_own_process("interrupts::a_program_is_closed_in_good_order_after_an_interrupt") {
        return;
    }
    on_main(|| {
        let log = Log::default();
        let told = log.clone();
        let outcome = wharf::run(async |event_loop| {
            let guard = told.adds_on_drop("task dropped");
            wharf::spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            })
            .detach();
            let _guard = told.adds_on_drop("main dropped");
            wharf::yield_now().await;
            never(event_loop).await
        });
        assert!(is_interrupted(outcome));
        assert_eq!(log.entries(), ["main dropped", "task dropped"]);
    });
}

#[test]
fn a_loop_in_memory_has_nothing_to_do_with_sigint() {
    if !is_in_own_process("interrupts::a_loop_in_memory_has_nothing_to_do_with_sigint") {
        return;
    }
    on_main(|| {
        let other = Rc::new(EventLoop::new().unwrap());
        let log = Log::default();
        other.add_signal_handler(INT, log.adds("told")).unwrap();
        memory_loop()
            .run(async |_| {
                raise(Signal::INT);
                wharf::sleep(PATIENCE).await;
                Ok(())
            })
            .unwrap();
        crate::probes::step_until(&other, || log.len() == 1);
    });
}
