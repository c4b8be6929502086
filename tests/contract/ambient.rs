//! The loop that runs, for code that was not given it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use wharf::{Error, EventLoop, Protocol, Result, Transport};

use crate::loops::{memory_loop, network, settle};
use crate::probes::Log;

fn seen(log: &Log, owner: &EventLoop) -> impl FnOnce() + 'static {
    let (log, began) = (log.clone(), owner.time());
    move || {
        let current = EventLoop::current().map(|event_loop| event_loop.time() == began);
        log.add(format!("{:?}", current.ok()));
    }
}

#[test]
fn the_current_loop_is_the_one_whose_callbacks_tasks_and_future_run() {
    assert!(EventLoop::current().is_err_and(|error| error.is_invalid()));
    let event_loop = memory_loop();
    let log = Log::default();
    event_loop.call_soon(seen(&log, &event_loop));
    event_loop.call_later(Duration::ZERO, seen(&log, &event_loop));
    event_loop.create_task(async {}).add_done_callback({
        let seen = seen(&log, &event_loop);
        move |_| seen()
    });
    event_loop
        .run(async |event_loop| {
            seen(&log, &event_loop)();
            let task = wharf::spawn({
                let seen = seen(&log, &event_loop);
                async move { seen() }
            });
            Ok(task.await?)
        })
        .unwrap();
    assert_eq!(log.take(), vec!["Some(true)"; 5]);
    assert!(EventLoop::current().is_err(), "the run is over");
}

#[test]
fn a_loop_that_has_a_turn_while_another_waits_is_the_current_one_meanwhile() {
    let network = network();
    let (waits, serves) = (network.event_loop(), network.event_loop());
    serves.call_soon(|| {
        wharf::spawn(async { wharf::sleep(Duration::from_secs(5)).await }).detach();
    });
    waits
        .run(async |event_loop| {
            wharf::sleep(Duration::from_secs(1)).await;
            assert_eq!(event_loop.statistics().tasks, 0);
            assert_eq!(EventLoop::current()?.statistics().timers, 0);
            Ok(())
        })
        .unwrap();
    assert_eq!(serves.statistics().tasks, 1, "the task is the other loop's");
}

#[test]
fn connection_lost_has_a_current_loop_also_while_it_closes() {
    struct Asks(Log);

    impl Protocol for Asks {
        fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
            Ok(())
        }

        fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
            let task = EventLoop::current()?.create_task(async {});
            self.0.add(format!("{:?}", task.take_result().map(|result| result.is_err())));
            Ok(())
        }
    }

    let log = Log::default();
    let event_loop = memory_loop();
    event_loop
        .run(async |event_loop| {
            let log = log.clone();
            event_loop.create_server(move || Asks(log.clone()), "10.0.0.1:7").await?;
            event_loop
                .create_connection(wharf::testing::Record::new().factory(), "10.0.0.1:7")
                .await?;
            Ok(())
        })
        .unwrap();
    settle(&event_loop).unwrap();
    event_loop.close().unwrap();
    assert_eq!(log.take(), ["Some(true)"], "a loop that closes refuses the task");
}

#[test]
fn functions_that_need_a_loop_say_so_where_none_runs() {
    for (name, call) in [
        ("spawn", (|| wharf::spawn(async {}).detach()) as fn()),
        ("sleep", || drop(wharf::sleep(Duration::ZERO))),
        ("sleep_until", || drop(wharf::sleep_until(std::time::Instant::now()))),
    ] {
        let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.starts_with(&format!("`wharf::{name}` was called at tests")), "{text}");
        assert!(text.contains("no event loop is running on this thread"), "{text}");
    }
}

// 283.
#[test]
fn yield_now_gives_all_others_that_are_ready_their_turn() {
    let log = Log::default();
    memory_loop()
        .run(async |event_loop| {
            event_loop.call_soon(log.adds("before"));
            let task = wharf::spawn({
                let log = log.clone();
                async move {
                    log.add("begun");
                    wharf::yield_now().await;
                    log.add("again");
                }
            });
            event_loop.call_soon(log.adds("after"));
            // The future that is run comes last in its round.
            wharf::yield_now().await;
            log.add("main");
            Ok(task.await?)
        })
        .unwrap();
    assert_eq!(log.take(), ["before", "begun", "after", "main", "again"]);
}
