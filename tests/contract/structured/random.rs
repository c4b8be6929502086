//! Groups, scopes, deadlines and shields inside one another in any order, with errors, panics, cancels and drops.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use wharf::testing::{advance, step};
use wharf::{
    CancelScope, Ready, Result, Scope, TaskGroup, move_on_after, scope, shield, sleep, task_group,
    timeout, yield_now,
};

use crate::loops::{memory_loop, settle};

use super::nothing_is_left;

/// How many programs are tried: `WHARF_RANDOM_RUNS`, or this.
const RUNS: u64 = 400;

#[test]
fn groups_and_scopes_in_any_order_end_each_task_once_and_before_themselves() {
    let number = |name: &str, usual| {
        std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
    };
    let first: u64 = number("WHARF_RANDOM_SEED", 1);
    let mut begun = 0;
    for seed in first..first + number("WHARF_RANDOM_RUNS", RUNS) {
        let world = play(seed);
        let replay = format!("replay with WHARF_RANDOM_SEED={seed} WHARF_RANDOM_RUNS=1");
        assert_eq!(*world.wrong.borrow(), [""; 0], "{replay}");
        assert_eq!(world.begun.get(), world.ended.get(), "tasks that never ended; {replay}");
        assert_eq!(Rc::strong_count(&world), 1, "something is kept; {replay}");
        begun += world.begun.get();
    }
    assert!(begun > 10 || std::env::var("WHARF_RANDOM_RUNS").is_ok(), "only {begun} tasks");
}

/// One program. It is left to itself, dropped after a while, or its loop is closed.
fn play(seed: u64) -> Rc<World> {
    let event_loop = memory_loop();
    event_loop.set_exception_handler(|_, _| {});
    let world = Rc::new(World {
        random: Cell::new(seed),
        left: Cell::new(60),
        begun: Cell::new(0),
        ended: Cell::new(0),
        handles: RefCell::default(),
        wrong: RefCell::default(),
    });
    let task = event_loop.create_task(node(Rc::clone(&world), 4));
    for _ in 0..world.below(4) {
        let canceller = Rc::clone(&world);
        let delay = world.moment();
        event_loop.call_later(delay, move || canceller.cancel_one());
    }
    match world.below(4) {
        0 => {
            for _ in 0..world.below(20) {
                step(&event_loop).unwrap();
            }
            drop(task);
        }
        1 => {
            advance(&event_loop, world.moment()).unwrap();
            task.cancel();
        }
        2 => {
            advance(&event_loop, world.moment()).unwrap();
            world.handles.take();
            event_loop.close().unwrap();
            drop(task.take_result());
        }
        _ => {
            // Nothing in it waits longer, but for what waits for ever.
            advance(&event_loop, Duration::from_secs(3600)).unwrap();
            drop(task);
        }
    }
    if !event_loop.is_closed() {
        settle(&event_loop).unwrap();
        // What is shielded ends within its bound.
        advance(&event_loop, Duration::from_secs(3600)).unwrap();
        world.handles.take();
        nothing_is_left(&event_loop);
    }
    drop(event_loop);
    world
}

struct World {
    random: Cell<u64>,
    /// How many more nodes there may be.
    left: Cell<u32>,
    begun: Cell<u32>,
    ended: Cell<u32>,
    handles: RefCell<Vec<Handle>>,
    wrong: RefCell<Vec<String>>,
}

enum Handle {
    Group(TaskGroup),
    Scope(CancelScope),
}

impl World {
    /// SplitMix64.
    fn below(&self, bound: u64) -> u64 {
        let state = self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Whole seconds, so that many things happen at once.
    fn moment(&self) -> Duration {
        Duration::from_secs(self.below(5))
    }

    fn cancel_one(&self) {
        let count = self.handles.borrow().len() as u64;
        if count == 0 {
            return;
        }
        let index = self.below(count) as usize;
        let handle = self.handles.borrow_mut().swap_remove(index);
        match handle {
            Handle::Group(group) => group.cancel(),
            Handle::Scope(scope) => scope.cancel(),
        }
    }
}

/// A task that has begun, or was to.
struct Member {
    world: Rc<World>,
    siblings: Rc<Cell<i32>>,
}

impl Member {
    fn new(world: &Rc<World>, siblings: &Rc<Cell<i32>>) -> Self {
        world.begun.set(world.begun.get() + 1);
        siblings.set(siblings.get() + 1);
        Self { world: Rc::clone(world), siblings: Rc::clone(siblings) }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.world.ended.set(self.world.ended.get() + 1);
        self.siblings.set(self.siblings.get() - 1);
        match self.world.below(20) {
            0 if !std::thread::panicking() => resume_unwind(Box::new("in Drop code")),
            1 => self.world.cancel_one(),
            _ => {}
        }
    }
}

/// The tasks of a group, whose end is looked at.
struct Siblings {
    world: Rc<World>,
    count: Rc<Cell<i32>>,
    what: &'static str,
    /// Its future was dropped: then the tasks of a group end a round later.
    is_dropped: bool,
}

impl Siblings {
    fn new(world: &Rc<World>, what: &'static str) -> Self {
        Self { world: Rc::clone(world), count: Rc::default(), what, is_dropped: true }
    }
}

impl Drop for Siblings {
    fn drop(&mut self) {
        let is_over = !self.is_dropped || std::thread::panicking() || self.what == "scope";
        if is_over && self.count.get() != 0 {
            let text = format!("{} tasks are left of a {}", self.count.get(), self.what);
            self.world.wrong.borrow_mut().push(text);
        }
    }
}

/// A part of a program: something short, or others inside it.
fn node(world: Rc<World>, depth: u32) -> Pin<Box<dyn Future<Output = Result>>> {
    Box::pin(async move {
        let may_go_on = depth > 0 && world.left.get() > 0;
        world.left.set(world.left.get().saturating_sub(1));
        match world.below(if may_go_on { 18 } else { 8 }) {
            0 => Ok(()),
            1 => Err("an error".into()),
            2 => resume_unwind(Box::new("a panic")),
            3 => pending().await,
            4 => {
                world.cancel_one();
                yield_now().await;
                Ok(())
            }
            5 => {
                yield_now().await;
                Ok(())
            }
            6 | 7 => {
                sleep(world.moment()).await;
                Ok(())
            }
            8..11 => a_group(&world, depth - 1).await,
            11..14 => a_scope(&world, depth - 1).await,
            14 => {
                let inner = timeout(world.moment(), node(Rc::clone(&world), depth - 1)).await;
                if world.below(2) == 0 { inner? } else { Ok(()) }
            }
            15 => {
                let cancel = CancelScope::new();
                cancel.reschedule_after(world.moment());
                world.handles.borrow_mut().push(Handle::Scope(cancel.clone()));
                cancel.run(node(Rc::clone(&world), depth - 1)).await.unwrap_or(Ok(()))
            }
            16 => {
                let member = Member::new(&world, &Rc::default());
                let inner = node(Rc::clone(&world), depth - 1);
                let shielded = shield(world.moment(), async {
                    let _member = member;
                    inner.await
                });
                if world.below(2) == 0 { shielded.await? } else { Ok(()) }
            }
            _ => {
                move_on_after(world.moment(), node(Rc::clone(&world), depth - 1)).await;
                Ok(())
            }
        }
    })
}

async fn a_group(world: &Rc<World>, depth: u32) -> Result {
    let mut siblings = Siblings::new(world, "group");
    let count = Rc::clone(&siblings.count);
    let outcome = task_group(async |group| {
        if world.below(2) == 0 {
            world.handles.borrow_mut().push(Handle::Group(group.clone()));
        }
        for _ in 0..world.below(4) {
            add_to_group(&group, world, &count, depth);
            match world.below(6) {
                0 => yield_now().await,
                1 => group.cancel(),
                2 => group.spawn(pending::<Result>()).cancel(),
                3 => {
                    let (member, inner) = (Member::new(world, &count), Rc::clone(world));
                    let started = group.start(async move |ready: Ready<u32>| {
                        let _member = member;
                        node(Rc::clone(&inner), depth).await?;
                        if inner.below(3) > 0 {
                            ready.set(1);
                        }
                        node(inner, depth).await
                    });
                    let _ = timeout(world.moment(), started).await;
                }
                _ => {}
            }
        }
        node(Rc::clone(world), depth).await
    })
    .await;
    siblings.is_dropped = false;
    drop(siblings);
    Ok(outcome?)
}

fn add_to_group(group: &TaskGroup, world: &Rc<World>, count: &Rc<Cell<i32>>, depth: u32) {
    let (member, world) = (Member::new(world, count), Rc::clone(world));
    let (own, count) = (group.clone(), Rc::clone(count));
    let task = group.spawn(async move {
        let _member = member;
        if world.below(4) == 0 && depth > 0 {
            add_to_group(&own, &world, &count, depth - 1);
        }
        node(world, depth).await
    });
    if task.is_done() && group.is_open() {
        unreachable!("it was refused");
    }
}

async fn a_scope(world: &Rc<World>, depth: u32) -> Result {
    let mut siblings = Siblings::new(world, "scope");
    let count = Rc::clone(&siblings.count);
    let outcome = scope(async |scope| {
        for _ in 0..world.below(4) {
            let task = add_to_scope(&scope, world, &count, depth);
            match world.below(6) {
                0 => yield_now().await,
                1 => scope.cancel(),
                2 => task.cancel(),
                3 => drop(task.await),
                _ => {}
            }
        }
        node(Rc::clone(world), depth).await
    })
    .await;
    siblings.is_dropped = false;
    drop(siblings);
    Ok(outcome?)
}

fn add_to_scope<'env>(
    scope: &Scope<'env>,
    world: &'env Rc<World>,
    count: &'env Rc<Cell<i32>>,
    depth: u32,
) -> wharf::Child<'env, ()> {
    let (member, own) = (Member::new(world, count), scope.clone());
    scope.spawn(async move {
        let _member = member;
        if world.below(4) == 0 && depth > 0 {
            add_to_scope(&own, world, count, depth - 1);
        }
        node(Rc::clone(world), depth).await
    })
}
