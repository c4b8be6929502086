//! Values that belong to a task.

use std::rc::Rc;

use wharf::testing::settle;
use wharf::{EventLoop, TaskLocal};

use crate::probes::{Log, memory_loop};

static NAME: TaskLocal<&str> = TaskLocal::new();
static COUNT: TaskLocal<Rc<u32>> = TaskLocal::new();

async fn seen() -> (Option<&'static str>, Option<u32>) {
    wharf::yield_now().await;
    (NAME.get(), COUNT.with(|count| count.map(|count| **count)))
}

#[test]
fn a_task_keeps_what_was_set_where_it_was_spawned() {
    memory_loop()
        .run(async |event_loop| {
            let plain = event_loop.create_task(seen());
            let (set, outer) = NAME
                .scope("outer", async {
                    let set = event_loop.create_task(async {
                        // A task of a task.
                        (seen().await, wharf::spawn(seen()).await.unwrap())
                    });
                    let inner = COUNT.scope(Rc::new(7), NAME.scope("inner", seen())).await;
                    assert_eq!(inner, (Some("inner"), Some(7)));
                    (set, seen().await)
                })
                .await;
            assert_eq!(outer, (Some("outer"), None), "what is set inside changes nothing outside");
            assert_eq!(set.await?, ((Some("outer"), None), (Some("outer"), None)));
            assert_eq!(plain.await?, (None, None));
            assert_eq!(seen().await, (None, None));
            Ok(())
        })
        .unwrap();
}

#[test]
fn values_of_one_task_are_not_seen_by_others_nor_by_callbacks() {
    let event_loop = memory_loop();
    let log = Log::default();
    for name in ["one", "two"] {
        let (log, running) = (log.clone(), event_loop.clone());
        let task = NAME.sync_scope(name, || {
            event_loop.create_task(async move {
                for _ in 0..2 {
                    wharf::yield_now().await;
                    log.add(format!("{:?}", NAME.get()));
                }
                let log = log.clone();
                running.call_soon(move || log.add(format!("callback {:?}", NAME.get())));
            })
        });
        task.detach();
    }
    settle(&event_loop).unwrap();
    let expected = [r#"Some("one")"#, r#"Some("two")"#].repeat(2);
    assert_eq!(log.entries()[..4], expected);
    assert_eq!(log.entries()[4..], ["callback None", "callback None"]);
}

#[test]
fn a_future_is_dropped_with_its_values_set_and_they_after_it() {
    struct Sees(Log);

    impl Drop for Sees {
        fn drop(&mut self) {
            self.0.add(format!(
                "{:?} {:?}",
                NAME.get(),
                COUNT.with(|count| count.map(|count| **count))
            ));
        }
    }

    let event_loop = memory_loop();
    let log = Log::default();
    let value = Rc::new(3);
    let held = Rc::downgrade(&value);
    let sees = Sees(log.clone());
    let task = COUNT.sync_scope(value, || {
        event_loop.create_task(NAME.scope("set", async move {
            let _sees = sees;
            std::future::pending::<()>().await;
        }))
    });
    settle(&event_loop).unwrap();
    task.cancel();
    assert_eq!(held.strong_count(), 1);
    assert!(event_loop.run_until_complete(task).unwrap().is_err());
    assert_eq!(log.entries(), [r#"Some("set") Some(3)"#]);
    assert_eq!(held.strong_count(), 0);
}

#[test]
fn a_long_chain_of_tasks_that_each_set_a_value_needs_no_stack() {
    fn next(event_loop: EventLoop, left: u32) {
        let task = COUNT.sync_scope(Rc::new(left), || {
            let again = event_loop.clone();
            event_loop.create_task(async move {
                if left > 0 {
                    next(again, left - 1);
                }
            })
        });
        task.detach();
    }

    let event_loop = memory_loop();
    next(event_loop.clone(), 100_000);
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.statistics().tasks, 0);
}
