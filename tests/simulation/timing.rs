//! Wake-ups that are lost, and timers that go off too early.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use wharf::sim::{Check, Faults, LinkOptions, Simulation};
use wharf::{EventLoop, Promise, Result};

use crate::planted::{MS, SECOND, answer, ask, is_found};

const JOBS: usize = 10;

/// Jobs that arrive, and who waits for one.
#[derive(Default)]
struct Queue {
    jobs: RefCell<VecDeque<String>>,
    waits: RefCell<Option<Promise<()>>>,
}

impl Queue {
    fn push(&self, job: String) {
        self.jobs.borrow_mut().push_back(job);
        let waits = self.waits.take();
        if let Some(promise) = waits {
            let _ = promise.set_result(());
        }
    }

    /// The next job. Whoever finds none tells the monitor that it is idle.
    async fn next(&self, event_loop: &EventLoop, loses_wake_ups: bool) -> Result<String> {
        loop {
            let job = self.jobs.borrow_mut().pop_front();
            if let Some(job) = job {
                return Ok(job);
            }
            if loses_wake_ups {
                // The bug: what comes during this wakes nobody.
                ask(event_loop, "monitor:1", "idle").await;
            }
            let (promise, woken) = event_loop.create_future();
            *self.waits.borrow_mut() = Some(promise);
            if !loses_wake_ups {
                ask(event_loop, "monitor:1", "idle").await;
            }
            woken.await?;
        }
    }
}

#[test]
fn a_wake_up_that_is_lost_is_found() {
    is_found(&Check::new(), |simulation, has_bug| {
        simulation.links(LinkOptions::new().latency(MS..=20 * MS));
        simulation.host("monitor").serve(async |event_loop| {
            answer(event_loop, "0.0.0.0:1", |_| "noted".to_owned()).await
        });
        let queue = Rc::new(Queue::default());
        let (worker, taken) = (simulation.host("worker"), Rc::clone(&queue));
        worker.serve(async move |event_loop| {
            let taken = Rc::clone(&taken);
            answer(event_loop, "0.0.0.0:2", move |line| {
                taken.push(line.to_owned());
                "queued".to_owned()
            })
            .await
        });
        worker.start(async move |event_loop| {
            for _ in 0..JOBS {
                queue.next(&event_loop, has_bug).await?;
            }
            Ok(())
        });
        let client = simulation.host("client");
        let random = client.random();
        client.start(async move |event_loop| {
            for number in 0..JOBS {
                event_loop.sleep(random.duration(MS..=200 * MS)).await;
                ask(&event_loop, "worker:2", &format!("job {number}")).await.ok_or("no answer")?;
            }
            Ok(())
        });
        simulation.limit(60 * SECOND);
        simulation.run()
    });
}

/// How long a lock is one's own.
const TERM: Duration = Duration::from_secs(10);

/// A lock that is given to another when its time is over, by a clock that may be set meanwhile.
fn locks(simulation: &Simulation, by_wall_clock: bool) -> Result {
    let server = simulation.host("server");
    let clock = server.clone();
    server.serve(async move |event_loop| {
        let until = Rc::new(Cell::new(Duration::ZERO));
        let (clock, own, began) = (clock.clone(), event_loop.clone(), event_loop.time());
        let now = move || {
            if by_wall_clock {
                // The bug: whoever sets the clock ahead ends everybody's term.
                clock.date().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
            } else {
                own.time() - began + TERM
            }
        };
        answer(event_loop, "0.0.0.0:1", move |_| {
            if now() < until.get() {
                return "no".to_owned();
            }
            until.set(now() + TERM);
            "yes".to_owned()
        })
        .await
    });
    let holders = Rc::new(Cell::new(0));
    for name in ["one", "other"] {
        let holders = Rc::clone(&holders);
        simulation.host(name).start(async move |event_loop| {
            for _ in 0..3 {
                while ask(&event_loop, "server:1", "lock").await.as_deref() != Some("yes") {
                    event_loop.sleep(500 * MS).await;
                }
                holders.set(holders.get() + 1);
                if holders.get() > 1 {
                    return Err("two have the lock".into());
                }
                // Some less than it may.
                event_loop.sleep(TERM - SECOND).await;
                holders.set(holders.get() - 1);
            }
            Ok(())
        });
    }
    simulation.limit(300 * SECOND);
    simulation.run()
}

#[test]
fn a_timer_that_goes_off_too_early_is_found() {
    let faults = Faults::of_clocks().spare("one").spare("other");
    let failure = is_found(&Check::new().faults(faults), locks);
    assert!(failure.script.to_string().contains("clock server"), "{failure}");
}
