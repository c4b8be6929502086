use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::*;
use crate::error::Error;
use crate::event_loop::EventLoop;

/// Longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(30);

/// Names that begin with "dead" are answered once the gate is gone, all others at once; those that
/// begin with "local" need no network.
struct Staged {
    gate: Mutex<Option<Receiver<()>>>,
    log: Mutex<Vec<String>>,
    threads: Mutex<BTreeSet<String>>,
    begun: Mutex<Sender<()>>,
}

impl Resolver for Staged {
    fn resolve(&self, host: &str) -> Answer {
        self.log.lock().unwrap().push(host.to_owned());
        let thread = std::thread::current();
        self.threads.lock().unwrap().insert(thread.name().unwrap_or_default().to_owned());
        let _ = self.begun.lock().unwrap().send(());
        if host.starts_with("panic") {
            panic!("in the resolver");
        }
        if host.starts_with("dead") {
            // All wait for the one that holds the lock; it waits for the gate.
            if let Some(gate) = &*self.gate.lock().unwrap() {
                let _ = gate.recv_timeout(LONG);
            }
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("{host} is dead")));
        }
        Ok(vec![([192, 0, 2, 1], 0).into()])
    }

    fn is_local(&self, host: &str) -> bool {
        host.starts_with("local") || is_local(host)
    }
}

struct Stage {
    event_loop: EventLoop,
    staged: Arc<Staged>,
    /// Dropped, the dead names are answered.
    gate: Option<Sender<()>>,
    has_begun: Receiver<()>,
}

impl Stage {
    fn new(threads: usize) -> Self {
        let event_loop = EventLoop::builder().resolver_threads(threads).build().unwrap();
        let (gate, entry) = channel();
        let (begun, has_begun) = channel();
        let staged = Arc::new(Staged {
            gate: Mutex::new(Some(entry)),
            log: Mutex::default(),
            threads: Mutex::default(),
            begun: Mutex::new(begun),
        });
        let resolver = Arc::clone(&staged) as Arc<dyn Resolver>;
        *event_loop.core().lookups.resolver.borrow_mut() = resolver;
        Self { event_loop, staged, gate: Some(gate), has_begun }
    }

    fn look_up(&self, host: &str) -> LoopFuture<Answer> {
        let core = self.event_loop.core();
        core.lookups.look_up(core, host)
    }

    /// Looks up names that are not answered, and waits until `count` of them have a thread.
    fn look_up_dead(
        &self,
        hosts: impl Iterator<Item = String>,
        count: usize,
    ) -> Vec<LoopFuture<Answer>> {
        let dead = hosts.map(|host| self.look_up(&host)).collect();
        for _ in 0..count {
            self.has_begun.recv_timeout(LONG).expect("it begins");
        }
        dead
    }

    fn complete<T>(&self, future: LoopFuture<T>) -> Result<T, Error> {
        let event_loop = self.event_loop.clone();
        let limit = self.event_loop.call_later(LONG, move || event_loop.stop());
        let result = self.event_loop.run_until_complete(future).expect("it completes");
        limit.cancel();
        result
    }

    fn log_len(&self) -> usize {
        self.staged.log.lock().unwrap().len()
    }
}

#[test]
fn eight_dead_names_stop_neither_files_nor_other_names() {
    let stage = Stage::new(32);
    let dead = stage.look_up_dead((0..8).map(|number| format!("dead.{number}.example")), 8);
    assert!(stage.complete(stage.look_up("www.example.org")).unwrap().is_ok());
    // What files are read and written by.
    for number in 0..20 {
        let job = stage.event_loop.run_in_executor(move || number);
        assert_eq!(stage.complete(job).unwrap(), number);
    }
    assert!(dead.iter().all(|one| !one.is_done()));
    assert_eq!(stage.staged.threads.lock().unwrap().len(), 9);
}

#[test]
fn a_file_never_waits_for_names_though_all_their_threads_are_busy() {
    let stage = Stage::new(4);
    let dead = stage.look_up_dead((0..40).map(|number| format!("dead.{number}.example")), 4);
    let job = stage.event_loop.run_in_executor(|| 1);
    assert_eq!(stage.complete(job).unwrap(), 1);
    assert_eq!(stage.log_len(), 4);
    assert_eq!(stage.staged.threads.lock().unwrap().len(), 4, "the limit");
    assert!(dead.iter().all(|one| !one.is_done()));
}

#[test]
fn a_dead_domain_does_not_stop_other_domains() {
    let stage = Stage::new(8);
    // A quarter of the threads, however many names of the domain are asked for.
    let dead = stage.look_up_dead((0..1_000).map(|number| format!("dead-{number}.example.org")), 2);
    for number in 0..20 {
        let answer = stage.look_up(&format!("www.{number}.example"));
        assert!(stage.complete(answer).unwrap().is_ok());
    }
    assert_eq!(stage.log_len(), 22);
    assert!(dead.iter().all(|one| !one.is_done()));
}

#[test]
fn a_name_that_is_looked_up_already_takes_no_other_thread() {
    let mut stage = Stage::new(8);
    let dead = stage.look_up_dead(std::iter::repeat_n("dead.example".to_owned(), 100), 1);
    assert_eq!(stage.log_len(), 1);
    stage.gate.take();
    for one in dead {
        let error = stage.complete(one).unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "dead.example is dead");
    }
    assert_eq!(stage.log_len(), 1);
    // Afterwards it is looked up again.
    assert!(stage.complete(stage.look_up("dead.example")).unwrap().is_err());
    assert_eq!(stage.log_len(), 2);
}

#[test]
fn what_needs_no_network_never_waits() {
    let stage = Stage::new(1);
    let dead = stage.look_up_dead((0..10).map(|number| format!("dead.{number}.example")), 1);
    for number in 0..10 {
        let answer = stage.look_up(&format!("local{number}"));
        assert!(stage.complete(answer).unwrap().is_ok());
    }
    assert!(dead.iter().all(|one| !one.is_done()));
    assert_eq!(stage.log_len(), 11);
    assert_eq!(stage.staged.threads.lock().unwrap().len(), 1, "both are the first of a pool");
}

/// By the rules that the system's resolver goes by: not those of this test.
#[test]
fn names_that_are_made_up_do_not_take_the_thread_of_those_that_need_no_network() {
    let stage = Stage::new(1);
    let dead = stage.look_up_dead(std::iter::once("dead.example".to_owned()), 1);
    let made_up = ["1.2.3.4.5", "99999999999", "0x.1", "a.localhost", "dead.localhost"];
    let made_up = made_up.map(|host| stage.look_up(host));
    for host in ["localhost", "127.1", "0x7f.1", "fe80::1%1"] {
        assert!(stage.complete(stage.look_up(host)).unwrap().is_ok(), "{host}");
    }
    assert_eq!(stage.log_len(), 5, "nothing else was looked up");
    assert!(dead.iter().chain(&made_up).all(|one| !one.is_done()));
}

/// A host of the test that keeps the one thread for local names busy.
#[test]
fn a_look_up_that_is_given_up_leaves_the_queue_of_local_names() {
    let mut stage = Stage::new(1);
    let first = stage.look_up_dead(std::iter::once("dead.example".to_owned()), 1);
    let (entered, is_entered) = channel();
    let (leave, may_leave) = channel::<()>();
    let core = Rc::clone(stage.event_loop.core());
    let local_pool = || {
        let state = core.lookups.state.borrow();
        state.local.as_ref().expect("names wait").statistics()
    };
    let kept = stage.look_up("kept.example");
    // It has asked of the name above: from now on it does nothing but wait.
    core.lookups
        .state
        .borrow()
        .local
        .as_ref()
        .expect("a name waits")
        .submit(Box::new(move || {
            let _ = entered.send(());
            let _ = may_leave.recv_timeout(LONG);
        }))
        .expect("it is taken");
    is_entered.recv_timeout(LONG).expect("it begins");
    let given_up: Vec<_> =
        (0..1_000).map(|number| stage.look_up(&format!("www.{number}.example"))).collect();
    assert_eq!(local_pool().waiting, 1_000);
    drop(given_up);
    assert_eq!(local_pool().waiting, 0);
    // Whoever gets a thread of the others is not asked for here either.
    let queued = stage.look_up("queued.example");
    assert_eq!(local_pool().waiting, 1);
    stage.gate.take();
    for one in first {
        assert!(stage.complete(one).unwrap().is_err());
    }
    assert!(stage.complete(kept).unwrap().is_ok());
    assert!(stage.complete(queued).unwrap().is_ok());
    assert_eq!(local_pool().waiting, 0);
    drop(leave);
}

#[test]
fn a_look_up_that_is_given_up_leaves_the_queue() {
    let mut stage = Stage::new(1);
    let first = stage.look_up_dead(std::iter::once("dead.example".to_owned()), 1);
    let given_up: Vec<_> =
        (0..1_000).map(|number| stage.look_up(&format!("www.{number}.example"))).collect();
    let kept = stage.look_up("kept.example");
    drop(given_up);
    let names = || stage.event_loop.core().lookups.state.borrow().names.len();
    assert_eq!(names(), 2);
    stage.gate.take();
    assert!(stage.complete(kept).unwrap().is_ok());
    for one in first {
        assert!(stage.complete(one).unwrap().is_err());
    }
    assert_eq!(stage.log_len(), 2);
    let core = stage.event_loop.core();
    assert!(core.lookups.state.borrow().names.is_empty());
}

#[test]
fn one_that_began_and_is_given_up_answers_whoever_asks_next() {
    let mut stage = Stage::new(1);
    drop(stage.look_up_dead(std::iter::once("dead.example".to_owned()), 1));
    let next = stage.look_up("dead.example");
    stage.gate.take();
    assert!(stage.complete(next).unwrap().is_err());
    assert_eq!(stage.log_len(), 1);
}

#[test]
fn a_panic_of_the_resolver_is_an_error_and_the_thread_goes_on() {
    let stage = Stage::new(1);
    let error = stage.complete(stage.look_up("panic.example")).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "in the resolver");
    assert!(stage.complete(stage.look_up("www.example")).unwrap().is_ok());
}

#[test]
fn closing_the_loop_ends_look_ups_and_lets_threads_end() {
    let stage = Stage::new(1);
    let dead = stage.look_up_dead((0..3).map(|number| format!("dead.{number}.example")), 1);
    let Stage { event_loop, gate, staged, .. } = stage;
    let core = Rc::clone(event_loop.core());
    drop(event_loop);
    assert!(core.is_closed());
    for one in dead {
        assert!(one.take_result().expect("a result").is_err());
    }
    assert!(core.lookups.state.borrow().names.is_empty());
    drop(gate);
    drop(staged);
}
