//! What leads to more of its kind when it is dropped needs no stack, however long the chain is.

use std::cell::Cell;
use std::rc::Rc;

use wharf::testing::{MemoryNetwork, settle};
use wharf::{EventLoop, Promise};

const LENGTH: usize = 200_000;

/// Runs `test` with little stack, for chains that would need much.
fn with_little_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    thread.spawn(test).expect("a thread").join().expect("no panic");
}

/// A promise whose end ends the next one, and so on; how many have ended.
fn chain_of_done_callbacks(event_loop: &EventLoop) -> (Promise<()>, Rc<Cell<usize>>) {
    let ended = Rc::new(Cell::new(0));
    let (mut first, future) = event_loop.create_future::<()>();
    future.detach();
    for _ in 0..LENGTH {
        let (promise, future) = event_loop.create_future::<()>();
        let (next, ended) = (first, CountsOnDrop(Rc::clone(&ended)));
        future.add_done_callback(move |_| {
            let _ = &ended;
            drop(next);
        });
        future.detach();
        first = promise;
    }
    (first, ended)
}

struct CountsOnDrop(Rc<Cell<usize>>);

impl Drop for CountsOnDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_chain_of_promises_that_is_dropped_after_closing_needs_no_stack() {
    with_little_stack(|| {
        let event_loop = MemoryNetwork::new().event_loop();
        let (promise, ended) = chain_of_done_callbacks(&event_loop);
        event_loop.close().unwrap();
        drop(promise);
        assert_eq!(ended.get(), LENGTH);
    });
}

#[test]
fn a_chain_of_promises_that_closing_drops_needs_no_stack() {
    with_little_stack(|| {
        let event_loop = MemoryNetwork::new().event_loop();
        let (promise, ended) = chain_of_done_callbacks(&event_loop);
        event_loop.call_soon(move || drop(promise));
        event_loop.close().unwrap();
        assert_eq!(ended.get(), LENGTH);
    });
}

#[test]
fn a_chain_of_promises_that_is_dropped_on_an_open_loop_needs_no_stack() {
    with_little_stack(|| {
        let event_loop = MemoryNetwork::new().event_loop();
        let (promise, ended) = chain_of_done_callbacks(&event_loop);
        drop(promise);
        settle(&event_loop).unwrap();
        assert_eq!(ended.get(), LENGTH);
    });
}

/// Each action cancels the next future; or each that is not called drops the next promise.
fn drop_chain_of_actions(by_cancelling: bool, closes: bool) {
    let event_loop = MemoryNetwork::new().event_loop();
    let ended = Rc::new(Cell::new(0));
    let (mut promise, mut future) = event_loop.create_future::<()>();
    let mut promises = Vec::new();
    for _ in 0..LENGTH {
        let (next_promise, next_future) = event_loop.create_future::<()>();
        let guard = CountsOnDrop(Rc::clone(&ended));
        if by_cancelling {
            next_promise.on_cancel(move || drop((future, guard)));
            promises.push(promise);
        } else {
            future.detach();
            next_promise.on_cancel(move || drop((promise, guard)));
        }
        (promise, future) = (next_promise, next_future);
    }
    if closes {
        event_loop.close().unwrap();
    }
    if by_cancelling {
        drop(future);
    } else {
        drop(promise);
    }
    settle_if_open(&event_loop);
    assert_eq!(ended.get(), LENGTH);
}

fn settle_if_open(event_loop: &EventLoop) {
    if !event_loop.is_closed() {
        settle(event_loop).unwrap();
    }
}

#[test]
fn chains_of_cancel_actions_need_no_stack() {
    with_little_stack(|| {
        for by_cancelling in [false, true] {
            for closes in [false, true] {
                drop_chain_of_actions(by_cancelling, closes);
            }
        }
    });
}

#[test]
fn a_chain_of_values_needs_no_stack() {
    with_little_stack(|| {
        let event_loop = MemoryNetwork::new().event_loop();
        let ended = Rc::new(Cell::new(0));
        let mut last: Box<dyn std::any::Any> = Box::new(());
        for _ in 0..LENGTH {
            let (promise, future) = event_loop.create_future::<(Box<dyn std::any::Any>, _)>();
            let guard = CountsOnDrop(Rc::clone(&ended));
            assert!(promise.set_result((last, guard)).is_ok());
            last = Box::new(future);
        }
        drop(last);
        assert_eq!(ended.get(), LENGTH);
    });
}
