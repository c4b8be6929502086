//! Tasks that another thread wakes.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, Thread};

use super::contender::Contender;

/// How many tasks wait where the thread wakes many before it is told to go on.
const WAITING: u64 = 1_000;

/// A thread and a task wake each other in turn, `count` times the task.
pub(super) async fn ping_pong<C: Contender>(_: C, count: u64) {
    let signal = Arc::new(Signal::default());
    let asked = Arc::new(AtomicU64::new(0));
    let thread = thread::spawn({
        let (signal, asked) = (Arc::clone(&signal), Arc::clone(&asked));
        move || {
            for number in 1..=count {
                park_until(&asked, number);
                signal.set(number);
            }
        }
    });
    for number in 1..=count {
        ask(&asked, number, thread.thread());
        poll_fn(|context| signal.poll_reached(number, context)).await;
    }
    thread.join().expect("the thread ends well");
}

/// A thread wakes many tasks, one after the other; when all have gone on, again, until it has woken
/// `count`.
pub(super) async fn one_way<C: Contender>(contender: C, count: u64) {
    let rounds = count.div_ceil(WAITING);
    let signals: Arc<[Signal]> = (0..WAITING).map(|_| Signal::default()).collect();
    let asked = Arc::new(AtomicU64::new(0));
    let arrivals = Rc::new(Arrivals::default());
    let tasks: Vec<_> = (0..WAITING as usize)
        .map(|place| {
            let (signals, arrivals) = (Arc::clone(&signals), Rc::clone(&arrivals));
            contender.spawn(async move {
                for round in 1..=rounds {
                    poll_fn(|context| signals[place].poll_reached(round, context)).await;
                    arrivals.arrive();
                }
            })
        })
        .collect();
    let thread = thread::spawn({
        let asked = Arc::clone(&asked);
        move || {
            for round in 1..=rounds {
                park_until(&asked, round);
                for signal in &*signals {
                    signal.set(round);
                }
            }
        }
    });
    for round in 1..=rounds {
        ask(&asked, round, thread.thread());
        poll_fn(|context| arrivals.poll_all(round * WAITING, context)).await;
    }
    for task in tasks {
        C::join(task).await;
    }
    thread.join().expect("the thread ends well");
}

fn ask(asked: &AtomicU64, number: u64, thread: &Thread) {
    asked.store(number, Ordering::Release);
    thread.unpark();
}

fn park_until(asked: &AtomicU64, number: u64) {
    while asked.load(Ordering::Acquire) < number {
        thread::park();
    }
}

/// How far a task may go.
#[derive(Default)]
struct Signal {
    number: AtomicU64,
    waker: Mutex<Option<Waker>>,
}

impl Signal {
    fn set(&self, number: u64) {
        self.number.store(number, Ordering::Release);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = &*waker {
            waker.wake_by_ref();
        }
    }

    fn poll_reached(&self, number: u64, context: &Context<'_>) -> Poll<()> {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if self.number.load(Ordering::Acquire) >= number {
            return Poll::Ready(());
        }
        keep_waker(&mut waker, context);
        Poll::Pending
    }
}

/// How many tasks have gone on, in all rounds.
#[derive(Default)]
struct Arrivals {
    count: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

impl Arrivals {
    fn arrive(&self) {
        self.count.set(self.count.get() + 1);
        if self.count.get().is_multiple_of(WAITING)
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }

    fn poll_all(&self, count: u64, context: &Context<'_>) -> Poll<()> {
        if self.count.get() >= count {
            return Poll::Ready(());
        }
        keep_waker(&mut self.waker.borrow_mut(), context);
        Poll::Pending
    }
}

fn keep_waker(kept: &mut Option<Waker>, context: &Context<'_>) {
    if !kept.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
        *kept = Some(context.waker().clone());
    }
}
