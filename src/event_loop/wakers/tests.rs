use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;
use crate::event_loop::EventLoop;

const MANY: usize = 100_000;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// It would take hours if each had to be looked for among the others.
#[test]
fn any_number_waits_is_woken_waits_again_and_leaves_in_any_order() {
    let event_loop = EventLoop::new().unwrap();
    let (wakers, core) = (Wakers::default(), event_loop.core());
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let wait = || Some(Box::pin(wakers.wait_for(core, || None::<()>)));
    let mut waiting: Vec<Option<Pin<Box<_>>>> = (0..MANY).map(|_| wait()).collect();
    for _ in 0..3 {
        for wait in waiting.iter_mut().flatten() {
            assert!(wait.as_mut().poll(&mut context).is_pending());
            assert!(wait.as_mut().poll(&mut context).is_pending(), "that changes nothing");
        }
        wakers.wake_all(core);
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 3 * MANY, "each once");
    for wait in waiting.iter_mut().flatten() {
        assert!(wait.as_mut().poll(&mut context).is_pending());
    }
    for step in 0..MANY {
        // Those in the middle, the first and the last.
        let index = if step % 2 == 0 { step } else { MANY - step };
        waiting[index] = None;
    }
    drop(waiting);
    assert!(wakers.waiting.borrow().is_none(), "no memory is held");
    wakers.wake_all(core);
    assert_eq!(count.0.load(Ordering::Relaxed), 3 * MANY, "nobody is woken");
}

#[test]
fn another_waker_takes_the_place_of_the_former_one() {
    let event_loop = EventLoop::new().unwrap();
    let (wakers, core) = (Wakers::default(), event_loop.core());
    let counts = [(); 2].map(|()| Arc::new(Count::default()));
    let mut wait = Box::pin(wakers.wait_for(core, || None::<()>));
    for count in &counts {
        let waker = Waker::from(Arc::clone(count));
        assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    wakers.wake_all(core);
    assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
}

#[test]
fn who_waits_again_waits_where_it_was() {
    let event_loop = EventLoop::new().unwrap();
    let (wakers, core) = (Wakers::default(), event_loop.core());
    let counts = [(); 3].map(|()| Arc::new(Count::default()));
    let tickets = [(); 3].map(|()| Cell::new(None));
    let poll = |index: usize| {
        let waker = Waker::from(Arc::clone(&counts[index]));
        let context = Context::from_waker(&waker);
        assert!(wakers.poll(core, &tickets[index], &context, || None::<()>).is_pending());
    };
    (0..3).for_each(poll);
    wakers.wake_all(core);
    (0..3).rev().for_each(poll);
    let first = |wakers: &Wakers| wakers.waiting.borrow().as_ref()?.keys().next().copied();
    assert_eq!(first(&wakers), tickets[0].get());
    tickets.iter().for_each(|ticket| wakers.leave(core, ticket));
    assert_eq!(first(&wakers), None);
}

type Waiting<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Each that is woken takes one, if there is one; so few are woken, and all that is there is taken.
#[test]
fn those_who_wait_in_turn_are_woken_some_at_a_time() {
    let event_loop = EventLoop::new().unwrap();
    let (wakers, core) = (Wakers::default(), event_loop.core());
    let (things, woken) = (Cell::new(0_usize), Cell::new(0));
    let take = || {
        woken.set(woken.get() + 1);
        things.get().checked_sub(1).map(|left| things.set(left))
    };
    let counts = [(); 100].map(|()| Arc::new(Count::default()));
    let wait = || Some(Box::pin(wakers.wait_in_turn(core, take)) as Waiting<'_>);
    let mut waiting: Vec<_> = (0..counts.len()).map(|_| wait()).collect();
    let run = |waiting: &mut Vec<Option<Waiting<'_>>>| {
        let mut done = Vec::new();
        loop {
            let is_woken = |index: &usize| counts[*index].0.swap(0, Ordering::Relaxed) > 0;
            let Some(index) = (0..counts.len()).find(is_woken) else { return done };
            let Some(wait) = &mut waiting[index] else { continue };
            let waker = Waker::from(Arc::clone(&counts[index]));
            if wait.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                waiting[index] = None;
                done.push(index);
            }
        }
    };
    counts.iter().for_each(|count| count.0.store(1, Ordering::Relaxed));
    assert!(run(&mut waiting).is_empty());
    woken.set(0);
    things.set(1);
    wakers.wake_some(core);
    assert_eq!(run(&mut waiting), [0], "the one that came first");
    assert!(woken.get() <= SOME + 1, "{} woken", woken.get());
    things.set(40);
    wakers.wake_some(core);
    // These were woken, and do not look.
    (1..=8).for_each(|index| waiting[index] = None);
    assert_eq!(run(&mut waiting), Vec::from_iter(9..=48), "all that was there is taken in order");
    things.set(100);
    wakers.wake_some(core);
    assert_eq!(run(&mut waiting), Vec::from_iter(49..100));
}
