//! Rounds, ticks, running and stopping.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::testing::{self, step};
use wharf::{EventLoop, Protocol, Transport, WaterMarks};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{Log, Noting, complete, run_forever, work_for};

/// A callback that schedules itself anew for ever, and counts.
fn count_for_ever(event_loop: &EventLoop, count: &Rc<Cell<u32>>) {
    let (event_loop, count) = (event_loop.clone(), Rc::clone(count));
    event_loop.clone().call_soon(move || {
        count.set(count.get() + 1);
        count_for_ever(&event_loop, &count);
    });
}

// 1.
#[test]
fn call_soon_never_calls_at_once_then_once_and_in_order() {
    let event_loop = memory_loop();
    let log = Log::default();
    for name in ["first", "second", "third"] {
        event_loop.call_soon(log.adds(name));
    }
    assert_eq!(log.len(), 0);
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["first", "second", "third"]);
    settle(&event_loop).unwrap();
    assert_eq!(log.len(), 3);
}

// 2.
#[test]
fn what_is_created_in_a_round_runs_in_the_next() {
    let event_loop = memory_loop();
    let log = Log::default();
    event_loop.call_soon({
        let (log, event_loop) = (log.clone(), event_loop.clone());
        move || {
            log.add("a");
            event_loop.call_soon(log.adds("d"));
            event_loop
                .create_task({
                    let log = log.clone();
                    async move { log.add("e") }
                })
                .detach();
        }
    });
    event_loop.call_soon(log.adds("b"));
    event_loop.call_soon(log.adds("c"));
    step(&event_loop).unwrap();
    assert_eq!(log.entries(), ["a", "b", "c", "d", "e"]);
    assert_eq!(event_loop.statistics().ticks, 1, "no poll was needed in between");
}

// 2.
#[test]
fn up_to_64_rounds_run_without_a_poll() {
    let event_loop = memory_loop();
    let count = Rc::new(Cell::new(0));
    count_for_ever(&event_loop, &count);
    step(&event_loop).unwrap();
    assert_eq!(count.get(), 64);
    step(&event_loop).unwrap();
    assert_eq!(count.get(), 128);
    assert_eq!(event_loop.statistics().ticks, 2);
}

// 2.
#[test]
fn a_round_that_takes_long_leads_back_to_the_poll() {
    let event_loop = system_loop();
    let count = Rc::new(Cell::new(0));
    count_for_ever(&event_loop, &count);
    event_loop.call_soon(|| work_for(Duration::from_millis(1)));
    step(&event_loop).unwrap();
    assert_eq!(count.get(), 1);
}

// 3.
#[test]
fn callbacks_that_schedule_themselves_do_not_starve_input() {
    let event_loop = system_loop();
    let (reader, mut writer) = UnixStream::pair().unwrap();
    let count = Rc::new(Cell::new(0));
    count_for_ever(&event_loop, &count);
    event_loop
        .add_reader(reader, {
            let event_loop = event_loop.clone();
            move || event_loop.stop()
        })
        .unwrap();
    // Written when the callbacks already run in circles.
    event_loop.call_later(Duration::from_millis(1), move || writer.write_all(b"!").unwrap());
    run_forever(&event_loop);
    assert!(count.get() > 1);
}

// 4.
#[test]
fn a_tick_serves_input_then_what_was_ready_then_other_threads_then_timers() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (sender, receiver) = (Noting::new("sender", &log), Noting::new("receiver", &log));
    let (sender, _) = testing::pair(&event_loop, 1024, sender, receiver).unwrap();
    // A byte of it is on its way, the other waits until that is read.
    let reader = Noting::new("reader", &log);
    let (writer, reader) = testing::pair(&event_loop, 1, Resumed(log.clone()), reader).unwrap();
    writer.handle().set_write_buffer_limits(WaterMarks::from_high(0)).unwrap();
    reader.handle().pause_reading();
    writer.handle().write(b"ab");
    settle(&event_loop).unwrap();
    log.take();
    sender.handle().write(b"hello");
    reader.handle().resume_reading();
    step(&event_loop).unwrap();
    assert_eq!(log.take(), ["reader data a"], "what is sent, and room, have to be polled for");

    event_loop.call_later(Duration::ZERO, log.adds("timer"));
    // What other threads send cannot hold the log, which stays on this one.
    thread_local! { static CALLED: RefCell<Option<Log>> = const { RefCell::new(None) }; }
    CALLED.set(Some(log.clone()));
    let call = |_: &EventLoop| CALLED.with_borrow(|log| log.as_ref().unwrap().add("remote"));
    event_loop.remote().call_soon_threadsafe(call).unwrap();
    event_loop.call_soon(log.adds("ready"));
    step(&event_loop).unwrap();
    let mut entries = log.entries();
    entries[..2].sort();
    let expected = ["receiver data hello", "writer resumed", "ready", "remote", "timer"];
    assert_eq!(entries, expected);
}

/// Notes that it may write again.
struct Resumed(Log);

impl Protocol for Resumed {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> wharf::Result {
        self.0.add("writer resumed");
        Ok(())
    }
}

// 5.
#[test]
fn an_idle_loop_sleeps_until_its_next_timer() {
    let event_loop = system_loop();
    let began = Instant::now();
    event_loop.call_later(Duration::from_millis(30), {
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    run_forever(&event_loop);
    assert!(began.elapsed() >= Duration::from_millis(30));
    let ticks = event_loop.statistics().ticks;
    assert!(ticks <= 12, "{ticks} polls for one timer");
}

// 5.
#[test]
fn one_sleep_lasts_at_most_a_day() {
    let event_loop = memory_loop();
    let began = event_loop.time();
    let days = Duration::from_secs(10 * 86_400);
    event_loop.run_until_complete(event_loop.sleep(days)).unwrap();
    assert_eq!(event_loop.time() - began, days);
    assert!(event_loop.statistics().ticks >= 10);
}

// 5.
#[test]
fn a_loop_in_memory_that_would_wait_for_ever_says_so() {
    let event_loop = memory_loop();
    assert!(event_loop.run_forever().unwrap_err().is_deadlock());
    let outcome = event_loop.run_until_complete(std::future::pending::<()>());
    assert!(outcome.unwrap_err().is_deadlock());
}

// 18.
#[test]
fn stop_lets_the_round_finish_and_keeps_the_rest_for_the_next_run() {
    let event_loop = memory_loop();
    let log = Log::default();
    event_loop.call_soon({
        let (log, event_loop) = (log.clone(), event_loop.clone());
        move || {
            log.add("stops");
            event_loop.stop();
            event_loop.call_soon(log.adds("later"));
        }
    });
    event_loop.call_soon(log.adds("same round"));
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["stops", "same round"]);

    event_loop.stop();
    event_loop.run_forever().unwrap();
    assert_eq!(log.take(), ["later"]);
}

// 19.
#[test]
fn stop_before_a_run_makes_one_turn_without_waiting() {
    let event_loop = memory_loop();
    let log = Log::default();
    event_loop.call_soon(log.adds("soon"));
    event_loop.call_later(Duration::from_secs(3600), log.adds("in an hour"));
    let began = event_loop.time();
    event_loop.stop();
    event_loop.run_forever().unwrap();
    assert_eq!(log.entries(), ["soon"]);
    assert_eq!(event_loop.time(), began);
    assert_eq!(event_loop.statistics().ticks, 1);
}

// 19.
#[test]
fn a_stop_is_for_one_run() {
    let event_loop = memory_loop();
    let stops = || {
        let own = event_loop.clone();
        move || own.stop()
    };
    let is_stopped = || {
        let sleep = event_loop.sleep(Duration::from_secs(1));
        event_loop.run_until_complete(sleep).is_err()
    };
    // In the tick in which the future ends, behind it.
    event_loop.call_soon(stops());
    event_loop.run_until_complete(async {}).unwrap();
    assert!(!is_stopped());
    // In the tick in which a run is stopped already.
    event_loop.call_soon(stops());
    event_loop.call_soon(stops());
    event_loop.run_forever().unwrap();
    assert!(!is_stopped());
    // A step is a run.
    event_loop.call_soon(stops());
    step(&event_loop).unwrap();
    assert!(!is_stopped());
    // Between two runs it is for the next, also if that ends by itself.
    event_loop.stop();
    event_loop.run_until_complete(async {}).unwrap();
    assert!(!is_stopped());
    event_loop.stop();
    assert!(is_stopped());
    assert!(!is_stopped());
}

// 21.
#[test]
fn run_until_complete_gives_the_output_or_says_that_it_was_stopped() {
    let event_loop = memory_loop();
    assert_eq!(event_loop.run_until_complete(async { 42 }).unwrap(), 42);

    event_loop.call_soon({
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    let sleep = event_loop.sleep(Duration::from_secs(1));
    assert!(event_loop.run_until_complete(sleep).unwrap_err().is_invalid());

    // The future that is done in the very round in which the loop is stopped wins.
    let stops = async {
        event_loop.stop();
        7
    };
    assert_eq!(event_loop.run_until_complete(stops).unwrap(), 7);
}

// 21.
#[test]
fn the_future_that_is_run_may_borrow() {
    let event_loop = memory_loop();
    let mut text = String::new();
    event_loop.run_until_complete(async { text.push('x') }).unwrap();
    let result = event_loop.run(async |event_loop| {
        event_loop.sleep(Duration::from_secs(1)).await;
        text.push('y');
        Ok(text.len())
    });
    assert_eq!(result.unwrap(), 2);
    assert_eq!(text, "xy");
}

// 21.
#[test]
fn run_gives_the_error_of_its_closure() {
    let event_loop = memory_loop();
    let result = event_loop.run(async |_| Err::<(), _>("no".into()));
    assert_eq!(result.unwrap_err().to_string(), "no");
}

// 22.
#[test]
fn no_stale_stop_is_left_after_a_panic() {
    let event_loop = memory_loop();
    let stops_and_panics = async {
        event_loop.stop();
        panic!("on purpose");
    };
    let run = || event_loop.run_until_complete(stops_and_panics);
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    event_loop.run_until_complete(event_loop.sleep(Duration::from_secs(1))).unwrap();
}

// 28.
#[test]
fn a_panic_of_the_future_that_is_run_reaches_the_caller_and_the_loop_can_run_again() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (sender, receiver) = (Noting::new("sender", &log), Noting::new("receiver", &log));
    let (sender, _) = testing::pair(&event_loop, 64, sender, receiver).unwrap();
    sender.handle().write(b"hello");
    step(&event_loop).unwrap();
    log.take();
    event_loop.call_soon(log.adds("of the same round"));
    let panics = async {
        event_loop.call_soon(log.adds("of the next round"));
        panic!("on purpose");
    };
    let panic = catch_unwind(AssertUnwindSafe(|| event_loop.run_until_complete(panics)));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"on purpose"));
    assert!(!event_loop.is_running());
    settle(&event_loop).unwrap();
    assert_eq!(
        log.entries(),
        ["receiver data hello", "of the same round", "of the next round"],
        "nothing is lost"
    );
    assert_eq!(event_loop.run_until_complete(async { 1 }).unwrap(), 1);
}

// 23.
#[test]
fn a_run_inside_a_run_is_refused() {
    let event_loop = memory_loop();
    let other = memory_loop();
    event_loop
        .run(async |inner| {
            assert!(inner.is_running());
            assert!(inner.run_forever().unwrap_err().is_invalid());
            assert!(inner.run_until_complete(async {}).unwrap_err().is_invalid());
            assert!(step(&inner).unwrap_err().is_invalid());
            assert!(other.run_forever().unwrap_err().is_invalid(), "the thread is taken");
            Ok(())
        })
        .unwrap();
    assert!(!event_loop.is_running());
    other.run_until_complete(async {}).unwrap();
}

// 23.
#[test]
fn a_run_inside_a_protocols_callback_is_refused() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    let (first, second) = testing::pair(&event_loop, 64, first, second).unwrap();
    second.handle().write(b"hello");
    let refused = first.with(|_, _| event_loop.run_forever().unwrap_err()).unwrap();
    assert!(refused.is_invalid());
    settle(&event_loop).unwrap();
    assert_eq!(log.entries(), ["first made", "second made", "first data hello"]);
}

// 33.
#[test]
fn a_loop_can_be_driven_step_by_step() {
    let event_loop = system_loop();
    let log = Rc::new(RefCell::new(Vec::new()));
    for round in 0..3 {
        let log = Rc::clone(&log);
        event_loop.call_soon(move || log.borrow_mut().push(round));
        step(&event_loop).unwrap();
        assert_eq!(event_loop.statistics().ticks, round + 1);
        assert!(!event_loop.is_running());
    }
    assert_eq!(*log.borrow(), [0, 1, 2]);
    // A step never waits.
    let timer = event_loop.call_later(Duration::from_secs(3600), || {});
    step(&event_loop).unwrap();
    timer.cancel();
    complete(&event_loop, async {});
}
