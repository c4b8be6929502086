//! Values that belong to a task.

use std::rc::Rc;

use wharf::{EventLoop, TaskLocal};

use crate::loops::{memory_loop, settle};
use crate::probes::{Log, OnDrop, panics_on_drop, reports};

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
fn a_task_of_a_scope_or_a_group_has_the_values_of_where_it_was_spawned() {
    struct Notes(Log, &'static str);

    impl Drop for Notes {
        fn drop(&mut self) {
            self.0.add(format!("{} dropped: {:?}", self.1, NAME.get()));
        }
    }

    /// Looks twice, and again when it is dropped.
    async fn look(log: &Log, who: &'static str) -> wharf::Result {
        let _notes = Notes(log.clone(), who);
        for _ in 0..2 {
            log.add(format!("{who}: {:?}", NAME.get()));
            wharf::yield_now().await;
        }
        std::future::pending().await
    }

    let expected = |first: &'static str| {
        ["inner", "outer", "none"].map(|who| match who {
            "none" => format!("none{first}: None"),
            who => format!("{who}{first}: Some({who:?})"),
        })
    };
    let looks = || [expected(""), expected(""), expected(" dropped")].concat();

    let log = Log::default();
    memory_loop()
        .run(async |event_loop| {
            let own = log.clone();
            let in_group = event_loop.task_group(async move |group| {
                let tasks = [own.clone(), own.clone(), own.clone()];
                let [one, two, three] = tasks;
                NAME.sync_scope("inner", || group.spawn(async move { look(&one, "inner").await }));
                NAME.scope("outer", async {
                    group.spawn(async move { look(&two, "outer").await });
                })
                .await;
                group.spawn(async move { look(&three, "none").await });
                wharf::sleep(std::time::Duration::from_secs(1)).await;
                group.cancel();
                Ok(())
            });
            in_group.await?;
            assert_eq!(log.take(), looks());

            let spawned = wharf::scope(async |scope| {
                NAME.sync_scope("inner", || scope.spawn(look(&log, "inner")));
                let outer = NAME.scope("outer", async {
                    scope.spawn(look(&log, "outer"));
                });
                outer.await;
                scope.spawn(look(&log, "none"));
                wharf::sleep(std::time::Duration::from_secs(1)).await;
                assert_eq!(NAME.get(), None, "the body has its own");
                scope.cancel();
                Ok(())
            });
            spawned.await?;
            assert_eq!(log.take(), looks());

            // Where it is awaited changes nothing.
            let log = &log;
            let added = std::cell::RefCell::new(None);
            let awaited = NAME.scope("awaited", async {
                wharf::scope(async |scope: wharf::Scope<'_>| {
                    *added.borrow_mut() = Some(scope.clone());
                    wharf::sleep(std::time::Duration::from_secs(1)).await;
                    scope.cancel();
                    Ok(())
                })
                .await
            });
            let adds = async {
                wharf::yield_now().await;
                let scope = added.borrow_mut().take().expect("it is there");
                scope.spawn(look(log, "none"));
            };
            let (ended, ()) = futures_util::future::join(awaited, adds).await;
            ended?;
            assert_eq!(log.take(), ["none: None", "none: None", "none dropped: None"]);
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

/// Two panics at once would end the process.
#[test]
fn values_that_all_panic_when_they_are_dropped_are_all_dropped() {
    static OUTER: TaskLocal<OnDrop> = TaskLocal::new();
    static INNER: TaskLocal<OnDrop> = TaskLocal::new();
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let task = OUTER.sync_scope(panics_on_drop("outer"), || {
        INNER.sync_scope(panics_on_drop("inner"), || event_loop.create_task(seen()))
    });
    task.detach();
    settle(&event_loop).unwrap();
    let told = reports.take();
    assert!(told.len() == 1 && told[0].contains("inner"), "{told:?}");
    let task = OUTER.scope(panics_on_drop("outer"), async {
        INNER
            .scope(panics_on_drop("inner"), async {
                let _guard = panics_on_drop("future");
                std::future::pending::<()>().await;
            })
            .await;
    });
    let task = event_loop.create_task(task);
    settle(&event_loop).unwrap();
    drop(task);
    settle(&event_loop).unwrap();
    let told = reports.take();
    assert!(told.len() == 1 && told[0].contains("future"), "{told:?}");
    assert_eq!(event_loop.statistics().tasks, 0);
}
