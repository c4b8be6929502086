//! Tasks that spawn, wake, cancel, drop and panic in any order.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::task::{Poll, Waker};
use std::thread;

use proptest::prelude::*;
use wharf::{EventLoop, Task};

use crate::loops::{memory_loop, settle};
use crate::random::cases;

/// What a task does in one of its steps, or is done to one from outside.
#[derive(Clone, Copy, Debug)]
enum Act {
    Spawn,
    Detach,
    DropHandle(usize),
    Cancel(usize),
    Wake(usize),
    /// On another thread, some time later.
    WakeElsewhere(usize),
    AddDoneCallback(usize),
    TakeResult(usize),
    /// Awaits another task, in a task that nobody waits for.
    Await(usize),
    Sleep(usize),
    Finish,
    Panic,
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    let one = || 0..32_usize;
    prop_oneof![
        4 => Just(Act::Spawn),
        1 => Just(Act::Detach),
        2 => one().prop_map(Act::DropHandle),
        2 => one().prop_map(Act::Cancel),
        4 => one().prop_map(Act::Wake),
        2 => one().prop_map(Act::WakeElsewhere),
        1 => one().prop_map(Act::AddDoneCallback),
        1 => one().prop_map(Act::TakeResult),
        1 => one().prop_map(Act::Await),
        1 => one().prop_map(Act::Sleep),
        2 => Just(Act::Finish),
        1 => Just(Act::Panic),
        4 => Just(Act::Wait),
    ]
}

/// What all tasks of one run share.
struct World {
    event_loop: EventLoop,
    script: RefCell<std::vec::IntoIter<Act>>,
    handles: RefCell<Vec<Task<u32>>>,
    wakers: RefCell<BTreeMap<u32, Waker>>,
    elsewhere: Sender<Waker>,
    /// How often the future of each task was dropped.
    dropped: RefCell<BTreeMap<u32, u32>>,
    spawned: RefCell<u32>,
}

struct Dropped(u32, Rc<World>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let Self(id, world) = self;
        *world.dropped.borrow_mut().entry(*id).or_default() += 1;
        let waker = world.wakers.borrow_mut().remove(id);
        drop(waker);
        // What is done in a `Drop` must harm nobody.
        if *id % 3 == 0 {
            step(world, None);
        }
    }
}

fn spawn(world: &Rc<World>) -> Task<u32> {
    let id = {
        let mut spawned = world.spawned.borrow_mut();
        *spawned += 1;
        *spawned
    };
    let dropped = Dropped(id, Rc::clone(world));
    world.event_loop.create_task(async move {
        let Dropped(id, world) = &dropped;
        poll_fn(|context| {
            world.wakers.borrow_mut().insert(*id, context.waker().clone());
            for _ in 0..3 {
                if step(world, Some(context.waker())) {
                    return Poll::Ready(*id);
                }
            }
            Poll::Pending
        })
        .await
    })
}

/// Does the next thing in the script. Returns whether the task is finished.
fn step(world: &Rc<World>, waker: Option<&Waker>) -> bool {
    let Some(act) = world.script.borrow_mut().next() else { return waker.is_some() };
    let take = |choice: usize| {
        let mut handles = world.handles.borrow_mut();
        let count = handles.len();
        (count > 0).then(|| handles.swap_remove(choice % count))
    };
    let waker_of = |choice: usize| {
        let wakers = world.wakers.borrow();
        wakers.values().nth(choice % wakers.len().max(1)).cloned()
    };
    match act {
        Act::Spawn => {
            let task = spawn(world);
            world.handles.borrow_mut().push(task);
        }
        Act::Detach => spawn(world).detach(),
        Act::DropHandle(choice) => drop(take(choice)),
        Act::Cancel(choice) => {
            if let Some(task) = take(choice) {
                task.cancel();
                world.handles.borrow_mut().push(task);
            }
        }
        Act::Wake(choice) => waker_of(choice).into_iter().for_each(Waker::wake),
        Act::WakeElsewhere(choice) => {
            waker_of(choice).into_iter().for_each(|waker| world.elsewhere.send(waker).unwrap());
        }
        Act::AddDoneCallback(choice) => {
            if let Some(task) = take(choice) {
                task.add_done_callback(|_| {});
                world.handles.borrow_mut().push(task);
            }
        }
        Act::TakeResult(choice) => {
            if let Some(task) = take(choice) {
                drop(task.take_result());
                world.handles.borrow_mut().push(task);
            }
        }
        Act::Await(choice) => {
            if let Some(task) = take(choice) {
                world.event_loop.create_task(async { drop(task.await) }).detach();
            }
        }
        Act::Sleep(choice) => {
            let sleep = world.event_loop.sleep(std::time::Duration::from_millis(choice as u64));
            world.event_loop.create_task(sleep).detach();
        }
        Act::Finish => return waker.is_some(),
        Act::Panic if waker.is_some() => std::panic::resume_unwind(Box::new("on purpose")),
        Act::Panic | Act::Wait => {}
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(300), ..ProptestConfig::default() })]

    #[test]
    fn tasks_end_once_whatever_they_do_to_one_another(
        script in prop::collection::vec(act(), 0..200),
        closes in any::<bool>(),
    ) {
        let event_loop = memory_loop();
        event_loop.set_exception_handler(|_, _| {});
        let (elsewhere, wakers) = channel::<Waker>();
        let waking = thread::spawn(move || wakers.into_iter().for_each(Waker::wake));
        let world = Rc::new(World {
            event_loop: event_loop.clone(),
            script: RefCell::new(script.into_iter()),
            handles: RefCell::default(),
            wakers: RefCell::default(),
            elsewhere,
            dropped: RefCell::default(),
            spawned: RefCell::default(),
        });
        while !world.script.borrow().as_slice().is_empty() {
            step(&world, None);
            settle(&event_loop).unwrap();
        }
        if closes {
            event_loop.close().unwrap();
        }
        // Without handles, and with their detached ones cancelled by the end of the loop, all are gone.
        // (Results are taken, since a closed loop would print the panics.)
        for task in world.handles.take() {
            drop(task.take_result());
        }
        event_loop.close().unwrap();
        let spawned = *world.spawned.borrow();
        let dropped = world.dropped.take();
        prop_assert!(dropped.values().all(|&count| count == 1), "{dropped:?}");
        prop_assert_eq!(dropped.len(), spawned as usize);
        prop_assert_eq!(event_loop.statistics().tasks, 0);
        prop_assert_eq!(wharf::testing::unfenced_panics(), 0);
        // The futures, which hold the world, are gone.
        prop_assert_eq!(Rc::strong_count(&world), 1);
        drop(world);
        waking.join().unwrap();
    }
}
