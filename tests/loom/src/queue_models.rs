//! The queue and its wake-up: nothing is lost, and a loop that waits is woken.

use std::collections::VecDeque;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::event_loop::Loop;
use crate::model;

const ALL: usize = usize::MAX;

#[test]
fn what_two_threads_append_arrives_once_and_in_the_order_of_each() {
    model(|| {
        let event_loop = Loop::new();
        for items in [&[1, 2][..], &[10]] {
            let queue = Arc::clone(&event_loop.queue);
            thread::spawn(move || items.iter().for_each(|item| queue.push(*item).unwrap()));
        }

        let mut taken = VecDeque::new();
        while taken.len() < 3 {
            taken.append(&mut event_loop.tick(ALL));
        }

        let (first, second): (Vec<_>, Vec<_>) = taken.into_iter().partition(|item| *item < 10);
        assert_eq!((first, second), (vec![1, 2], vec![10]));
    });
}

#[test]
fn a_loop_that_leaves_items_for_its_next_tick_does_not_wait_before_it() {
    model(|| {
        let event_loop = Loop::new();
        let queue = Arc::clone(&event_loop.queue);
        let producer = thread::spawn(move || {
            for item in 0..3 {
                queue.push(item).unwrap();
            }
        });

        let mut taken = VecDeque::new();
        while taken.len() < 3 {
            let mut one = event_loop.tick(1);
            assert!(one.len() <= 1);
            taken.append(&mut one);
        }

        assert_eq!(taken, [0, 1, 2]);
        producer.join().unwrap();
        assert!(event_loop.queue.take(ALL).is_empty());
    });
}

#[test]
fn one_wake_up_serves_all_that_is_appended_until_the_loop_takes() {
    model(|| {
        let event_loop = Loop::new();
        let producers = [1, 2].map(|item| {
            let queue = Arc::clone(&event_loop.queue);
            thread::spawn(move || queue.push(item).unwrap())
        });
        for producer in producers {
            producer.join().unwrap();
        }

        assert_eq!(event_loop.poll.wake_ups(), 1);
        assert_eq!(event_loop.tick(ALL).len(), 2);
        event_loop.queue.push(3).unwrap();
        assert_eq!(event_loop.poll.wake_ups(), 2);
    });
}

#[test]
fn what_is_appended_while_the_loop_closes_is_handed_out_or_refused() {
    model(|| {
        let event_loop = Loop::new();
        let producers = [1, 2].map(|item| {
            let queue = Arc::clone(&event_loop.queue);
            thread::spawn(move || queue.push(item).is_err())
        });

        let mut left: Vec<_> = event_loop.queue.take(ALL).into();
        left.extend(event_loop.queue.close());
        assert!(event_loop.queue.is_closed());
        assert_eq!(event_loop.queue.push(3), Err(3));

        let refused = producers.map(|producer| producer.join().unwrap());
        for (item, refused) in [1, 2].iter().zip(refused) {
            let handed_out = left.iter().filter(|left| *left == item).count();
            assert_eq!(handed_out, usize::from(!refused));
        }
        assert!(event_loop.queue.close().is_empty());
    });
}

#[test]
fn the_main_future_sees_what_was_written_before_each_wake_up() {
    model(|| {
        let event_loop = Loop::<()>::new();
        let done = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        for done in &done {
            let (queue, done) = (Arc::clone(&event_loop.queue), Arc::clone(done));
            thread::spawn(move || {
                // Nothing but the wake-up orders this before the poll that reads it.
                done.store(true, Ordering::Relaxed);
                queue.wake_main(|| true);
            });
        }

        let poll_main = || done.iter().all(|done| done.load(Ordering::Relaxed));
        loop {
            event_loop.tick(ALL);
            if event_loop.queue.is_main_woken() {
                event_loop.queue.clear_main();
                if poll_main() {
                    return;
                }
            }
        }
    });
}

#[test]
fn a_wake_up_of_the_loop_itself_and_one_of_another_thread_are_both_answered() {
    model(|| {
        let event_loop = Loop::<()>::new();
        let done = Arc::new(AtomicBool::new(false));
        let (queue, elsewhere) = (Arc::clone(&event_loop.queue), Arc::clone(&done));
        thread::spawn(move || {
            elsewhere.store(true, Ordering::Relaxed);
            queue.wake_main(|| true);
        });

        // The main future yields once, by waking itself.
        event_loop.queue.wake_main(|| false);
        let mut polls = 0;
        loop {
            event_loop.tick(ALL);
            if event_loop.queue.is_main_woken() {
                event_loop.queue.clear_main();
                polls += 1;
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        assert!((1..=2).contains(&polls), "{polls}");
    });
}
