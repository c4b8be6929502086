//! Work that is lent for a time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::sim::{Check, Faults, LinkOptions, Simulation};
use wharf::{EventLoop, Result};

use crate::planted::{MS, SECOND, answer, ask, is_found};

const TASKS: usize = 2;
/// How long a task is lent, how long it takes, and how long one waits for an answer.
const LEASE: Duration = Duration::from_secs(5);
const WORK: Duration = Duration::from_secs(12);
const PATIENCE: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Default, PartialEq)]
enum Bug {
    #[default]
    None,
    /// A worker goes on though it could not renew its lease.
    GoesOn,
    /// The coordinator records what it is told, though it was told before.
    RecordsTwice,
}

/// What the coordinator knows. It does not crash.
#[derive(Default)]
struct Coordinator {
    bug: Bug,
    /// Which task is lent, by the number of its lease, and until when.
    lease: Cell<Option<(u64, Instant)>>,
    leases: Cell<u64>,
    /// Which lease each result was recorded for.
    results: RefCell<Vec<u64>>,
}

impl Coordinator {
    fn answer(&self, line: &str, now: Instant) -> String {
        let lease = self.lease.get().filter(|(_, until)| now < *until);
        let (word, number) = line.split_once(' ').unwrap_or((line, ""));
        let number = number.parse().ok();
        let is_lent = lease.is_some_and(|(lent, _)| Some(lent) == number);
        match word {
            "take" if self.results.borrow().len() >= TASKS => "over".to_owned(),
            "take" if lease.is_some() => "wait".to_owned(),
            "take" => {
                let number = self.leases.get() + 1;
                self.leases.set(number);
                self.lease.set(Some((number, now + LEASE)));
                number.to_string()
            }
            "renew" if is_lent => {
                self.lease.set(number.map(|number| (number, now + LEASE)));
                "yours".to_owned()
            }
            "done" => self.record(number, is_lent),
            _ => "lost".to_owned(),
        }
    }

    fn record(&self, number: Option<u64>, is_lent: bool) -> String {
        let Some(number) = number else { return "lost".to_owned() };
        let is_known = self.results.borrow().contains(&number);
        if is_lent || (is_known && self.bug == Bug::RecordsTwice) {
            // The bug: who has not heard the answer says it again.
            self.results.borrow_mut().push(number);
            self.lease.set(None);
        } else if !is_known {
            return "lost".to_owned();
        }
        "recorded".to_owned()
    }
}

/// Counts those who work, until it is dropped.
struct Working(Rc<Cell<usize>>);

impl Working {
    fn begin(working: &Rc<Cell<usize>>) -> Result<Self> {
        working.set(working.get() + 1);
        let guard = Self(Rc::clone(working));
        if working.get() > 1 {
            return Err("the lease of a task has ended while it ran".into());
        }
        Ok(guard)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

async fn tell(event_loop: &EventLoop, what: &str) -> Option<String> {
    wharf::timeout(PATIENCE, ask(event_loop, "coordinator:1", what)).await.ok()?
}

async fn work(event_loop: EventLoop, working: Rc<Cell<usize>>, bug: Bug) -> Result {
    loop {
        // The lease cannot end before this: it begins when the coordinator has heard.
        let asked = event_loop.time();
        let number = match tell(&event_loop, "take").await.as_deref() {
            Some("over") => return Ok(()),
            Some("wait") | None => {
                event_loop.sleep(500 * MS).await;
                continue;
            }
            Some(number) => number.to_owned(),
        };
        if event_loop.time() >= asked + LEASE {
            continue;
        }
        let guard = Working::begin(&working)?;
        let is_done = run(&event_loop, &number, asked + LEASE, bug).await;
        drop(guard);
        let done = format!("done {number}");
        while is_done && tell(&event_loop, &done).await.is_none() {
            event_loop.sleep(100 * MS).await;
        }
    }
}

/// Whether the work was done before the lease could have ended.
async fn run(event_loop: &EventLoop, number: &str, mut until: Instant, bug: Bug) -> bool {
    let done_at = event_loop.time() + WORK;
    let renew = format!("renew {number}");
    while event_loop.time() < done_at {
        event_loop.sleep(SECOND).await;
        let asked = event_loop.time();
        if tell(event_loop, &renew).await.as_deref() == Some("yours") {
            until = asked + LEASE;
        }
        // Not so late that the next look comes after the end.
        if event_loop.time() + SECOND + PATIENCE >= until && bug != Bug::GoesOn {
            return false;
        }
    }
    true
}

fn lends(simulation: &Simulation, bug: Bug) -> Result {
    // What is lost comes later than anybody waits.
    simulation.links(LinkOptions::new().loss(0.05));
    let coordinator = Rc::new(Coordinator { bug, ..Coordinator::default() });
    let asked = Rc::clone(&coordinator);
    simulation.host("coordinator").serve(async move |event_loop| {
        let (asked, own) = (Rc::clone(&asked), event_loop.clone());
        answer(event_loop, "0.0.0.0:1", move |line| asked.answer(line, own.time())).await
    });
    let working = Rc::new(Cell::new(0));
    for name in ["one", "other"] {
        let working = Rc::clone(&working);
        simulation
            .host(name)
            .start(async move |event_loop| work(event_loop, Rc::clone(&working), bug).await);
    }
    simulation.limit(1_000 * SECOND);
    simulation.run()?;
    let mut results = coordinator.results.borrow().clone();
    results.sort_unstable();
    results.dedup();
    if results.len() < coordinator.results.borrow().len() {
        return Err("a result was recorded twice".into());
    }
    Ok(())
}

fn bugs_are_found(bug: Bug, how: &str) {
    let check = Check::new().faults(Faults::of_links());
    let failure = is_found(&check, |simulation, has_bug| {
        lends(simulation, if has_bug { bug } else { Bug::None })
    });
    assert!(failure.error.ends_with(how), "{failure}");
}

#[test]
fn a_lease_that_ends_while_its_task_runs_is_found() {
    bugs_are_found(Bug::GoesOn, "the lease of a task has ended while it ran");
}

#[test]
fn a_result_that_is_recorded_twice_is_found() {
    bugs_are_found(Bug::RecordsTwice, "a result was recorded twice");
}
